"""What the outer loop returns: tuples of plain arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import FloatArray


class SolverReport(NamedTuple):
    """How the conjugate gradients of implicit gradients ended, for every task."""

    residuals: FloatArray  #: ``[T]``, relative to the norm of the query gradient
    iterations: npt.NDArray[np.int32]  #: ``[T]``
    indefinite: npt.NDArray[np.bool_]  #: ``[T]``: a direction of no positive curvature ended them


def _shown(result: Any) -> str:
    """Numbers of a result, and the shapes of its arrays: one line."""
    parts = []
    for name, value in zip(result._fields, result, strict=True):
        if value is None:
            continue
        if isinstance(value, np.ndarray) and value.ndim > 0:
            parts.append(f"{name}={list(value.shape)}")
        elif isinstance(value, float | np.floating):
            parts.append(f"{name}={value:.6g}")
        elif isinstance(value, tuple):
            parts.append(f"{name}={type(value).__name__}")
        else:
            parts.append(f"{name}={value}")
    return f"{type(result).__name__}({', '.join(parts)})"


class MetaGrad(NamedTuple):
    """A meta-gradient and the losses met on the way."""

    grad: FloatArray  #: ``[P]``: mean or sum over the tasks kept
    loss: float  #: query loss after adaptation, reduced likewise
    losses: FloatArray  #: query loss after adaptation of every task, ``[T]``
    #: support loss at theta, ``[T]`` (the first inner forward); None without inner steps
    support_losses: FloatArray | None
    task_grads: FloatArray | None  #: ``[T, P]`` with ``per_task=True``, unreduced
    losses_before: FloatArray | None  #: query loss before adaptation, ``[T]``, with ``trace=True``
    diverged: npt.NDArray[np.bool_]  #: ``[T]``: tasks left out
    n_dropped: int  #: how many they are
    #: gradient over the inner rates, in their shape; None unless they are learned
    rate_grad: FloatArray | None = None
    solver: SolverReport | None = None  #: of implicit gradients

    def __repr__(self) -> str:
        """Numbers, and shapes of arrays."""
        return _shown(self)


class Metrics(NamedTuple):
    """What one meta-step saw, at the parameters before the step; arrays as in `MetaGrad`."""

    loss: float
    losses: FloatArray
    support_losses: FloatArray | None
    losses_before: FloatArray | None
    diverged: npt.NDArray[np.bool_]
    n_dropped: int
    grad_norm: float  #: norm of the meta-gradient, that of learned rates included, before clipping
    lr: float | tuple[float, ...]  #: outer learning rate of the step, or one a layer
    solver: SolverReport | None = None

    def __repr__(self) -> str:
        """Numbers, and shapes of arrays."""
        return _shown(self)


class State(NamedTuple):
    """Everything that training carries from step to step: plain arrays.

    It pickles; ``numpy.savez(file, **state._asdict())`` saves it, and
    ``State(**numpy.load(file))`` reads it back.
    """

    theta: FloatArray  #: the initialisation ``[P]``
    rates: FloatArray  #: learned inner rates; empty where none are learned
    moments: FloatArray  #: of the outer optimiser, ``[m, P + R]``, R the number of learned rates
    step: Any  #: outer steps taken, an integer scalar array

    def __repr__(self) -> str:
        """The step, and shapes of arrays."""
        return _shown(self)
