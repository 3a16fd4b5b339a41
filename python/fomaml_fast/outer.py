"""Outer optimisers: how the initialisation learns. Signatures and definitions are torch.optim's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from fomaml_fast._arrays import as_number, is_sequence
from fomaml_fast._loader import core
from fomaml_fast._registry import check_registered
from fomaml_fast._shown import shown

#: A learning rate: a number, or a schedule that maps the step (from 0) to one.
Rate = float | Callable[[int], float]


@dataclass(frozen=True)
class Outer:
    """Base of all outer optimisers; not one itself."""

    name: ClassVar[str]

    lr: Rate
    clip_norm: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not callable(self.lr):
            object.__setattr__(self, "lr", as_number(self.lr, "lr", least=0))
        if self.clip_norm is not None:
            clip_norm = as_number(self.clip_norm, "clip_norm", least=0)
            if clip_norm == 0:
                raise ValueError("clip_norm must be above 0, got 0; None does not clip")
            object.__setattr__(self, "clip_norm", clip_norm)

    def _check_number(self, name: str, most: float | None = None) -> None:
        object.__setattr__(self, name, as_number(getattr(self, name), name, least=0, most=most))

    def _check_flag(self, name: str) -> None:
        if not isinstance(getattr(self, name), bool):
            raise TypeError(f"{name} must be True or False, got {shown(getattr(self, name))}")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step.

        Parameters
        ----------
        step : int
            Steps taken before.

        Returns
        -------
        float
        """
        if callable(self.lr):
            return as_number(self.lr(step), f"lr({step})", least=0)
        return self.lr

    @property
    def parameters(self) -> tuple[float, ...]:
        """Hyper-parameters in the core's order."""
        raise NotImplementedError

    @cached_property
    def _core(self) -> Any:
        return core.Outer(self.name, list(self.parameters), self.clip_norm or 0.0)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_core"}


@dataclass(frozen=True)
class SGD(Outer):
    """Stochastic gradient descent (torch.optim.SGD).

    Parameters
    ----------
    lr : float or callable
        Learning rate, or a schedule ``step -> rate``.
    momentum, dampening, weight_decay : float, default 0
        As in torch; the buffer starts as the first gradient.
    nesterov : bool, default False
        Needs a momentum and no dampening.
    clip_norm : float or None, default None
        Largest global norm of the meta-gradient; larger ones are scaled down to it.

    Raises
    ------
    TypeError, ValueError
        For anything out of range, naming the argument.

    Examples
    --------
    >>> SGD(0.1, momentum=0.9)
    SGD(lr=0.1, clip_norm=None, momentum=0.9, dampening=0.0, weight_decay=0.0, nesterov=False)
    """

    name: ClassVar[str] = "sgd"

    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("momentum", "dampening", "weight_decay"):
            self._check_number(name)
        self._check_flag("nesterov")
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError("nesterov needs momentum above 0 and dampening 0")

    @property
    def parameters(self) -> tuple[float, ...]:
        """Momentum, dampening, weight decay, Nesterov."""
        return (self.momentum, self.dampening, self.weight_decay, float(self.nesterov))


@dataclass(frozen=True)
class Adam(Outer):
    """Adam (torch.optim.Adam): L2 decay enters the gradient.

    Parameters
    ----------
    lr : float or callable, default 1e-3
        Learning rate, or a schedule ``step -> rate``.
    betas : (float, float), default (0.9, 0.999)
        Decay of the two moments, in [0, 1).
    eps : float, default 1e-8
        Added to the root of the corrected second moment.
    weight_decay : float, default 0
        L2 penalty.
    amsgrad : bool, default False
        Keep the largest second moment.
    clip_norm : float or None, default None
        Largest global norm of the meta-gradient.

    Raises
    ------
    TypeError, ValueError
        For anything out of range, naming the argument.

    Examples
    --------
    >>> Adam(1e-3).betas
    (0.9, 0.999)
    """

    name: ClassVar[str] = "adam"

    lr: Rate = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_sequence(self.betas) or len(self.betas) != 2:
            raise TypeError(f"betas must be two numbers, got {shown(self.betas)}")
        first, second = self.betas
        betas = (
            as_number(first, "betas[0]", least=0, most=1),
            as_number(second, "betas[1]", least=0, most=1),
        )
        if 1 in betas:
            raise ValueError(f"betas must be below 1, got {betas}")
        object.__setattr__(self, "betas", betas)
        self._check_number("eps")
        self._check_number("weight_decay")
        self._check_flag("amsgrad")

    @property
    def parameters(self) -> tuple[float, ...]:
        """Both betas, epsilon, weight decay, AMSGrad."""
        return (*self.betas, self.eps, self.weight_decay, float(self.amsgrad))


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (torch.optim.AdamW).

    Parameters
    ----------
    lr, betas, eps, amsgrad, clip_norm
        As in `Adam`.
    weight_decay : float, default 1e-2
        Every step first shrinks theta by ``1 - lr * weight_decay``.

    Examples
    --------
    >>> AdamW().weight_decay
    0.01
    """

    name: ClassVar[str] = "adamw"

    weight_decay: float = 1e-2


_BY_NAME: dict[str, type[Outer]] = {outer.name: outer for outer in (SGD, Adam, AdamW)}
check_registered(_BY_NAME, core.outer_names, "outer")


def names() -> tuple[str, ...]:
    """Names of the registered outer optimisers.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> names()
    ('sgd', 'adam', 'adamw')
    """
    return tuple(core.outer_names)
