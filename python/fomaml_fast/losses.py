"""Losses: what a row's output and target cost. Definitions in the core, one file each.

`MLP` takes a name, or one of these objects where a loss has a parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np  # noqa: F401  for the examples

from fomaml_fast._arrays import as_number
from fomaml_fast._loader import core
from fomaml_fast._registry import check_registered, resolve
from fomaml_fast._shown import shown


@dataclass(frozen=True)
class Loss:
    """Base of all losses; not one itself."""

    name: ClassVar[str]

    @property
    def parameter(self) -> float:
        """What the core is given beside the name."""
        return 0.0

    @property
    def takes_labels(self) -> bool:
        """Whether targets are class indices (one a row) rather than numbers (one an output)."""
        return bool(core.loss_takes_labels(self.name))

    @property
    def takes_probabilities(self) -> bool:
        """Whether targets may be rows of probabilities, and classes may be masked."""
        return self.name in ("cross_entropy", "soft_cross_entropy")


@dataclass(frozen=True)
class MSE(Loss):
    """Mean over rows and outputs of ``(o - y)**2``, without a half.

    Examples
    --------
    >>> MSE().takes_labels
    False
    """

    name: ClassVar[str] = "mse"


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Mean over rows of ``-log softmax(o)[y]`` for integer labels ``y``.

    Targets may also be rows of probabilities ``p``, floats ``[n, n_L]``: the loss of a row is then
    ``-sum(p * log softmax(o))``. They need not sum to 1, but must be finite and not negative.

    Examples
    --------
    >>> CrossEntropy().takes_labels
    True
    """

    name: ClassVar[str] = "cross_entropy"


@dataclass(frozen=True)
class SoftCrossEntropy(Loss):
    """`CrossEntropy` of rows of probabilities only.

    Examples
    --------
    >>> SoftCrossEntropy().takes_labels
    False
    """

    name: ClassVar[str] = "soft_cross_entropy"


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Mean over rows and outputs of ``-y log s - (1 - y) log(1 - s)``, ``s = 1 / (1 + exp(-o))``.

    Outputs are logits; targets are floats, usually between 0 and 1.

    Examples
    --------
    >>> BinaryCrossEntropy().takes_labels
    False
    """

    name: ClassVar[str] = "binary_cross_entropy"


@dataclass(frozen=True)
class Huber(Loss):
    """Mean over rows and outputs of ``e**2 / 2`` where ``|e| <= delta``, else linear in ``|e|``.

    Parameters
    ----------
    delta : float, default 1.0
        Where the parabola of ``e = o - y`` goes over into ``delta * (|e| - delta / 2)``.

    Raises
    ------
    ValueError, TypeError
        If delta is not a positive number.

    Examples
    --------
    >>> Huber(0.5)
    Huber(delta=0.5)
    """

    name: ClassVar[str] = "huber"
    delta: float = 1.0

    def __post_init__(self) -> None:
        if as_number(self.delta, "delta") <= 0:
            raise ValueError(f"delta must be above 0, got {self.delta}")

    @property
    def parameter(self) -> float:
        """Delta."""
        return float(self.delta)


@dataclass(frozen=True)
class Quantile(Loss):
    """Pinball loss: mean over rows and outputs of ``max(tau * e, (tau - 1) * e)``, ``e = y - o``.

    Parameters
    ----------
    tau : float, default 0.5
        The quantile that the outputs estimate, between 0 and 1.

    Raises
    ------
    ValueError, TypeError
        If tau is not a number between 0 and 1.

    Notes
    -----
    The gradient at ``e = 0`` is 0. The Hessian on the outputs is 0, but that over theta is not.

    Examples
    --------
    >>> Quantile(0.9)
    Quantile(tau=0.9)
    """

    name: ClassVar[str] = "quantile"
    tau: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < as_number(self.tau, "tau") < 1:
            raise ValueError(f"tau must be between 0 and 1, got {self.tau}")

    @property
    def parameter(self) -> float:
        """Tau."""
        return float(self.tau)


@dataclass(frozen=True)
class Custom(Loss):
    """A loss written in Python.

    Parameters
    ----------
    fn : callable
        ``fn(outputs, targets)`` of the outputs ``[T, n, n_L]`` of tasks and of their targets as
        they were given, ``[T, n, ...]``. Returns the losses ``[T]``, each with its mean over rows
        if it has one, their gradient on the outputs ``[T, n, n_L]`` and, where second derivatives
        are wanted, a third item: a function that multiplies the Hessian on the outputs with a
        ``v [T, n, n_L]``. Ragged tasks come one at a time. It is called by the thread that
        called the library: once a call of `MLP`'s `loss`, `value_and_grad`, `hvp` or `gnvp`, once
        for each inner step of all tasks elsewhere. Exact meta-gradients need the third item.
        Implicit gradients and context parameters are not available.

    Raises
    ------
    TypeError
        If `fn` cannot be called.

    Examples
    --------
    >>> from fomaml_fast import MLP
    >>> def absolute(outputs, targets):
    ...     error = outputs - targets
    ...     return abs(error).mean(axis=(1, 2)), np.sign(error) / error[0].size
    >>> net = MLP([1, 1], loss=Custom(absolute))
    >>> net.value_and_grad(np.array([2.0, 0.0]), [[3.0]], [[5.0]])
    (1.0, array([3., 1.]))
    """

    fn: Callable[[Any, Any], Any]
    name: ClassVar[str] = "custom"

    def __post_init__(self) -> None:
        if not callable(self.fn):
            raise TypeError(f"fn must be callable, got {shown(self.fn)}")

    def __hash__(self) -> int:
        """Equal for equal functions, also where these have no hash of their own."""
        return hash((type(self), type(self.fn)))

    @property
    def takes_labels(self) -> bool:
        """Not known: targets are whatever `fn` takes."""
        return False


_BY_NAME: dict[str, type[Loss]] = {
    loss.name: loss
    for loss in (MSE, CrossEntropy, SoftCrossEntropy, BinaryCrossEntropy, Huber, Quantile)
}
check_registered(_BY_NAME, core.loss_names, "losses")


def names() -> tuple[str, ...]:
    """Names accepted by `MLP`, in registry order.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> names()[:2]
    ('mse', 'cross_entropy')
    """
    return tuple(core.loss_names)


def get(loss: Any, name: str = "loss") -> Loss:
    """Return the loss of a name, or the object itself.

    Parameters
    ----------
    loss : str or Loss
        A registered name, or an object of this module.
    name : str, default "loss"
        What errors call it.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError, TypeError
        For an unknown name, or anything else.

    Examples
    --------
    >>> get("mse")
    MSE()
    """
    if callable(loss) and not isinstance(loss, type | Loss):
        raise TypeError(f"{name} must be wrapped if it is a function: losses.Custom({shown(loss)})")
    return resolve(loss, Loss, _BY_NAME, name)
