"""Inner optimisers, and heads in closed form: how a task adapts. Definitions in the core.

All of them are differentiated exactly through their state. Signatures and defaults are
torch.optim's, definitions too, but that nothing is dampened.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

import numpy as np

from fomaml_fast._arrays import as_array, as_number
from fomaml_fast._registry import Family, MomentSpec, Spec, defaults, names_arguments
from fomaml_fast.heads import BayesianHead as BayesianHead  # another way to adapt

#: The names, for type checkers.
InnerName = Literal["sgd", "adam", "rmsprop", "adagrad"]

_DEFAULTS = defaults("inner")

#: Learning rates: one, one per layer [L], per step and layer [S, L], or per parameter [P].
Rates = float | tuple[float, ...] | tuple[tuple[float, ...], ...]


def _as_rates(value: Any, name: str) -> Rates:
    """Return finite rates as a number or as (nested) tuples."""
    array = as_array(value, name)
    if array.ndim == 0:
        return as_number(value.item() if isinstance(value, np.ndarray) else value, name)
    if array.ndim not in (1, 2) or array.size == 0 or array.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} must be a number, or numbers [layers], [steps, layers] or [parameters], "
            f"got {array.dtype} of shape {list(array.shape)}"
        )
    rates = array.astype(np.float64)
    if not np.isfinite(rates).all():
        raise ValueError(f"{name} must be finite, got {rates[~np.isfinite(rates)][0]}")
    nested = rates.tolist()
    return tuple(nested) if rates.ndim == 1 else tuple(map(tuple, nested))


def _short(value: Any) -> str:
    """As repr, but many rates by their shape."""
    shape = np.shape(value)
    if np.prod(shape, dtype=int) <= 8:
        return repr(value)
    return f"<{' x '.join(map(str, shape))} rates>"


class NegativeRate(UserWarning):
    """An inner learning rate given by hand is below 0; learned ones may be."""


@dataclass(frozen=True, repr=False)
class Inner(Spec):
    """Base of all inner optimisers; not one itself.

    Step k of a task, over the parameters that adapt, with g the gradient of its support loss:
    ``g *= min(1, clip_norm / ||g||)``; ``g += weight_decay * theta + proximal * (theta -
    theta_0)``; the optimiser's direction d from g and its state; ``theta -= lr * (d +
    decoupled_weight_decay * theta)``.
    """

    _family: ClassVar[str] = "inner"

    lr: Any
    decoupled_weight_decay: float = field(default=0.0, kw_only=True)
    proximal: float = field(default=0.0, kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "lr", _as_rates(self.lr, "lr"))
        for name in ("decoupled_weight_decay", "proximal", "weight_decay"):
            if hasattr(self, name):
                self._check_number(name, least=0)
        if self.clip_norm is not None:
            self._check_number("clip_norm", least=0)
            if self.clip_norm == 0:
                raise ValueError("clip_norm must be above 0, got 0; None does not clip")

    def _question(self) -> None:
        """Ask about rates below 0: steps then ascend the support loss."""
        lowest = float(np.min(self.lr))
        if lowest < 0:
            warnings.warn(
                f"lr holds {lowest}, below 0: the inner loop ascends the support loss. Is that "
                "meant? If so: warnings.simplefilter('ignore', fomaml_fast.inner.NegativeRate)",
                NegativeRate,
                stacklevel=3,
            )

    @property
    def shared(self) -> dict[str, float]:
        """What may be added to any optimiser; 0 where it is not."""
        return {
            "weight_decay": float(getattr(self, "weight_decay", 0.0)),
            "decoupled_weight_decay": self.decoupled_weight_decay,
            "proximal": self.proximal,
            "clip_norm": self.clip_norm or 0.0,
        }

    def __repr__(self) -> str:
        """The rate, and whatever is not at its default."""
        shown = [
            f"{f.name}={_short(getattr(self, f.name))}"
            for f in sorted(fields(self), key=lambda f: bool(f.kw_only))
            if f.name == "lr" or getattr(self, f.name) != f.default
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


@names_arguments
@dataclass(frozen=True, repr=False)
class SGD(Inner):
    """Gradient descent on the whole support set, ``theta <- theta - lr * g`` (torch.optim.SGD).

    Parameters
    ----------
    lr : float or array, default 1e-3
        Learning rate alpha: one finite number of any sign, one per layer ``[L]``, one per step and
        layer ``[S, L]`` (further steps repeat the last), or one per parameter ``[P]``.
    momentum : float, default 0
        ``b <- momentum * b + g`` with b = 0 at first; theta moves along b.
    weight_decay : float, default 0
        L2 penalty: added to the gradient, times theta.
    nesterov : bool, default False
        Move along ``g + momentum * b``; needs a momentum.
    decoupled_weight_decay : float, default 0
        Added to the direction, times theta, after the optimiser's own arithmetic (AdamW's decay).
    proximal : float, default 0
        Pull towards the initialisation: added to the gradient, times ``theta - theta_0``.
    clip_norm : float or None, default None
        Largest norm of a task's support gradient over what adapts; larger ones are scaled to it.

    Raises
    ------
    TypeError, ValueError
        For anything out of range, naming the argument.

    Examples
    --------
    >>> SGD(0.01)
    SGD(lr=0.01)
    >>> SGD(0.01, momentum=0.9, clip_norm=10.0)
    SGD(lr=0.01, momentum=0.9, clip_norm=10.0)
    """

    name: ClassVar[str] = "sgd"

    lr: Any = 1e-3
    momentum: float = _DEFAULTS["sgd"]["momentum"]
    weight_decay: float = 0.0
    nesterov: bool = bool(_DEFAULTS["sgd"]["nesterov"])

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_number("momentum", least=0)
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs momentum above 0")


@names_arguments
@dataclass(frozen=True, repr=False)
class Adam(MomentSpec, Inner):
    """Adam (Kingma & Ba 2015; torch.optim.Adam), its steps counted from 1 in every task.

    Parameters
    ----------
    lr : float or array, default 1e-3
        As in `SGD`.
    betas : (float, float), default (0.9, 0.999)
        Decay of the two moments, in [0, 1).
    eps : float, default 1e-8
        Added to the root of the corrected second moment. Where both are 0, nothing moves.
    weight_decay, decoupled_weight_decay, proximal, clip_norm
        As in `SGD`.

    Raises
    ------
    TypeError, ValueError
        For anything out of range, naming the argument.

    Examples
    --------
    >>> Adam(1e-2, eps=0.1)
    Adam(lr=0.01, eps=0.1)
    """

    name: ClassVar[str] = "adam"

    lr: Any = 1e-3
    betas: tuple[float, float] = (_DEFAULTS["adam"]["beta1"], _DEFAULTS["adam"]["beta2"])
    eps: float = _DEFAULTS["adam"]["eps"]
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_betas()
        self._check_number("eps", least=0)


@names_arguments
@dataclass(frozen=True, repr=False)
class RMSprop(Inner):
    """RMSprop (Tieleman & Hinton 2012; torch.optim.RMSprop).

    Parameters
    ----------
    lr : float or array, default 1e-2
        As in `SGD`.
    alpha : float, default 0.99
        Decay of the mean square, in [0, 1).
    eps : float, default 1e-8
        Added to the root.
    weight_decay, decoupled_weight_decay, proximal, clip_norm
        As in `SGD`.
    momentum : float, default 0
        As in `SGD`, of the scaled gradient.
    centered : bool, default False
        Take the square of the running mean off the mean square.

    Raises
    ------
    TypeError, ValueError
        For anything out of range, naming the argument.

    Examples
    --------
    >>> RMSprop(centered=True)
    RMSprop(lr=0.01, centered=True)
    """

    name: ClassVar[str] = "rmsprop"

    lr: Any = 1e-2
    alpha: float = _DEFAULTS["rmsprop"]["alpha"]
    eps: float = _DEFAULTS["rmsprop"]["eps"]
    weight_decay: float = 0.0
    momentum: float = _DEFAULTS["rmsprop"]["momentum"]
    centered: bool = bool(_DEFAULTS["rmsprop"]["centered"])

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_below_one("alpha")
        self._check_number("eps", least=0)
        self._check_number("momentum", least=0)


@names_arguments
@dataclass(frozen=True, repr=False)
class Adagrad(Inner):
    """Adagrad (Duchi, Hazan & Singer 2011; torch.optim.Adagrad).

    Parameters
    ----------
    lr : float or array, default 1e-2
        As in `SGD`.
    lr_decay : float, default 0
        Step t, from 1, has the rate ``lr / (1 + (t - 1) * lr_decay)``.
    weight_decay, decoupled_weight_decay, proximal, clip_norm
        As in `SGD`.
    initial_accumulator_value : float, default 0
        What the sum of squares starts at.
    eps : float, default 1e-10
        Added to the root.

    Raises
    ------
    TypeError, ValueError
        For anything out of range, naming the argument.

    Examples
    --------
    >>> Adagrad(0.1)
    Adagrad(lr=0.1)
    """

    name: ClassVar[str] = "adagrad"

    lr: Any = 1e-2
    lr_decay: float = _DEFAULTS["adagrad"]["lr_decay"]
    weight_decay: float = 0.0
    initial_accumulator_value: float = _DEFAULTS["adagrad"]["initial_accumulator_value"]
    eps: float = _DEFAULTS["adagrad"]["eps"]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("lr_decay", "initial_accumulator_value", "eps"):
            self._check_number(name, least=0)


_FAMILY = Family(Inner, (SGD, Adam, RMSprop, Adagrad), "inner optimiser")


def names() -> tuple[str, ...]:
    """Names of the registered inner optimisers.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> names()
    ('sgd', 'adam', 'rmsprop', 'adagrad')
    """
    return _FAMILY.names


def get(name: InnerName) -> type[Inner]:
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
    >>> get("adam")(lr=0.1)
    Adam(lr=0.1)
    """
    return _FAMILY.named(name)
