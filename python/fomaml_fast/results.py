"""What the outer loop returns: tuples of plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import FloatArray, is_integer, is_sequence
from fomaml_fast._convert import as_array
from fomaml_fast._shown import shown

Result = TypeVar("Result", bound=tuple[Any, ...])


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


def stacked(results: Sequence[Result]) -> Result:
    """Results of many learners as one, whose arrays have an axis of learners in front."""
    fields: list[Any] = []
    for values in zip(*results, strict=True):
        if values[0] is None:
            fields.append(None)
        elif hasattr(values[0], "_fields"):
            fields.append(stacked(values))
        else:
            fields.append(np.stack(values))
    return tuple.__new__(type(results[0]), fields)


def common_or_each(values: Sequence[Any]) -> Any:
    """What all learners have in common; where they differ, an array with one item for each."""
    alike = len(values) == 1 or all(value == values[0] for value in values)
    return values[0] if alike else np.array(values)


class MetaGrad(NamedTuple):
    """A meta-gradient and the losses met on the way.

    Of R learners every field has an axis R in front; `loss` and `n_dropped` then are arrays too.
    """

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
    """What one meta-step saw, at the parameters before the step; arrays as in `MetaGrad`.

    Of R learners every field has an axis R in front, but for an `lr` that they have in common.
    """

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

    A state of R learners has an axis R in front of its arrays: `meta_step` steps them all.
    """

    theta: FloatArray  #: the initialisation ``[P]``, or ``[R, P]``
    rates: FloatArray  #: learned inner rates; empty where none are learned
    moments: FloatArray  #: of the outer optimiser, ``[m, P + n]``, n the number of learned rates
    step: Any  #: outer steps taken, an integer scalar array; of learners that differ in it ``[R]``

    def __repr__(self) -> str:
        """The step, and shapes of arrays."""
        return _shown(self)

    @property
    def n_learners(self) -> int | None:
        """How many learners there are, R; None for the state of one, without an axis of them."""
        return len(self.theta) if np.ndim(self.theta) == 2 else None

    @staticmethod
    def stack(states: Sequence[State]) -> State:
        """Make one state of several learners.

        Parameters
        ----------
        states : sequence of State
            One a learner, alike in shapes and dtypes.

        Returns
        -------
        State
            Its step is a scalar where all have taken as many, else ``[R]``.

        Raises
        ------
        ValueError, TypeError
            For anything that does not fit, naming the learner.

        Examples
        --------
        >>> import fomaml_fast as ff
        >>> net, algorithm, outer = ff.MLP([1, 8, 1]), ff.fomaml(), ff.outer.Adam()
        >>> seeds = [ff.init_state(net, algorithm, outer, seed=seed) for seed in range(4)]
        >>> State.stack(seeds).theta.shape
        (4, 25)
        """
        if not is_sequence(states) or len(states) == 0:
            raise TypeError(f"states must be a sequence of states, got {shown(states)}")
        for r, state in enumerate(states):
            if not isinstance(state, State):
                raise TypeError(f"states[{r}] must be a State, got {type(state).__name__}")
            theta = as_array(state.theta, f"states[{r}].theta")
            if theta.ndim != 1:
                raise ValueError(
                    f"states[{r}] must be of one learner, but its theta has shape "
                    f"{list(theta.shape)}"
                )
            step = as_array(state.step, f"states[{r}].step")
            if step.ndim != 0 or step.dtype.kind not in "iu":
                raise TypeError(f"states[{r}].step must be an integer, got {shown(state.step)}")
            for name in ("theta", "rates", "moments"):
                own, first = (
                    as_array(getattr(s, name), f"states[{i}].{name}")
                    for i, s in ((r, state), (0, states[0]))
                )
                if own.shape != first.shape or own.dtype != first.dtype:
                    raise ValueError(
                        f"states[{r}].{name} must be {first.dtype} of shape {list(first.shape)}, "
                        f"as that of states[0] is, got {own.dtype} {list(own.shape)}"
                    )
        thetas, rates, moments, steps = stacked(states)
        return State(thetas, rates, moments, np.asarray(common_or_each(list(steps)), np.int64))

    def learner(self, index: int) -> State:
        """Return the state of one of many learners, copied.

        Parameters
        ----------
        index : int
            Which; negative ones count from the end.

        Returns
        -------
        State

        Raises
        ------
        ValueError, TypeError
            Where the state is of one learner, or has none of that number.

        Examples
        --------
        >>> import fomaml_fast as ff
        >>> states = ff.init_state(ff.MLP([1, 8, 1]), ff.fomaml(), ff.outer.Adam(), seed=range(4))
        >>> states.learner(2).theta.shape
        (25,)
        """
        if self.n_learners is None:
            raise ValueError("the state is of one learner, without an axis of learners")
        if not is_integer(index):
            raise TypeError(f"index must be an integer, got {shown(index)}")
        if not -self.n_learners <= index < self.n_learners:
            raise ValueError(
                f"index must name one of {self.n_learners} learners, got {shown(index)}"
            )
        step = self.step[index] if np.ndim(self.step) == 1 else self.step
        theta, rates, moments = (np.array(array[index]) for array in self[:3])
        return State(theta, rates, moments, np.array(step, np.int64))
