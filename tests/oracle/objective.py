"""What a task adapts and what it is judged by: the fast variable and its two losses.

The fast variable is theta itself, or the context phi ``[k]`` (CAVIA; Zintgraf et al., ICML 2019)
that is fed to the network beside each row while theta stays.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from oracle.activations import Array
from oracle.meta import Task
from oracle.network import Net, gradient, inexact, loss, unflatten
from oracle.rates import layer_of


class Rows:
    """One set of rows, its network and, where given, the weights of its rows."""

    def __init__(self, net: Net, x: NDArray[Any], y: NDArray[Any], weights: Any = None) -> None:
        self.net, self.x, self.y = net, inexact(x), y
        self.options = {} if weights is None else {"weights": weights}

    def with_context(self, phi: Array) -> Rows:
        """The same rows with phi as further columns."""
        copy = Rows(self.net, np.hstack([self.x, np.tile(phi, (len(self.x), 1))]), self.y)
        copy.options = self.options
        return copy

    def loss(self, theta: Array) -> Any:
        return loss(self.net, theta, self.x, self.y, **self.options)

    def gradient(self, theta: Array) -> Array:
        return gradient(self.net, theta, self.x, self.y, **self.options)


def support_of(net: Net, task: Task) -> list[Rows]:
    """The support rows of every step, or the one set that all see: x then has no axis of steps."""
    x, y = task.x_support, task.y_support
    weights = getattr(task, "weights_support", None)
    if not isinstance(x, list) and x.ndim == 2:
        return [Rows(net, x, y, weights)]
    return [Rows(net, x[k], y[k], None if weights is None else weights[k]) for k in range(len(x))]


def query_of(net: Net, task: Task, query_loss: str | None) -> Rows:
    """The query set may have a loss of its own."""
    judge = net if query_loss is None else replace(net, loss=query_loss)
    return Rows(judge, task.x_query, task.y_query, getattr(task, "weights_query", None))


class Objective(Protocol):
    """Losses and gradients of the fast variable at given slow parameters theta."""

    mask: NDArray[np.bool_]
    layers: NDArray[np.int64]

    def start(self, theta: Array) -> Array: ...
    def support_gradient(self, fast: Array, theta: Array, step: int = 0) -> Array: ...
    def support_slow_gradient(self, fast: Array, theta: Array) -> Array: ...
    def query_loss(self, fast: Array, theta: Array) -> Any: ...
    def query_gradient(self, fast: Array, theta: Array) -> Array: ...
    def query_slow_gradient(self, fast: Array, theta: Array) -> Array: ...
    def join(self, fast_gradient: Array, slow_gradient: Array) -> Array: ...


class Parameters:
    """Theta adapts where the mask is true; the other entries are slow."""

    def __init__(
        self, net: Net, task: Task, mask: NDArray[np.bool_], query_loss: str | None = None
    ) -> None:
        self.mask, self.layers = mask, layer_of(net)
        self.support, self.query = support_of(net, task), query_of(net, task, query_loss)

    def start(self, theta: Array) -> Array:
        return theta

    def support_gradient(self, fast: Array, theta: Array, step: int = 0) -> Array:
        return np.where(self.mask, self.support[step % len(self.support)].gradient(fast), 0)

    def support_slow_gradient(self, fast: Array, theta: Array) -> Array:
        return np.where(self.mask, 0, self.support[0].gradient(fast))

    def query_loss(self, fast: Array, theta: Array) -> Any:
        return self.query.loss(fast)

    def query_gradient(self, fast: Array, theta: Array) -> Array:
        return np.where(self.mask, self.query.gradient(fast), 0)

    def query_slow_gradient(self, fast: Array, theta: Array) -> Array:
        return np.where(self.mask, 0, self.query.gradient(fast))

    def join(self, fast_gradient: Array, slow_gradient: Array) -> Array:
        """The gradient over theta: the fast part starts as theta, the slow part is theta."""
        return fast_gradient + slow_gradient


class Context:
    """Only phi adapts, from 0: a shift of the first bias by phi C, C the last k rows of W_0."""

    def __init__(self, net: Net, task: Task, size: int, query_loss: str | None = None) -> None:
        self.net, self.size = net, size
        self.mask, self.layers = np.ones(size, dtype=bool), np.zeros(size, dtype=np.int64)
        self.support, self.query = support_of(net, task), query_of(net, task, query_loss)

    def start(self, theta: Array) -> Array:
        return np.zeros(self.size)

    def _phi_gradient(self, rows: Rows, fast: Array, theta: Array) -> Array:
        # As z = x W + phi C + b, the gradient over phi is C times the gradient over b.
        bias = unflatten(self.net, rows.with_context(fast).gradient(theta))[0][1]
        return unflatten(self.net, theta)[0][0][-self.size :] @ bias

    def support_gradient(self, fast: Array, theta: Array, step: int = 0) -> Array:
        return self._phi_gradient(self.support[step % len(self.support)], fast, theta)

    def support_slow_gradient(self, fast: Array, theta: Array) -> Array:
        return self.support[0].with_context(fast).gradient(theta)

    def query_loss(self, fast: Array, theta: Array) -> Any:
        return self.query.with_context(fast).loss(theta)

    def query_gradient(self, fast: Array, theta: Array) -> Array:
        return self._phi_gradient(self.query, fast, theta)

    def query_slow_gradient(self, fast: Array, theta: Array) -> Array:
        return self.query.with_context(fast).gradient(theta)

    def join(self, fast_gradient: Array, slow_gradient: Array) -> Array:
        """The gradient over theta: phi starts at 0, whatever theta is."""
        return slow_gradient
