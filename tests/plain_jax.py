"""The product space in JAX, as plainly as JAX allows: an oracle that shares no formula with ours.

``jax.grad`` goes through the unrolled loop in float64.  First order is a ``stop_gradient`` on the
directions, the implicit flow a dense solve with ``jax.hessian``.
"""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from oracle.activations import parse
from points import MU, OPTIMISERS, Point

ACTIVATIONS: dict[str, Any] = {
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "elu": jax.nn.elu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "gelu": lambda z: jax.nn.gelu(z, approximate=True),
    "silu": jax.nn.silu,
    "sin": lambda z, frequency=1.0: jnp.sin(frequency * z),
    "identity": lambda z: z,
}


def _cross_entropy(o: Any, y: Any) -> Any:
    return -jnp.mean(jax.nn.log_softmax(o)[jnp.arange(len(y)), y])


def _pinball(r: Any) -> Any:
    return jnp.maximum(0.5 * r, -0.5 * r)


LOSSES: dict[str, Any] = {
    "mse": lambda o, y: jnp.mean((o - y) ** 2),
    "huber": lambda o, y: jnp.mean(
        jnp.where(jnp.abs(o - y) <= 1, (o - y) ** 2 / 2, jnp.abs(o - y) - 0.5)
    ),
    "quantile": lambda o, y: jnp.mean(_pinball(y - o)),
    "cross_entropy": _cross_entropy,
    "soft_cross_entropy": lambda o, p: -jnp.mean(jnp.sum(p * jax.nn.log_softmax(o), axis=1)),
    "binary_cross_entropy": lambda o, y: jnp.mean(jax.nn.softplus(o) - y * o),
}


class Result(NamedTuple):
    """One task: meta-gradients over theta and the rates, loss, what adapted."""

    grad: Any
    rate_grad: Any
    loss: float
    adapted: Any


def supports(point: Point) -> bool:
    """Whether every choice of the point is written down here."""
    return parse(point.activation)[0] in ACTIVATIONS and point.loss in LOSSES


def _layers(point: Point, theta: Any) -> list[tuple[Any, ...]]:
    layers, start = [], 0
    for i, (n_in, n_out) in enumerate(itertools.pairwise(point.sizes)):
        normed = point.norm is not None and i < len(point.sizes) - 2
        shapes = [(n_in, n_out), (n_out,)] + [(n_out,)] * (2 * normed)
        parts = []
        for shape in shapes:
            size = int(np.prod(shape))
            parts.append(theta[start : start + size].reshape(shape))
            start += size
        layers.append(tuple(parts))
    return layers


def _outputs(point: Point, theta: Any, x: Any) -> Any:
    layers = _layers(point, theta)
    for i, (weights, bias, *normal) in enumerate(layers):
        x = x @ weights + bias
        if normal:
            axis = {"layer": 1, "batch": 0}[str(point.norm)]
            mean = jnp.mean(x, axis, keepdims=True)
            spread = jnp.sqrt(jnp.var(x, axis, keepdims=True) + 1e-5)
            x = (x - mean) / spread * normal[0] + normal[1]
        if i < len(layers) - 1:
            name, options = parse(point.activation)
            x = ACTIVATIONS[name](x, **options)
    return x


def _direction(name: str, o: dict[str, Any], g: Any, state: dict[str, Any], t: int) -> Any:
    """One optimiser's direction; where v is 0 the root is a constant 0."""

    def root(v: Any) -> Any:
        return jnp.where(v > 0, jnp.sqrt(jnp.where(v > 0, v, 1.0)), 0.0)

    if name == "SGD":
        momentum = o.get("momentum", 0.0)
        state["b"] = momentum * state.get("b", 0.0) + g
        return g + momentum * state["b"] if o.get("nesterov") else state["b"]
    if name == "Adam":
        (b1, b2), eps = o.get("betas", (0.9, 0.999)), o.get("eps", 1e-8)
        state["m"] = b1 * state.get("m", 0.0) + (1 - b1) * g
        state["v"] = b2 * state.get("v", 0.0) + (1 - b2) * g**2
        return state["m"] / (1 - b1**t) / (root(state["v"] / (1 - b2**t)) + eps)
    if name == "RMSprop":
        alpha, eps = o.get("alpha", 0.99), o.get("eps", 1e-8)
        state["v"] = alpha * state.get("v", 0.0) + (1 - alpha) * g**2
        state["m"] = alpha * state.get("m", 0.0) + (1 - alpha) * g
        variance = state["v"] - state["m"] ** 2 if o.get("centered") else state["v"]
        state["b"] = o.get("momentum", 0.0) * state.get("b", 0.0) + g / (root(variance) + eps)
        return state["b"]
    assert name == "Adagrad"
    state["s"] = state.get("s", o.get("initial_accumulator_value", 0.0)) + g**2
    return g / (root(state["s"]) + o.get("eps", 1e-10)) / (1 + (t - 1) * o.get("lr_decay", 0.0))


