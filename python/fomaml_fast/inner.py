"""Inner optimisers: how a task adapts. Definitions in the core, one file each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fomaml_fast._arrays import as_number
from fomaml_fast._loader import core
from fomaml_fast._registry import check_registered


@dataclass(frozen=True)
class Inner:
    """Base of all inner optimisers; not one itself."""

    name: ClassVar[str]
    lr: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr", as_number(self.lr, "lr"))

    @property
    def parameters(self) -> tuple[float, ...]:
        """Hyper-parameters other than the rate, in the core's order."""
        return ()


@dataclass(frozen=True)
class SGD(Inner):
    """Gradient descent, ``theta <- theta - lr * g``, on the whole support set at every step.

    Parameters
    ----------
    lr : float
        Learning rate alpha; any finite number.

    Raises
    ------
    TypeError, ValueError
        If `lr` is not a finite number.

    Examples
    --------
    >>> SGD(0.01)
    SGD(lr=0.01)
    """

    name: ClassVar[str] = "sgd"


_BY_NAME: dict[str, type[Inner]] = {SGD.name: SGD}
check_registered(_BY_NAME, core.inner_names, "inner")


def names() -> tuple[str, ...]:
    """Names of the registered inner optimisers.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> names()
    ('sgd',)
    """
    return tuple(core.inner_names)
