"""A head in closed form as the definition has it, and its gradient by complex steps.

A task is linear in the features ``phi`` (the last hidden layer's outputs, and a 1), with the prior
``w_j ~ N(w0_j, s_j^2 V)`` and noise ``s_j^2 / c`` of a row of weight c. Nothing here is clever: V
is inverted, and every derivative is a complex step over one number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle.activations import Array
from oracle.complex_step import columns
from oracle.losses import LOSSES, weighted, weighted_outputs
from oracle.network import Net, forward, inexact, unflatten


@dataclass(frozen=True)
class Head:
    """What is not learned."""

    prior: str
    predictive: bool = False
    zero_mean: bool = False
    scores: bool = False


@dataclass(frozen=True)
class Rows:
    """One task; weights ``[n]``, or ``[n, n_L]`` where NaN says that a target is not known."""

    x_support: Array
    y_support: NDArray[Any]
    x_query: Array
    y_query: NDArray[Any]
    weights_support: Array | None = None
    weights_query: Array | None = None


def features(net: Net, theta: Array, x: Array) -> Array:
    """``[n, m]``."""
    hidden = forward(net, theta, x)[0][-1]
    return np.hstack([hidden, np.ones((len(x), 1))])


def parts(head: Head, numbers: Array, m: int, outputs: int) -> tuple[Array, Array, Any, Any]:
    """V ``[m, m]``, s ``[n_L]``, scale and shift."""
    numbers = inexact(numbers)
    if head.prior == "scalar":
        factor, used = np.exp(numbers[0]) * np.eye(m), 1
    elif head.prior == "diagonal":
        factor, used = np.diag(np.exp(numbers[:m])), m
    else:
        used = m * (m + 1) // 2
        factor = np.zeros((m, m), numbers.dtype)
        factor[np.tril_indices(m)] = numbers[:used]
        factor[np.diag_indices(m)] = np.exp(np.diagonal(factor))
    noise = np.exp(numbers[used : used + outputs])
    scale, shift = numbers[used + outputs :] if head.scores else (1.0, 0.0)
    return factor @ factor.T, noise, scale, shift


def posterior(
    net: Net, head: Head, theta: Array, numbers: Array, task: Rows
) -> tuple[Array, list[Array]]:
    """Weights ``[m, n_L]`` before scale and shift, and every output's inverse of A."""
    phi = features(net, theta, task.x_support)
    outputs = net.sizes[-1]
    y = task.y_support
    if y.ndim == 1:
        y = np.eye(outputs)[y]
    start = np.vstack(unflatten(net, theta)[-1][:2]) * (0.0 if head.zero_mean else 1.0)
    v = parts(head, numbers, phi.shape[1], outputs)[0]
    weights, spreads = [], []
    for j in range(outputs):
        c = np.ones(len(phi))
        if task.weights_support is not None:
            given = np.asarray(task.weights_support)
            c = np.nan_to_num(given if given.ndim == 1 else given[:, j])
        target = np.where(c != 0, y[:, j], 0)
        a = np.linalg.inv(v) + phi.T @ (c[:, None] * phi)
        error = phi.T @ (c * (target - phi @ start[:, j]))
        weights.append(start[:, j] + np.linalg.solve(a, error))
        spreads.append(np.linalg.inv(a))
    return np.stack(weights, 1), spreads


def adapted(net: Net, head: Head, theta: Array, numbers: Array, task: Rows) -> Array:
    """Theta with the last layer replaced."""
    w = posterior(net, head, theta, numbers, task)[0]
    _, _, scale, shift = parts(head, numbers, len(w), w.shape[1])
    w = scale * w
    w[-1] += shift
    return np.concatenate([inexact(theta)[: theta.size - w.size].astype(w.dtype), w.ravel()])


def loss(
    net: Net,
    head: Head,
    theta: Array,
    numbers: Array,
    task: Rows,
    held: tuple[Array, Array] | None = None,
) -> Any:
    """Of the query set. `held` are theta and numbers of which the posterior is taken instead."""
    at_theta, at_numbers = (theta, numbers) if held is None else held
    w, spreads = posterior(net, head, at_theta, at_numbers, task)
    phi = features(net, theta, task.x_query)
    _, noise, scale, shift = parts(head, numbers, len(w), w.shape[1])
    outputs = scale * (phi @ w) + shift
    weights = task.weights_query
    if not head.predictive:
        chosen = LOSSES[net.loss]
        if weights is not None:
            rows = np.ndim(weights) == 1
            chosen = weighted(chosen, weights, None) if rows else weighted_outputs(chosen, weights)
        return chosen.value(outputs, task.y_query)
    v = np.stack([np.einsum("na,ab,nb->n", phi, spread, phi) for spread in spreads], 1)
    variance = noise**2 * (1 + v)
    each = ((task.y_query - outputs) ** 2 / variance + np.log(2 * np.pi * variance)) / 2
    if weights is None:
        return each.mean()
    if np.ndim(weights) == 1:
        return (weights[:, None] * each).sum() / each.size
    known = ~np.isnan(weights)
    return np.where(known, np.nan_to_num(weights) * each, 0).sum() / known.sum()


def gradient(
    net: Net, head: Head, theta: Array, numbers: Array, task: Rows, exact: bool
) -> tuple[Array, Array]:
    """Over theta and over the numbers; first order holds the posterior's w and A constant."""
    theta, numbers = inexact(theta), inexact(numbers)
    held = None if exact else (theta, numbers)
    of_theta = columns(lambda t: np.asarray(loss(net, head, t, numbers, task, held)), theta)
    of_numbers = columns(lambda n: np.asarray(loss(net, head, theta, n, task, held)), numbers)
    return of_theta, of_numbers
