"""The multi-layer perceptron: forward, gradient and Hessian-vector product of one data set.

The Hessian-vector product is the R-operator of Pearlmutter (Neural Computation 1994): every
quantity ``q`` of the forward and backward pass gets ``Rq``, its derivative along ``v``.  Of
networks with normalisation or a context it is the complex step of the gradient.

A context of k numbers stands at the end of theta (then ``[P + k]``) and is what every row of x is
continued with.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oracle.activations import Array, activation, parse
from oracle.complex_step import along
from oracle.losses import LOSSES, Loss, weighted, weighted_outputs
from oracle.normalization import normalize, pull_back

#: Weights of the rows, or of each output of each row (NaN: its target is not known), or which
#: outputs exist; None for all 1.
Weights = NDArray[Any] | None

#: Activations whose first or second derivative jumps at 0.
KINKED = ("relu", "leaky_relu", "elu")


@dataclass(frozen=True)
class Net:
    """Sizes ``(n_0, ..., n_L)``, one activation per hidden layer, a loss name.

    An activation is a name, or one with options: "elu(alpha=0.5)".

    `norm` is None, "layer" or "batch" per hidden layer, or () for none at all.
    """

    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    loss: str
    norm: tuple[str | None, ...] = ()
    context: int = 0

    def norm_of(self, layer: int) -> str | None:
        return self.norm[layer] if layer < len(self.norm) else None

    @property
    def n_params(self) -> int:
        gains = sum(2 * n for n, norm in zip(self.sizes[1:], self.norm, strict=False) if norm)
        return sum((i + 1) * o for i, o in pairwise(self.sizes)) + gains


def inexact(array: ArrayLike) -> Array:
    array = np.asarray(array)
    return array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)


def unflatten(net: Net, theta: ArrayLike) -> list[tuple[Array, ...]]:
    """Cut the flat vector into ``(W, b)`` per layer: W ``[n_in, n_out]`` row-major, then b.

    Where the layer is normalised, ``(W, b, gamma, beta)``.  A context is left out.
    """
    theta = inexact(theta)
    layers, start = [], 0
    for layer, (n_in, n_out) in enumerate(pairwise(net.sizes)):
        parts = [theta[start : start + n_in * n_out].reshape(n_in, n_out)]
        start += n_in * n_out
        for _ in range(3 if net.norm_of(layer) else 1):
            parts.append(theta[start : start + n_out])
            start += n_out
        layers.append(tuple(parts))
    assert start + net.context == theta.size
    return layers


def with_context(net: Net, theta: ArrayLike, x: ArrayLike) -> Array:
    """Every row of x, continued with the context."""
    x, theta = inexact(x), inexact(theta)
    context = theta[theta.size - net.context :]
    return np.hstack([x, np.broadcast_to(context, (len(x), net.context))])


def flatten(layers: list[tuple[Array, ...]]) -> Array:
    """Undo `unflatten`."""
    return np.concatenate([part.ravel() for layer in layers for part in layer])


def forward(net: Net, theta: ArrayLike, x: ArrayLike) -> tuple[list[Array], list[Array]]:
    """Inputs ``H_{l-1}`` and results ``z_l`` of every layer; the last ``z`` is the output.

    A result is what the activation is applied to: normalised where the layer is.
    """
    h = with_context(net, theta, x)
    inputs, results = [], []
    for layer, (weights, bias, *affine) in enumerate(unflatten(net, theta)):
        inputs.append(h)
        results.append(h @ weights + bias)
        if affine:
            gamma, beta = affine
            results[-1] = gamma * normalize(net.norm[layer], results[-1]) + beta
        if layer < len(net.activations):
            h = activation(net.activations[layer]).apply(results[-1])
    return inputs, results


def predict(net: Net, theta: ArrayLike, x: ArrayLike) -> Array:
    """Outputs ``[n, n_L]``."""
    return forward(net, theta, x)[1][-1]


def _loss_of(net: Net, weights: Weights, classes: Weights) -> Loss:
    if weights is None and classes is None:
        return LOSSES[net.loss]
    if weights is not None and np.ndim(weights) == 2:
        return weighted_outputs(LOSSES[net.loss], weights)
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
    return back_propagate(net, theta, layers, inputs, results, delta)


def vjp(net: Net, theta: ArrayLike, x: ArrayLike, cotangent: ArrayLike) -> Array:
    """The outputs' Jacobian, transposed, times a cotangent ``[n, n_L]``; flat."""
    inputs, results = forward(net, theta, x)
    return back_propagate(net, theta, unflatten(net, theta), inputs, results, inexact(cotangent))


