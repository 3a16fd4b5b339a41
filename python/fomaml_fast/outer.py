"""Outer optimisers: how the initialisation learns. Signatures and definitions are torch.optim's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

from fomaml_fast._arrays import as_number, is_sequence
from fomaml_fast._layer_choice import LayerChoice, as_layers, to_core
from fomaml_fast._loader import core
from fomaml_fast._registry import Family, MomentSpec, Spec, defaults, names_arguments

#: The names, for type checkers.
OuterName = Literal["sgd", "adam", "adamw"]

_DEFAULTS = defaults("outer")

#: A learning rate: a number, or a schedule that maps the step (from 0) to one.
Rate = float | Callable[[int], float]
#: The same for all layers, or one a layer.
Rates = Rate | Sequence[Rate]


@dataclass(frozen=True, repr=False)
class Outer(Spec):
    """Base of all outer optimisers; not one itself."""

    _family: ClassVar[str] = "outer"

    lr: Rates
    clip_norm: float | None = field(default=None, kw_only=True)
    layers: LayerChoice | Sequence[int] = field(default="all", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        given: Any = self.lr
        if is_sequence(given):
            rates = tuple(_as_rate(rate, f"lr[{i}]") for i, rate in enumerate(given))
            if not rates:
                raise ValueError("lr must hold a rate for each layer, got none")
            object.__setattr__(self, "lr", rates)
        else:
            object.__setattr__(self, "lr", _as_rate(given, "lr"))
        object.__setattr__(self, "layers", as_layers(self.layers, "layers"))
        if self.clip_norm is not None:
            clip_norm = as_number(self.clip_norm, "clip_norm", least=0)
            if clip_norm == 0:
                raise ValueError("clip_norm must be above 0, got 0; None does not clip")
            object.__setattr__(self, "clip_norm", clip_norm)

    def rate(self, step: int) -> float | tuple[float, ...]:
        """Return the learning rate of a step.

        Parameters
        ----------
        step : int
            Steps taken before.

        Returns
        -------
        float, or tuple of float
            One a layer where `lr` is.
        """
        lr = self.lr
        if type(lr) is float:
            return lr
        if isinstance(lr, tuple):
            return tuple(_rate_at(rate, step, f"lr[{i}]") for i, rate in enumerate(lr))
        return _rate_at(lr, step, "lr")

    @cached_property
    def _core(self) -> Any:
        assert isinstance(self.layers, str | tuple)
        return core.Outer(
            self.name, list(self.options), self.clip_norm or 0.0, *to_core(self.layers)
        )

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_core"}


def _as_rate(rate: Any, name: str) -> Rate:
    return rate if callable(rate) else as_number(rate, name, least=0)


def _rate_at(rate: Any, step: int, name: str) -> float:
    return as_number(rate(step), f"{name}({step})", least=0) if callable(rate) else rate


@names_arguments
@dataclass(frozen=True, repr=False)
class SGD(Outer):
    """Stochastic gradient descent (torch.optim.SGD).

    Parameters
    ----------
    lr : float, callable, or sequence of these
        Learning rate, or a schedule ``step -> rate``; or one a layer. Learned inner rates, which
        are of no layer, move at the largest of the layers that move.
    momentum, dampening, weight_decay : float, default 0
        As in torch; the buffer starts as the first gradient.
    nesterov : bool, default False
        Needs a momentum and no dampening.
    clip_norm : float or None, default None
        Largest global norm of the meta-gradient; larger ones are scaled down to it.
    layers : str or sequence of int, default "all"
        The layers that move: "all", "head" (the last one), "body" (all but the last), or indices,
        negative ones from the end. The others and their moments stay as they are, to the bit;
        neither clipping nor the norm that `Metrics` reports counts their gradient. Learned inner
        rates always move.

    Raises
    ------
    TypeError, ValueError
        For anything out of range, naming the argument.

    Examples
    --------
    >>> SGD([0.1, 0.01], momentum=0.9, layers="head").lr
    (0.1, 0.01)
    """

    name: ClassVar[str] = "sgd"

    momentum: float = _DEFAULTS["sgd"]["momentum"]
    dampening: float = _DEFAULTS["sgd"]["dampening"]
    weight_decay: float = _DEFAULTS["sgd"]["weight_decay"]
    nesterov: bool = bool(_DEFAULTS["sgd"]["nesterov"])

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("momentum", "dampening", "weight_decay"):
            self._check_number(name, least=0)
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError("nesterov needs momentum above 0 and dampening 0")


@names_arguments
@dataclass(frozen=True, repr=False)
class Adam(MomentSpec, Outer):
    """Adam (torch.optim.Adam): L2 decay enters the gradient.

    Parameters
    ----------
    lr : float, callable, or sequence of these, default 1e-3
        As in `SGD`.
    betas : (float, float), default (0.9, 0.999)
        Decay of the two moments, in [0, 1).
    eps : float, default 1e-8
        Added to the root of the corrected second moment. Where both are 0, nothing moves.
    weight_decay : float, default 0
        L2 penalty.
    amsgrad : bool, default False
        Keep the largest second moment.
    clip_norm : float or None, default None
        Largest global norm of the meta-gradient.
    layers : str or sequence of int, default "all"
        The layers that move, as in `SGD`.

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

    lr: Rates = 1e-3
    betas: tuple[float, float] = (_DEFAULTS["adam"]["beta1"], _DEFAULTS["adam"]["beta2"])
    eps: float = _DEFAULTS["adam"]["eps"]
    weight_decay: float = _DEFAULTS["adam"]["weight_decay"]
    amsgrad: bool = bool(_DEFAULTS["adam"]["amsgrad"])

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_betas()
        self._check_number("eps", least=0)
        self._check_number("weight_decay", least=0)


@names_arguments
@dataclass(frozen=True, repr=False)
class AdamW(Adam):
    """Adam with decoupled weight decay (torch.optim.AdamW).

    Parameters
    ----------
    lr, betas, eps, amsgrad, clip_norm, layers
        As in `Adam`.
    weight_decay : float, default 1e-2
        Every step first shrinks theta by ``1 - lr * weight_decay``.

    Examples
    --------
    >>> AdamW().weight_decay
    0.01
    """

    name: ClassVar[str] = "adamw"

    weight_decay: float = _DEFAULTS["adamw"]["weight_decay"]


_FAMILY = Family(Outer, (SGD, Adam, AdamW), "outer optimiser")


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
    return _FAMILY.names


def get(name: OuterName) -> type[Outer]:
    """Return the class of a registered name.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    type

    Raises
    ------
    ValueError
        For any other name.

    Examples
    --------
    >>> get("adamw")(lr=0.1).weight_decay
    0.01
    """
    return _FAMILY.named(name)
