"""Losses: what a row's output and target cost. Definitions in the core, one file each.

`MLP` takes a name, or one of these objects where a loss has a parameter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

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

    Examples
    --------
    >>> CrossEntropy().takes_labels
    True
    """

    name: ClassVar[str] = "cross_entropy"


_BY_NAME: dict[str, type[Loss]] = {loss.name: loss for loss in (MSE, CrossEntropy)}
check_registered(_BY_NAME, core.loss_names, "losses")


def names() -> tuple[str, ...]:
    """Names accepted by `MLP`, in registry order.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> names()
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
