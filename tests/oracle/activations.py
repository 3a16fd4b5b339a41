"""Activations: value, first and second derivative, elementwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Activation(NamedTuple):
    """``apply``, ``d1`` and ``d2`` of the pre-activation ``z``."""

    apply: Callable[[Array], Array]
    d1: Callable[[Array], Array]
    d2: Callable[[Array], Array]


def _not_positive(z: Array) -> Array:
    return np.where(z.real > 0, 0, z)


def _sigmoid(z: Array) -> Array:
    # Written so that the exponential is of a number whose real part is at most 0.
    positive = z.real > 0
    e = np.exp(np.where(positive, -z, z))
    return np.where(positive, 1, e) / (1 + e)


def _softplus(z: Array) -> Array:
    positive = z.real > 0
    return np.where(positive, z, 0) + np.log1p(np.exp(np.where(positive, -z, z)))


def _sigmoid_d1(z: Array) -> Array:
    return _sigmoid(z) * _sigmoid(-z)


def _sigmoid_d2(z: Array) -> Array:
    return _sigmoid_d1(z) * (1 - 2 * _sigmoid(z))


# gelu in its tanh form (Hendrycks and Gimpel 2016) is z/2 (1 + tanh u), u = c (z + d z^3).  As
# (1 + tanh u) / 2 = sigmoid(2 u), it is z sigmoid(p) with p = 2 u, free of cancellation.
_C, _D = np.sqrt(2 / np.pi), 0.044715


def _gelu_p(z: Array) -> tuple[Array, Array, Array]:
    return 2 * _C * (z + _D * z**3), 2 * _C * (1 + 3 * _D * z**2), 2 * _C * 6 * _D * z


def _gelu(z: Array) -> Array:
    p, _, _ = _gelu_p(z)
    return z * _sigmoid(p)


def _gelu_d1(z: Array) -> Array:
    p, p1, _ = _gelu_p(z)
    return _sigmoid(p) + z * _sigmoid_d1(p) * p1


def _gelu_d2(z: Array) -> Array:
    p, p1, p2 = _gelu_p(z)
    return 2 * _sigmoid_d1(p) * p1 + z * (_sigmoid_d2(p) * p1**2 + _sigmoid_d1(p) * p2)


def _leaky_relu(negative_slope: float = 0.01) -> Activation:
    return Activation(
        lambda z: np.where(z.real > 0, z, negative_slope * z),
        lambda z: np.where(z.real > 0, 1.0, negative_slope),
        lambda z: np.zeros_like(z),
    )


def _elu(alpha: float = 1.0) -> Activation:
    return Activation(
        lambda z: np.where(z.real > 0, z, alpha * np.expm1(_not_positive(z))),
        lambda z: np.where(z.real > 0, 1, alpha * np.exp(_not_positive(z))),
        lambda z: np.where(z.real > 0, 0, alpha * np.exp(_not_positive(z))),
    )


def _sin(frequency: float = 1.0) -> Activation:
    return Activation(
        lambda z: np.sin(frequency * z),
        lambda z: frequency * np.cos(frequency * z),
        lambda z: -(frequency**2) * np.sin(frequency * z),
    )


_WITH_OPTIONS: dict[str, Callable[..., Activation]] = {
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "sin": _sin,
}

#: What has other options than the defaults.
VARIANTS = (
    "leaky_relu(negative_slope=0.2)",
    "leaky_relu(negative_slope=-0.5)",
    "elu(alpha=0.5)",
    "elu(alpha=-0.7)",
    "sin(frequency=0.7)",
)


def parse(label: str) -> tuple[str, dict[str, float]]:
    """Name and options of a label such as "elu(alpha=0.5)"."""
    name, _, rest = label.partition("(")
    given = (pair.split("=") for pair in rest.removesuffix(")").split(",") if pair)
    return name, {option.strip(): float(value) for option, value in given}


def activation(label: str) -> Activation:
    """Return what a name, or a name with options, stands for."""
    name, options = parse(label)
    return _WITH_OPTIONS[name](**options) if options else ACTIVATIONS[name]


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(
        lambda z: np.where(z.real > 0, z, 0),
        lambda z: np.where(z.real > 0, 1.0, 0.0),
        lambda z: np.zeros_like(z),
    ),
    "leaky_relu": _leaky_relu(),
    "elu": _elu(),
    "tanh": Activation(
        np.tanh,
        lambda z: 1 - np.tanh(z) ** 2,
        lambda z: -2 * np.tanh(z) * (1 - np.tanh(z) ** 2),
    ),
    "sigmoid": Activation(_sigmoid, _sigmoid_d1, _sigmoid_d2),
    "softplus": Activation(_softplus, _sigmoid, _sigmoid_d1),
    "gelu": Activation(_gelu, _gelu_d1, _gelu_d2),
    "silu": Activation(
        lambda z: z * _sigmoid(z),
        lambda z: _sigmoid(z) + z * _sigmoid_d1(z),
        lambda z: 2 * _sigmoid_d1(z) + z * _sigmoid_d2(z),
    ),
    "sin": Activation(np.sin, np.cos, lambda z: -np.sin(z)),
    "identity": Activation(
        lambda z: z,
        lambda z: np.ones_like(z),
        lambda z: np.zeros_like(z),
    ),
}
