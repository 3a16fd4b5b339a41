"""JAX: ``jit`` of ``vmap`` over tasks, the inner loop unrolled."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import sinusoid
from benchmarks.baselines import Case
from benchmarks.workloads import INNER_RATE, Workload, flatten, problem

wait: Any = jax.block_until_ready

ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh}


def features_of(workload: Workload) -> Any:
    """Outputs of the last hidden layer, a function of ``(layers but the last, x)``."""
    sigma = ACTIVATIONS[workload.activation]

    def features(body: Any, x: Any) -> Any:
        for w, b in body:
            x = sigma(x @ w + b)
        return x

    return features


def head_loss_of(workload: Workload) -> Any:
    """Loss of the last layer alone, a function of ``((w, b), features, y)``."""

    def loss(head: Any, h: Any, y: Any) -> Any:
        w, b = head
        o = h @ w + b
        if workload.loss == "mse":
            return jnp.mean((o - y) ** 2)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(o), y[:, None], 1))

    return loss


def loss_of(workload: Workload) -> Any:
    """Loss of the network of `workload` on one task, a function of ``(params, x, y)``."""
    features, head_loss = features_of(workload), head_loss_of(workload)
    return lambda params, x, y: head_loss(params[-1], features(params[:-1], x), y)


def meta_objective(workload: Workload, order: str) -> Any:
    """Mean query loss after adaptation, a function of ``(params, *four stacked arrays)``."""
    loss = loss_of(workload)

    def task(params: Any, xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
        for _ in range(workload.steps):
            g = jax.grad(loss)(params, xs, ys)
            if order == "first":
                g = jax.lax.stop_gradient(g)
            params = jax.tree.map(lambda a, d: a - INNER_RATE * d, params, g)
        return loss(params, xq, yq)

    return lambda params, *data: jnp.mean(jax.vmap(task, (None, 0, 0, 0, 0))(params, *data))


def to_numpy(params: Any) -> Any:
    return [(np.asarray(w), np.asarray(b)) for w, b in params]


def build(workload: Workload, order: str) -> Case:
    """Prepare `order` of `workload`."""
    d = problem(workload)
    params, xs, ys, xq, yq = jax.tree.map(
        jnp.asarray, (d.params, d.x_support, d.y_support, d.x_query, d.y_query)
    )
    if order == "hvp":
        v = jax.tree.map(jnp.asarray, d.tangents)
        loss = loss_of(workload)

        def hvp(p: Any, v: Any, x: Any, y: Any) -> Any:
            return jax.jvp(lambda p: jax.grad(loss)(p, x, y), (p,), (v,))[1]

        product = jax.jit(jax.vmap(hvp, (None, 0, 0, 0)))
        return Case(
            lambda: wait(product(params, v, xs, ys)),
            lambda out: {"hvp": flatten(to_numpy(out))},
        )
    gradient = jax.jit(jax.value_and_grad(meta_objective(workload, order)))
    return Case(
        lambda: wait(gradient(params, xs, ys, xq, yq)),
        lambda out: {"loss": np.atleast_1d(out[0]), "gradient": flatten(to_numpy(out[1]))},
    )


def train(order: str) -> Case:
    """The sinusoid slice: one ``scan`` over its meta-batches, so that Python is called once."""
    objective = jax.value_and_grad(meta_objective(sinusoid.WORKLOAD, order))
    beta1, beta2 = sinusoid.BETAS

    def adam(state: Any, batch: Any) -> Any:
        params, m, v, t = state
        loss, g = objective(params, *batch)
        t = t + 1
        m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, m, g)
        v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, g)
        rate, spread = sinusoid.OUTER_RATE / (1 - beta1**t), jnp.sqrt(1 - beta2**t)
        params = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v) / spread + sinusoid.EPS), params, m, v
        )
        return (params, m, v, t), loss

    train_slice = jax.jit(lambda state, data: jax.lax.scan(adam, state, data), donate_argnums=0)
    data = tuple(np.stack(arrays) for arrays in zip(*sinusoid.batches(), strict=True))
    params = jax.tree.map(jnp.asarray, sinusoid.initial())
    zeros = jax.tree.map(jnp.zeros_like, params)
    state = (params, zeros, jax.tree.map(jnp.zeros_like, params), jnp.zeros(()))

    def run() -> Any:
        nonlocal state
        state, losses = train_slice(state, data)
        return wait(losses)

    return Case(run, lambda out: {"losses": np.asarray(out)})
