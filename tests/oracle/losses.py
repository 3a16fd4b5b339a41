"""Losses: value, gradient on the outputs, Hessian on the outputs times a vector.

All three include the mean over the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracle.activations import Array


class Loss(NamedTuple):
    """Three functions of the outputs ``o`` ``[n, n_L]`` and the targets."""

    value: Callable[[Array, NDArray[Any]], Any]
    gradient: Callable[[Array, NDArray[Any]], Array]
    hessian_times: Callable[[Array, NDArray[Any], Array], Array]


def _log_softmax(o: Array) -> Array:
    # Any constant may be taken off a row; its largest real part keeps exp from overflowing.
    o = o - np.max(o.real, axis=1, keepdims=True)
    return o - np.log(np.sum(np.exp(o), axis=1, keepdims=True))


def _one_hot(labels: NDArray[Any], classes: int) -> NDArray[np.float64]:
    return np.eye(classes)[labels]


def _cross_entropy(o: Array, labels: NDArray[Any]) -> Any:
    return -np.sum(_one_hot(labels, o.shape[1]) * _log_softmax(o)) / len(o)


def _cross_entropy_gradient(o: Array, labels: NDArray[Any]) -> Array:
    return (np.exp(_log_softmax(o)) - _one_hot(labels, o.shape[1])) / len(o)


def _cross_entropy_hessian_times(o: Array, labels: NDArray[Any], v: Array) -> Array:
    # The Hessian of a row is diag(s) - s s^T, s its softmax.
    s = np.exp(_log_softmax(o))
    return (s * v - s * np.sum(s * v, axis=1, keepdims=True)) / len(o)


LOSSES: dict[str, Loss] = {
    "mse": Loss(
        lambda o, y: np.sum((o - y) ** 2) / o.size,
        lambda o, y: 2 * (o - y) / o.size,
        lambda o, y, v: 2 * v / o.size,
    ),
    "cross_entropy": Loss(_cross_entropy, _cross_entropy_gradient, _cross_entropy_hessian_times),
}
