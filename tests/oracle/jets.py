"""Derivatives of the outputs over the inputs: by complex steps, and layer by layer.

Along a direction ``d`` of the inputs a layer's values ``h`` have derivatives ``h'`` and ``h''``.
An affine layer maps each by its weights; an activation s does so by the chain rule (Faa di Bruno):
``h' = s'(z) z'`` and ``h'' = s''(z) z'^2 + s'(z) z''``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from oracle.activations import Array, activation
from oracle.complex_step import along, columns
from oracle.network import Net, inexact, predict, unflatten


class Jet(NamedTuple):
    """``value [n, n_L]``, ``first`` and ``second [n, D, n_L]``."""

    value: Array
    first: Array
    second: Array


def input_jvp(net: Net, theta: ArrayLike, x: ArrayLike, tangent: ArrayLike) -> Array:
    """The outputs' derivative where the inputs move along `tangent`: ``[n, n_L]``."""
    return along(lambda x: predict(net, theta, x), inexact(x), inexact(tangent))


def input_vjp(net: Net, theta: ArrayLike, x: ArrayLike, cotangent: ArrayLike) -> Array:
    """The derivative of ``sum(cotangent * outputs)`` over every input: ``[n, n_0]``."""
    x, cotangent = inexact(x), inexact(cotangent)
    return columns(lambda x: np.sum(cotangent * predict(net, theta, x)), x).reshape(x.shape)


def input_jacobian(net: Net, theta: ArrayLike, x: ArrayLike) -> Array:
    """Every row's outputs over the row's own inputs: ``[n, n_L, n_0]``."""
    rows = [columns(lambda row: predict(net, theta, row)[0], row[None]) for row in inexact(x)]
    return np.stack(rows)


def jet(net: Net, theta: ArrayLike, x: ArrayLike, directions: ArrayLike) -> Jet:
    """Outputs with first and second derivatives along every direction ``[D, n_0]``."""
    found = [_along(net, theta, inexact(x), d) for d in inexact(directions)]
    value = found[0][0]
    return Jet(value, np.stack([f[1] for f in found], 1), np.stack([f[2] for f in found], 1))


def _along(net: Net, theta: ArrayLike, x: Array, d: Array) -> tuple[Array, Array, Array]:
    h, first, second = x, np.tile(d, (len(x), 1)), np.zeros_like(x)
    for layer, (weights, bias) in enumerate(unflatten(net, theta)):
        z, z1, z2 = h @ weights + bias, first @ weights, second @ weights
        if layer == len(net.activations):
            return z, z1, z2
        s = activation(net.activations[layer])
        h, first, second = s.apply(z), s.d1(z) * z1, s.d2(z) * z1**2 + s.d1(z) * z2
    raise AssertionError("the last layer has no activation")


def jet_vjp(
    net: Net, theta: ArrayLike, x: ArrayLike, directions: ArrayLike, cotangent: Jet
) -> Array:
    """The derivative of ``sum(cotangent * jet)`` over theta, number by number; None is 0."""

    def total(theta: Array) -> Array:
        parts = zip(jet(net, theta, x, directions), cotangent, strict=True)
        return np.asarray(sum(np.sum(c * part) for part, c in parts if c is not None))

    return columns(total, inexact(theta))