def back_propagate(
    net: Net,
    theta: ArrayLike,
    layers: list[tuple[Array, ...]],
    inputs: list[Array],
    results: list[Array],
    delta: Array,
) -> Array:
    """From the gradient on the outputs, after `forward`."""
    parts: list[tuple[Array, ...]] = []
    for layer in reversed(range(len(layers))):
        weights, bias, *affine = layers[layer]
        if affine:
            z = inputs[layer] @ weights + bias
            of_affine = ((delta * normalize(net.norm[layer], z)).sum(axis=0), delta.sum(axis=0))
            delta = pull_back(net.norm[layer], z, affine[0] * delta)
        # What is the same for all rows is taken off by batch normalisation: 0, and not rounding.
        of_bias = delta.sum(axis=0) * (net.norm_of(layer) != "batch")
        parts.append((inputs[layer].T @ delta, of_bias, *(of_affine if affine else ())))
        if layer > 0:
            d1 = activation(net.activations[layer - 1]).d1(results[layer - 1])
            delta = (delta @ weights.T) * d1
    of_context = (delta @ layers[0][0].T).sum(axis=0)[len(layers[0][0]) - net.context :]
    return np.concatenate([flatten(parts[::-1]), of_context])


def jvp(net: Net, theta: ArrayLike, x: ArrayLike, v: ArrayLike) -> Array:
    """The outputs' Jacobian times ``v``: ``[n, n_L]``."""
    return along(lambda theta: predict(net, theta, x), inexact(theta), inexact(v))


def jacobian(net: Net, theta: ArrayLike, x: ArrayLike) -> Array:
    """The outputs' Jacobian ``[n, n_L, P]``, column by column."""
    columns = [jvp(net, theta, x, v) for v in np.eye(np.size(theta))]
    return np.stack(columns, axis=-1)


def gnvp(
    net: Net,
    theta: ArrayLike,
    x: ArrayLike,
    y: NDArray[Any],
    v: ArrayLike,
    weights: Weights = None,
    classes: Weights = None,
) -> Array:
    """The generalised Gauss-Newton matrix of `loss` times ``v``, flat."""
    curvature = _loss_of(net, weights, classes).hessian_times(
        predict(net, theta, x), y, jvp(net, theta, x, v)
    )
    return vjp(net, theta, x, curvature)


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
    if any(net.norm) or net.context:
        return along(
            lambda theta: gradient(net, theta, x, y, weights, classes), inexact(theta), inexact(v)
        )
    row_loss = _loss_of(net, weights, classes)
    layers, directions = unflatten(net, theta), unflatten(net, v)
    inputs, results = forward(net, theta, x)

    r_inputs, r_results = [], []
    r_h = np.zeros_like(inputs[0])
    for layer, ((w, _), (r_weights, r_bias)) in enumerate(zip(layers, directions, strict=True)):
        r_inputs.append(r_h)
        r_results.append(r_h @ w + inputs[layer] @ r_weights + r_bias)
        if layer < len(net.activations):
            d1 = activation(net.activations[layer]).d1(results[layer])
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
            sigma = activation(net.activations[layer - 1])
            d1, d2 = sigma.d1(results[layer - 1]), sigma.d2(results[layer - 1])
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
        if parse(name)[0] in KINKED
    ]
    return float(min(distances, default=np.inf))
