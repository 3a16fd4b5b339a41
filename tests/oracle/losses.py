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


def weighted(loss: Loss, weights: NDArray[Any] | None, classes: NDArray[Any] | None) -> Loss:
    """The mean over rows of ``weights * loss``, from the outputs where `classes` is true only."""

    def chosen(o: Array, y: NDArray[Any]) -> list[tuple[Array, NDArray[Any]]]:
        kept = np.flatnonzero(np.ones(o.shape[1]) if classes is None else classes)
        y = np.searchsorted(kept, y) if y.ndim == 1 else y[:, kept]
        return [(o[i : i + 1, kept], y[i : i + 1]) for i in range(len(o))]

    def share(o: Array) -> NDArray[np.float64]:
        return (np.ones(len(o)) if weights is None else np.asarray(weights, np.float64)) / len(o)

    def spread(o: Array, rows: list[Array]) -> Array:
        kept = np.ones(o.shape[1], bool) if classes is None else np.asarray(classes, bool)
        full = np.zeros(o.shape, rows[0].dtype)
        full[:, kept] = np.concatenate(rows) * share(o)[:, None]
        return full

    def value(o: Array, y: NDArray[Any]) -> Any:
        return sum(c * loss.value(*row) for c, row in zip(share(o), chosen(o, y), strict=True))

    def gradient(o: Array, y: NDArray[Any]) -> Array:
        return spread(o, [loss.gradient(*row) for row in chosen(o, y)])

    def hessian_times(o: Array, y: NDArray[Any], v: Array) -> Array:
        kept = np.ones(o.shape[1], bool) if classes is None else np.asarray(classes, bool)
        rows = zip(chosen(o, y), v[:, kept], strict=True)
        return spread(o, [loss.hessian_times(*row, v_row[None]) for row, v_row in rows])

    return Loss(value, gradient, hessian_times)


def weighted_outputs(loss: Loss, weights: NDArray[Any]) -> Loss:
    """The mean over the known targets of ``weights * loss``; NaN in weights: not known."""
    known = [(slice(i, i + 1), slice(j, j + 1)) for i, j in np.argwhere(~np.isnan(weights))]
    share = np.asarray(weights, np.float64) / len(known)

    def spread(o: Array, of: Callable[[Any], Array]) -> Array:
        full = np.zeros(o.shape, o.dtype)
        for at in known:
            full[at] = share[at] * of(at)
        return full

    def value(o: Array, y: NDArray[Any]) -> Any:
        return sum(share[at][0, 0] * loss.value(o[at], y[at]) for at in known)

    def gradient(o: Array, y: NDArray[Any]) -> Array:
        return spread(o, lambda at: loss.gradient(o[at], y[at]))

    def hessian_times(o: Array, y: NDArray[Any], v: Array) -> Array:
        return spread(o, lambda at: loss.hessian_times(o[at], y[at], v[at]))

    return Loss(value, gradient, hessian_times)


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


def _soft_cross_entropy_gradient(o: Array, p: NDArray[Any]) -> Array:
    return (p.sum(axis=1, keepdims=True) * np.exp(_log_softmax(o)) - p) / len(o)


def _soft_cross_entropy_hessian_times(o: Array, p: NDArray[Any], v: Array) -> Array:
    return p.sum(axis=1, keepdims=True) * _cross_entropy_hessian_times(o, p, v)


def _sigmoid(o: Array) -> Array:
    e = np.exp(np.where(o.real > 0, -o, o))
    return np.where(o.real > 0, 1, e) / (1 + e)


def _binary_cross_entropy(o: Array, y: NDArray[Any]) -> Any:
    # -y log s(o) - (1 - y) log s(-o) = softplus(o) - y o
    positive = o.real > 0
    softplus = np.where(positive, o, 0) + np.log1p(np.exp(np.where(positive, -o, o)))
    return np.sum(softplus - y * o) / o.size


DELTA, TAU = 1.0, 0.5


def _huber(o: Array, y: NDArray[Any]) -> Any:
    e = o - y
    size = np.where(e.real > 0, e, -e)
    return np.sum(np.where(size.real <= DELTA, e**2 / 2, DELTA * (size - DELTA / 2))) / o.size


def _huber_gradient(o: Array, y: NDArray[Any]) -> Array:
    e = o - y
    return np.where(np.abs(e.real) <= DELTA, e, DELTA * np.sign(e.real)) / o.size


def _quantile(o: Array, y: NDArray[Any]) -> Any:
    e = y - o
    return np.sum(np.where(e.real > 0, TAU * e, (TAU - 1) * e)) / o.size


LOSSES: dict[str, Loss] = {
    "mse": Loss(
        lambda o, y: np.sum((o - y) ** 2) / o.size,
        lambda o, y: 2 * (o - y) / o.size,
        lambda o, y, v: 2 * v / o.size,
    ),
    "cross_entropy": Loss(_cross_entropy, _cross_entropy_gradient, _cross_entropy_hessian_times),
    "soft_cross_entropy": Loss(
        lambda o, p: -np.sum(p * _log_softmax(o)) / len(o),
        _soft_cross_entropy_gradient,
        _soft_cross_entropy_hessian_times,
    ),
    "binary_cross_entropy": Loss(
        _binary_cross_entropy,
        lambda o, y: (_sigmoid(o) - y) / o.size,
        lambda o, y, v: _sigmoid(o) * _sigmoid(-o) * v / o.size,
    ),
    "huber": Loss(
        _huber,
        _huber_gradient,
        lambda o, y, v: np.where(np.abs((o - y).real) <= DELTA, v, 0) / o.size,
    ),
    "quantile": Loss(
        _quantile,
        lambda o, y: np.where((y - o).real > 0, -TAU, 1 - TAU) / o.size,
        lambda o, y, v: np.zeros_like(v),
    ),
}
