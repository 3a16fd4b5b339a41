"""Activations of hidden layers. Definitions in the core, one file each.

`MLP` takes a name, or one of these objects where an activation has an option; definitions and
defaults of the options are PyTorch's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from fomaml_fast._loader import core
from fomaml_fast._registry import Family, Spec, defaults, names_arguments

#: The names, for type checkers.
ActivationName = Literal[
    "relu",
    "leaky_relu",
    "elu",
    "tanh",
    "sigmoid",
    "softplus",
    "gelu",
    "silu",
    "sin",
    "identity",
]

_DEFAULTS = defaults("activations")


@dataclass(frozen=True, repr=False)
class Activation(Spec):
    """Base of all activations; not one itself."""

    _family: ClassVar[str] = "activations"

    @property
    def initialization(self) -> str:
        """Scheme that the weights before it are drawn by, unless `MLP.init` is told another."""
        return str(core.facts["activations"][self.name]["initialization"])


@names_arguments
@dataclass(frozen=True, repr=False)
class LeakyReLU(Activation):
    """``z`` where it is above 0, else ``negative_slope * z`` (torch.nn.LeakyReLU).

    Parameters
    ----------
    negative_slope : float, default 0.01
        Slope below 0, and at 0. Any finite number.

    Raises
    ------
    TypeError, ValueError
        If the slope is not a finite number.

    Examples
    --------
    >>> LeakyReLU(0.2)
    LeakyReLU(negative_slope=0.2)
    """

    name: ClassVar[str] = "leaky_relu"
    negative_slope: float = _DEFAULTS["leaky_relu"]["negative_slope"]


@names_arguments
@dataclass(frozen=True, repr=False)
class ELU(Activation):
    """``z`` where it is above 0, else ``alpha * (exp(z) - 1)`` (torch.nn.ELU).

    Parameters
    ----------
    alpha : float, default 1.0
        Minus the value at minus infinity. Both derivatives at 0 are alpha. Any finite number.

    Raises
    ------
    TypeError, ValueError
        If alpha is not a finite number.

    Examples
    --------
    >>> ELU(alpha=0.5)
    ELU(alpha=0.5)
    """

    name: ClassVar[str] = "elu"
    alpha: float = _DEFAULTS["elu"]["alpha"]


@names_arguments
@dataclass(frozen=True, repr=False)
class Sin(Activation):
    """``sin(frequency * z)``: sinusoidal representation networks (Sitzmann et al. 2020).

    ``MLP.init(scheme="siren")`` draws the weights that belong to it.

    Parameters
    ----------
    frequency : float, default 1.0
        The paper's omega_0, which is 30 there. Above 0, in radians per unit of the pre-activation.

    Raises
    ------
    TypeError, ValueError
        If the frequency is not a finite number above 0.

    Examples
    --------
    >>> Sin(frequency=30.0)
    Sin(frequency=30.0)
    """

    name: ClassVar[str] = "sin"
    frequency: float = _DEFAULTS["sin"]["frequency"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frequency <= 0:
            raise ValueError(f"frequency must be above 0, got {self.frequency}")


_FAMILY = Family(Activation, (LeakyReLU, ELU, Sin), "activation")


def names() -> tuple[str, ...]:
    """Names accepted by `MLP`, in registry order.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> "tanh" in names()
    True
    """
    return _FAMILY.names


def get(activation: ActivationName | Activation, name: str = "activation") -> Activation:
    """Return the activation of a name, or the object itself.

    Parameters
    ----------
    activation : str or Activation
        A registered name, or an object of this module.
    name : str, default "activation"
        What errors call it.

    Returns
    -------
    Activation

    Raises
    ------
    ValueError, TypeError
        For an unknown name, or anything else.

    Examples
    --------
    >>> get("leaky_relu")
    LeakyReLU(negative_slope=0.01)
    """
    return _FAMILY.get(activation, name)
