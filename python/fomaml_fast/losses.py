"""Losses: what a row's output and target cost. Definitions in the core, one file each.

`MLP` takes a name, or one of these objects where a loss has a parameter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from fomaml_fast._arrays import as_number
from fomaml_fast._loader import core
from fomaml_fast._registry import check_registered, resolve


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


def get(loss: Any) -> Loss:
    """Return the loss of a name, or the object itself.

    Parameters
    ----------
    loss : str or Loss
        A registered name, or an object of this module.

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
    return resolve(loss, Loss, _BY_NAME, "loss")
