"""The multi-layer perceptron: forward, gradient and Hessian-vector product of one data set.

The Hessian-vector product is the R-operator of Pearlmutter (Neural Computation 1994): every
quantity ``q`` of the forward and backward pass gets ``Rq``, its derivative along ``v``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oracle.activations import ACTIVATIONS, Array
from oracle.losses import LOSSES, Loss, weighted

#: Weights of the rows, or which outputs exist; None for all 1.
Weights = NDArray[Any] | None

#: Activations whose first or second derivative jumps at 0.
KINKED = ("relu", "leaky_relu", "elu")


@dataclass(frozen=True)
class Net:
    """Sizes ``(n_0, ..., n_L)``, one activation name per hidden layer, a loss name."""

    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    loss: str

    @property
    def n_params(self) -> int:
        return sum((i + 1) * o for i, o in pairwise(self.sizes))


def inexact(array: ArrayLike) -> Array:
    array = np.asarray(array)
    return array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)


def unflatten(net: Net, theta: ArrayLike) -> list[tuple[Array, Array]]:
    """Cut the flat vector into ``(W, b)`` per layer: W ``[n_in, n_out]`` row-major, then b."""
    theta = inexact(theta)
    layers, start = [], 0
    for n_in, n_out in pairwise(net.sizes):
        weights = theta[start : start + n_in * n_out].reshape(n_in, n_out)
        start += n_in * n_out
        layers.append((weights, theta[start : start + n_out]))
        start += n_out
    assert start == theta.size
    return layers


def flatten(layers: list[tuple[Array, Array]]) -> Array:
    """Undo `unflatten`."""
    return np.concatenate([part.ravel() for layer in layers for part in layer])


def forward(net: Net, theta: ArrayLike, x: ArrayLike) -> tuple[list[Array], list[Array]]:
    """Inputs ``H_{l-1}`` and results ``z_l`` of every affine map; the last ``z`` is the output."""
    h = inexact(x)
    inputs, results = [], []
    for layer, (weights, bias) in enumerate(unflatten(net, theta)):
        inputs.append(h)
        results.append(h @ weights + bias)
        if layer < len(net.activations):
            h = ACTIVATIONS[net.activations[layer]].apply(results[-1])
    return inputs, results


def predict(net: Net, theta: ArrayLike, x: ArrayLike) -> Array:
    """Outputs ``[n, n_L]``."""
    return forward(net, theta, x)[1][-1]


def _loss_of(net: Net, weights: Weights, classes: Weights) -> Loss:
    if weights is None and classes is None:
        return LOSSES[net.loss]
    return weighted(LOSSES[net.loss], weights, classes)


def loss(
    net: Net,
    theta: ArrayLike,
    x: ArrayLike,
    y: NDArray[Any],
    weights: Weights = None,
    classes: Weights = None,
) -> Any:
    """The mean of the rows' losses times their weights, over some of the outputs."""
    return _loss_of(net, weights, classes).value(predict(net, theta, x), y)


def gradient(
    net: Net,
    theta: ArrayLike,
    x: ArrayLike,
    y: NDArray[Any],
    weights: Weights = None,
    classes: Weights = None,
) -> Array:
    """The gradient of `loss` by backpropagation, flat."""
    layers = unflatten(net, theta)
    inputs, results = forward(net, theta, x)
    delta = _loss_of(net, weights, classes).gradient(results[-1], y)
    parts = []
    for layer in reversed(range(len(layers))):
        parts.append((inputs[layer].T @ delta, delta.sum(axis=0)))
        if layer > 0:
            d1 = ACTIVATIONS[net.activations[layer - 1]].d1(results[layer - 1])
            delta = (delta @ layers[layer][0].T) * d1
    return flatten(parts[::-1])


def hvp(
    net: Net,
    theta: ArrayLike,
    x: ArrayLike,
    y: NDArray[Any],
    v: ArrayLike,
    weights: Weights = None,
    classes: Weights = None,
) -> Array:
    """The Hessian of `loss` times ``v``, flat."""
    row_loss = _loss_of(net, weights, classes)
    layers, directions = unflatten(net, theta), unflatten(net, v)
    inputs, results = forward(net, theta, x)

    r_inputs, r_results = [], []
    r_h = np.zeros_like(inputs[0])
    for layer, ((w, _), (r_weights, r_bias)) in enumerate(zip(layers, directions, strict=True)):
        r_inputs.append(r_h)
        r_results.append(r_h @ w + inputs[layer] @ r_weights + r_bias)
        if layer < len(net.activations):
            d1 = ACTIVATIONS[net.activations[layer]].d1(results[layer])
            r_h = d1 * r_results[-1]

    delta = row_loss.gradient(results[-1], y)
    r_delta = row_loss.hessian_times(results[-1], y, r_results[-1])
    parts = []
    for layer in reversed(range(len(layers))):
        parts.append(
            (
                r_inputs[layer].T @ delta + inputs[layer].T @ r_delta,
                r_delta.sum(axis=0),
            )
        )
        if layer > 0:
            activation = ACTIVATIONS[net.activations[layer - 1]]
            d1, d2 = activation.d1(results[layer - 1]), activation.d2(results[layer - 1])
            g_h = delta @ layers[layer][0].T
            r_g_h = r_delta @ layers[layer][0].T + delta @ directions[layer][0].T
            delta = g_h * d1
            r_delta = r_g_h * d1 + g_h * d2 * r_results[layer - 1]
    return flatten(parts[::-1])


def kink_distance(net: Net, theta: ArrayLike, x: ArrayLike) -> float:
    """The smallest ``|z|`` in front of a rectifier: how far the data is from its corner."""
    _, results = forward(net, theta, x)
    distances = [
        np.min(np.abs(z))
        for z, name in zip(results[:-1], net.activations, strict=True)
        if name in KINKED
    ]
    return float(min(distances, default=np.inf))
