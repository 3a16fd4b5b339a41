"""Jets, and losses on them, against JAX's nested derivatives."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest

import fomaml_fast as ff
from test_custom_loss_of_jets import (
    ALONG,
    LR,
    NET,
    PLAIN,
    SIZES,
    STEPS,
    THETA,
    XQ,
    YQ,
    K,
    T,
    V,
    X,
    Y,
    close,
    physics,
    residual_of,
)

jax = pytest.importorskip("jax")
jnp = jax.numpy
jax.config.update("jax_enable_x64", True)


def outputs(theta, x):
    start, h = 0, x
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(SIZES)):
        weights = theta[start : start + n_in * n_out].reshape(n_in, n_out)
        start += n_in * n_out
        h = h @ weights + theta[start : start + n_out]
        start += n_out
        h = jnp.tanh(h) if layer < len(SIZES) - 2 else h
    return h


def jet_of(theta, x, along=ALONG):
    """Value, slopes and bends by nesting JAX's forward derivatives, row by row."""

    def of_row(row, d):
        def slope(s):
            return jax.jvp(lambda s: outputs(theta, row + s * d), (s,), (1.0,))[1]

        return slope(0.0), jax.jvp(slope, (0.0,), (1.0,))[1]

    each = jax.vmap(jax.vmap(of_row, (None, 0)), (0, None))
    return (outputs(theta, x), *each(x, jnp.asarray(along)))


def physics_of(theta, x, targets):
    return jnp.mean(residual_of(jet_of(theta, x), targets)[0] ** 2)


def first_order_of(theta, x, targets):
    u, slopes, _ = jet_of(theta, x)
    return jnp.mean((u - targets) ** 2) + jnp.sum(jnp.minimum(slopes, 0) ** 2) / u.size


NETS = {"second": (NET, physics_of), "first": (PLAIN, first_order_of)}
every_net = pytest.mark.parametrize("which", NETS)


def test_jets_are_jaxs():
    jet = NET.jet(THETA, X[0], ALONG)
    for part, expected in zip(jet, jet_of(THETA, X[0]), strict=True):
        close(part, expected)


def test_the_pull_back_is_jaxs():
    c = ff.Jet(
        *(np.random.default_rng(4).normal(size=shape) for shape in ((K, 1), (K, 3, 1), (K, 3, 1)))
    )
    _, pull = jax.vjp(lambda theta: jet_of(theta, X[0]), THETA)
    close(NET.jet_vjp(THETA, X[0], ALONG, c), pull(tuple(map(jnp.asarray, c)))[0])


@every_net
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_value_and_gradient(which, dtype):
    net, expected = NETS[which]
    theta, x, y = (a.astype(dtype) for a in (THETA, X[0], Y[0]))
    value, gradient = net.value_and_grad(theta, x, y)
    assert gradient.dtype == dtype
    wanted = jax.value_and_grad(expected)(*(jnp.asarray(a, "float64") for a in (theta, x, y)))
    close(value, wanted[0], dtype)
    close(net.loss(theta, x, y), wanted[0], dtype)
    close(gradient, wanted[1], dtype)


def test_hessian_and_gauss_newton_products():
    @jax.jit
    def hvp(theta, v):
        return jax.jvp(jax.grad(lambda p: physics_of(p, X[0], Y[0])), (theta,), (v,))[1]

    close(NET.hvp(THETA, X[0], Y[0], V), hvp(THETA, V))

    @jax.jit
    def gnvp(theta, v):
        """The Hessian of the loss as a function of the jet alone, between Jacobians."""
        jet, tangent = jax.jvp(lambda p: jet_of(p, X[0]), (theta,), (v,))

        def of_jet(jet):
            return jnp.mean(residual_of(jet, Y[0])[0] ** 2)

        curved = jax.jvp(jax.grad(of_jet), (jet,), (tangent,))[1]
        return jax.vjp(lambda p: jet_of(p, X[0]), theta)[1](curved)[0]

    close(NET.gnvp(THETA, X[0], Y[0], V), gnvp(THETA, V))


def meta_loss(theta, x, y, x_query, y_query, expected, exact):
    def step(_, adapted):
        slope = jax.grad(expected)(adapted, x, y)
        return adapted - LR * (slope if exact else jax.lax.stop_gradient(slope))

    return expected(jax.lax.fori_loop(0, STEPS, step, theta), x_query, y_query)


@pytest.mark.parametrize(
    ("which", "gradient"), [("second", "first"), ("second", "exact"), ("first", "first")]
)
def test_meta_gradients(which, gradient):
    net, expected = NETS[which]
    batch = ff.TaskBatch(X, Y, XQ, YQ)
    algorithm = ff.Algorithm(ff.inner.SGD(LR), STEPS, gradient=gradient)
    found = ff.meta_grad(net, THETA, batch, algorithm, per_task=True)

    @jax.jit
    def of_task(*arrays):
        loss = partial(meta_loss, expected=expected, exact=gradient == "exact")
        return jax.value_and_grad(loss)(*arrays)

    for t in range(T):
        loss, grad = of_task(THETA, X[t], Y[t], XQ[t], YQ[t])
        close(found.losses[t], loss)
        close(found.task_grads[t], grad)


@every_net
def test_reptile_and_adaptation(which):
    net, expected = NETS[which]
    adapted = np.array(THETA)
    for _ in range(STEPS):
        adapted = adapted - LR * np.asarray(jax.grad(expected)(adapted, X[1], Y[1]))
    sgd = ff.inner.SGD(LR)
    close(ff.adapt(net, THETA, X, Y, ff.Algorithm(sgd, STEPS))[1], adapted)
    reptile = ff.Algorithm(sgd, STEPS, gradient="reptile")
    found = ff.meta_grad(net, THETA, ff.TaskBatch(X, Y, XQ, YQ), reptile, per_task=True)
    close(found.task_grads[1], THETA - adapted)


def test_a_loss_of_jets_for_the_query_alone():
    """Sobolev training of an initialisation whose inner loop sees no slope."""
    net = ff.MLP(SIZES, "tanh")
    query = ff.losses.Custom(physics, directions=ALONG)
    algorithm = ff.Algorithm(ff.inner.SGD(LR), STEPS, gradient="exact", query_loss=query)
    found = ff.meta_grad(net, THETA, ff.TaskBatch(X, Y, XQ, YQ), algorithm, per_task=True)

    def expected(theta):
        adapted = theta
        for _ in range(STEPS):
            inner = jax.grad(lambda p: jnp.mean((outputs(p, X[0]) - Y[0]) ** 2))(adapted)
            adapted = adapted - LR * inner
        return physics_of(adapted, XQ[0], YQ[0])

    close(found.task_grads[0], jax.grad(expected)(jnp.asarray(THETA)))
