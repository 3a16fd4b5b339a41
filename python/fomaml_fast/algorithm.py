"""What a meta-learning algorithm is: a point in a space of independent choices.

WHAT adapts x HOW (inner optimiser, steps) x HOW THE GRADIENT FLOWS back. Presets name points.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fomaml_fast import inner as _inner
from fomaml_fast._arrays import as_count, one_of
from fomaml_fast._loader import core

#: What may adapt, by name.
ADAPT = ("all",)


@dataclass(frozen=True)
class Algorithm:
    """A gradient-based meta-learning algorithm.

    Parameters
    ----------
    inner : inner.Inner
        Inner optimiser, e.g. ``inner.SGD(0.01)``.
    steps : int, default 1
        Inner steps S; 0 leaves the initialisation as it is.
    adapt : str, default "all"
        What the inner loop changes: all parameters.
    gradient : str, default "first"
        "first" replaces every inner step's Jacobian by the identity (FOMAML); "exact" goes through
        the support Hessian (MAML).

    Raises
    ------
    ValueError, TypeError
        For anything out of range, naming the argument.

    Examples
    --------
    >>> from fomaml_fast import inner
    >>> Algorithm(inner.SGD(0.01), steps=5, gradient="exact")
    Algorithm(inner=SGD(lr=0.01), steps=5, adapt='all', gradient='exact')
    """

    inner: _inner.Inner
    steps: int = 1
    adapt: str = "all"
    gradient: str = "first"

    def __post_init__(self) -> None:
        if not isinstance(self.inner, _inner.Inner):
            raise TypeError(f"inner must be an inner optimiser, got {self.inner!r}")
        object.__setattr__(self, "steps", as_count(self.steps, "steps"))
        one_of(self.adapt, "adapt", ADAPT)
        one_of(self.gradient, "gradient", tuple(core.flow_names))

    @cached_property
    def _core(self) -> Any:
        return core.Algorithm(
            self.inner.name, list(self.inner.parameters), self.inner.lr, self.steps, self.gradient
        )

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_core"}


def fomaml(lr: float = 0.01, steps: int = 1) -> Algorithm:
    """First-order MAML (Finn, Abbeel & Levine 2017, section 5.2).

    Parameters
    ----------
    lr : float, default 0.01
        Inner learning rate.
    steps : int, default 1
        Inner steps.

    Returns
    -------
    Algorithm

    Examples
    --------
    >>> fomaml().gradient
    'first'
    """
    return Algorithm(_inner.SGD(lr), steps=steps, gradient="first")


def maml(lr: float = 0.01, steps: int = 1) -> Algorithm:
    """MAML with its exact meta-gradient (Finn, Abbeel & Levine 2017).

    Parameters
    ----------
    lr : float, default 0.01
        Inner learning rate.
    steps : int, default 1
        Inner steps.

    Returns
    -------
    Algorithm

    Examples
    --------
    >>> maml(steps=5).gradient
    'exact'
    """
    return Algorithm(_inner.SGD(lr), steps=steps, gradient="exact")
