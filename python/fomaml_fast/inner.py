"""Inner optimisers: how a task adapts. Definitions in the core, one file each.

All of them are differentiated exactly through their state. Signatures and defaults are
torch.optim's, definitions too, but that nothing is dampened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any, ClassVar

import numpy as np

from fomaml_fast._arrays import as_array, as_number, is_sequence, one_of
from fomaml_fast._loader import core
from fomaml_fast._shown import shown

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


@dataclass(frozen=True, repr=False)
class Inner:
    """Base of all inner optimisers; not one itself.

    Step k of a task, over the parameters that adapt, with g the gradient of its support loss:
    ``g *= min(1, clip_norm / ||g||)``; ``g += weight_decay * theta + proximal * (theta -
    theta_0)``; the optimiser's direction d from g and its state; ``theta -= lr * (d +
    decoupled_weight_decay * theta)``.
    """

    name: ClassVar[str]

    lr: Any
    decoupled_weight_decay: float = field(default=0.0, kw_only=True)
    proximal: float = field(default=0.0, kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr", _as_rates(self.lr, "lr"))
        for name in ("decoupled_weight_decay", "proximal", "weight_decay"):
            if hasattr(self, name):
                self._check_number(name, least=0)
        if self.clip_norm is not None:
            self._check_number("clip_norm", least=0)
            if self.clip_norm == 0:
                raise ValueError("clip_norm must be above 0, got 0; None does not clip")

    def _check_number(self, name: str, **bounds: float | None) -> None:
        object.__setattr__(self, name, as_number(getattr(self, name), name, **bounds))

    def _check_below_one(self, name: str) -> None:
        self._check_number(name, least=0)
        if getattr(self, name) >= 1:
            raise ValueError(f"{name} must be below 1, got {getattr(self, name)}")

    def _check_flag(self, name: str) -> None:
        if not isinstance(getattr(self, name), bool):
            raise TypeError(f"{name} must be True or False, got {shown(getattr(self, name))}")

    def _option(self, name: str) -> float:
        return float(getattr(self, name))

    @property
    def options(self) -> tuple[float, ...]:
        """Hyper-parameters of the optimiser itself, in the core's order."""
        return tuple(self._option(name) for name, _ in core.inner_options[self.name])

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
    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_number("momentum", least=0)
        self._check_flag("nesterov")
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs momentum above 0")


@dataclass(frozen=True, repr=False)
class Adam(Inner):
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
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_sequence(self.betas) or len(self.betas) != 2:
            raise TypeError(f"betas must be two numbers, got {shown(self.betas)}")
        first, second = self.betas
        betas = (as_number(first, "betas[0]", least=0), as_number(second, "betas[1]", least=0))
        if max(betas) >= 1:
            raise ValueError(f"betas must be below 1, got {betas}")
        object.__setattr__(self, "betas", betas)
        self._check_number("eps", least=0)

    def _option(self, name: str) -> float:
        if name in ("beta1", "beta2"):
            return self.betas[name == "beta2"]
        return super()._option(name)


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
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_below_one("alpha")
        self._check_number("eps", least=0)
        self._check_number("momentum", least=0)
        self._check_flag("centered")


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
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("lr_decay", "initial_accumulator_value", "eps"):
            self._check_number(name, least=0)


def _made_from(name: str) -> type[Inner]:
    """The class of an optimiser that only the core knows: its options, with their defaults."""
    own = [
        (option, float, field(default=value, kw_only=True))
        for option, value in core.inner_options[name]
    ]
    title = re.sub("(?:^|_)(.)", lambda match: match[1].upper(), name)
    namespace = {"name": name, "__doc__": f"The core's `{name}`.", "__module__": __name__}
    common = ("weight_decay", float, field(default=0.0, kw_only=True))
    return make_dataclass(
        title, [*own, common], bases=(Inner,), namespace=namespace, frozen=True, repr=False
    )


_BY_NAME: dict[str, type[Inner]] = {kind.name: kind for kind in (SGD, Adam, RMSprop, Adagrad)}
for _name in core.inner_names:
    if _name not in _BY_NAME:
        _BY_NAME[_name] = _made_from(_name)
        globals()[_BY_NAME[_name].__name__] = _BY_NAME[_name]


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
    return tuple(core.inner_names)


def get(name: str) -> type[Inner]:
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
    return _BY_NAME[str(one_of(name, "name", names()))]