@cache
def first_task(point: Point) -> Result:
    """The meta-gradient of a point's first task."""
    x, y, x_query, y_query = (jnp.asarray(array) for array in point.tasks[0][:4])
    x, x_query = x.astype(jnp.float64), x_query.astype(jnp.float64)
    name, options, _ = OPTIMISERS[point.optimiser]
    implicit = point.flow == "implicit"
    pull = MU if implicit else point.proximal
    theta0 = jnp.asarray(point.theta.astype(np.float64))
    rates0 = jnp.asarray(point.algorithm.rates)
    kind, n_layers = point.algorithm.rate_kind, len(point.sizes) - 1
    numbered = _layers(point, jnp.arange(len(theta0)))
    layer = np.concatenate(
        [np.full(sum(part.size for part in parts), i) for i, parts in enumerate(numbered)]
    )
    wanted = {"all": range(n_layers), "head": [n_layers - 1], "body": range(n_layers - 1)}
    chosen = wanted[point.adapt] if isinstance(point.adapt, str) else point.adapt
    mask = jnp.asarray([i in list(chosen) for i in layer])
    context = point.context > 0

    def loss(fast: Any, theta: Any, x: Any, y: Any, name: str) -> Any:
        if context:
            return LOSSES[name](
                _outputs(point, theta, jnp.hstack([x, jnp.tile(fast, (len(x), 1))])), y
            )
        return LOSSES[name](_outputs(point, fast, x), y)

    def support(fast: Any, theta: Any, k: int = 0) -> Any:
        of_step = (x[k], y[k]) if point.stepped else (x, y)
        return loss(fast, theta, *of_step, point.loss)

    def query(fast: Any, theta: Any) -> Any:
        return loss(fast, theta, x_query, y_query, point.query_loss or point.loss)

    def points(theta: Any, rates: Any) -> list[Any]:
        fast = anchor = jnp.zeros(point.context) if context else theta
        adapts = jnp.ones(point.context, bool) if context else mask
        state: dict[str, Any] = {}
        path = []
        for k in range(point.steps):
            g = jnp.where(adapts, jax.grad(support)(fast, theta, k), 0.0)
            if point.clip_norm is not None:
                norm = jnp.sqrt(jnp.sum(g**2))
                g = g * jnp.minimum(1.0, point.clip_norm / norm)
            g = g + point.weight_decay * fast + pull * (fast - anchor)
            d = _direction(name, options, jnp.where(adapts, g, 0.0), state, k + 1)
            d = jnp.where(adapts, d + point.decoupled_weight_decay * fast, 0.0)
            rate = {
                "scalar": lambda: rates,
                "parameter": lambda: rates,
                "layer": lambda: rates[layer],
                "step_layer": lambda k=k: rates[min(k, len(rates) - 1)][layer],
            }[kind]()
            fast = fast - rate * (jax.lax.stop_gradient(d) if point.flow == "first" else d)
            path.append(fast)
        return path

    def meta_loss(theta: Any, rates: Any) -> Any:
        path = points(theta, rates)
        weights = point.weights or (0.0,) * (point.steps - 1) + (1.0,)
        return sum(w * query(fast, theta) for w, fast in zip(weights, path, strict=True))

    last = points(theta0, rates0)[-1]
    value = float(meta_loss(theta0, rates0))
    if point.flow == "reptile":
        return Result(theta0 - last, None, value, last)
    if implicit:
        chosen_entries = np.flatnonzero(np.ones(point.context) if context else mask)
        hessian = jax.hessian(support)(last, theta0)[np.ix_(chosen_entries, chosen_entries)]
        system = jnp.eye(len(chosen_entries)) + hessian / MU
        x_a = jnp.linalg.solve(system, jax.grad(query)(last, theta0)[chosen_entries])
        solved = jnp.zeros(len(last)).at[chosen_entries].set(x_a)
        slow_query = jax.grad(query, 1 if context else 0)(last, theta0)
        gradient = jax.grad(support, 1 if context else 0)
        mixed = jax.jvp(lambda fast: gradient(fast, theta0), (last,), (solved,))[1]
        slow = slow_query - mixed / MU
        return Result(slow if context else jnp.where(mask, solved, slow), None, value, last)
    grad, rate_grad = jax.grad(meta_loss, (0, 1))(theta0, rates0)
    return Result(grad, rate_grad, value, last)
