"""Heads in closed form against JAX's derivative of a Cholesky solve."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fomaml_fast as ff
from cases import parameters
from fomaml_fast._debug import force_engine
from test_heads import batch_of, numbers_of, tasks_of

jax = pytest.importorskip("jax")
jnp = jax.numpy
jax.config.update("jax_enable_x64", True)

every_gradient = pytest.mark.parametrize("gradient", ["first", "exact"])


def split(sizes, theta):
    """Weights and biases of every layer."""
    layers, start = [], 0
    for n_in, n_out in itertools.pairwise(sizes):
        weights = theta[start : start + n_in * n_out].reshape(n_in, n_out)
        layers.append((weights, theta[start + n_in * n_out : start + (n_in + 1) * n_out]))
        start += (n_in + 1) * n_out
    return layers


def features(layers, x):
    for weights, bias in layers[:-1]:
        x = jnp.tanh(x @ weights + bias)
    return jnp.hstack([x, jnp.ones((len(x), 1))])


def factor_of(numbers, m):
    lower = jnp.zeros((m, m)).at[np.tril_indices(m)].set(numbers[: m * (m + 1) // 2])
    return jnp.where(np.eye(m, dtype=bool), jnp.exp(lower), lower)


def solution(layers, numbers, x, y):
    """The posterior mean and A's Cholesky factor."""
    phi = features(layers, x)
    factor = factor_of(numbers, phi.shape[1])
    identity = jnp.eye(len(factor))
    inverse = jax.scipy.linalg.solve_triangular(factor, identity, lower=True)
    a = jax.scipy.linalg.cho_factor(inverse.T @ inverse + phi.T @ phi, lower=True)
    start = jnp.vstack(layers[-1])
    return start + jax.scipy.linalg.cho_solve(a, phi.T @ (y - phi @ start)), a


def loss_of(sizes, task, exact):
    def loss(theta, numbers):
        layers = split(sizes, theta)
        w, (a, lower) = solution(layers, numbers, task.x_support, task.y_support)
        if not exact:
            w, a = map(jax.lax.stop_gradient, (w, a))
        phi = features(layers, task.x_query)
        noise = jnp.exp(numbers[len(numbers) - sizes[-1] :])
        v = jnp.sum(phi * jax.scipy.linalg.cho_solve((a, lower), phi.T).T, axis=1)
        variance = noise**2 * (1 + v[:, None])
        square = (task.y_query - phi @ w) ** 2 / variance
        return jnp.mean(square + jnp.log(variance) + jnp.log(2 * jnp.pi)) / 2

    return loss


@every_gradient
@pytest.mark.parametrize(
    ("sizes", "rows"),
    [
        ((2, 8, 2), 4),
        ((2, 8, 2), 9),
        ((2, 8, 2), 30),
        ((1, 40, 40, 1), 5),
        ((3, 128, 12), 20),
        ((3, 128, 1), 150),
    ],
    ids=str,
)
def test_meta_gradients(sizes, rows, gradient):
    rng = np.random.default_rng(0)
    theta = parameters(sizes, rng)
    (task,) = tasks_of(sizes, "mse", [(rows, 7)], rng)
    algorithm = ff.Algorithm(
        ff.inner.BayesianHead(), gradient=gradient, learn_rates=True, query_loss="gaussian_nll"
    )
    numbers = numbers_of(ff.inner.BayesianHead(noise=1.0), sizes[-2] + 1, sizes[-1], rng)
    m = sizes[-2] + 1
    if m > 100:  # a random triangle of this size is ill-conditioned: keep near the identity
        below = ~np.eye(m, dtype=bool)[np.tril_indices(m)]
        numbers[: below.size][below] *= 0.05
    net = ff.MLP(sizes, "tanh")
    derivative = jax.jit(jax.value_and_grad(loss_of(sizes, task, gradient == "exact"), (0, 1)))
    loss, (of_theta, of_numbers) = derivative(theta, numbers)
    for engine, dtype, limit in (
        ("reference", np.float64, 1e-9),
        ("lanes", np.float64, 1e-9),
        ("lanes", np.float32, 1e-4),
    ):
        batch = batch_of([task], dtype=dtype)
        with force_engine(engine):
            found = ff.meta_grad(
                net, theta.astype(dtype), batch, algorithm, rates=numbers.astype(dtype)
            )
        np.testing.assert_allclose(found.loss, loss, rtol=limit)
        for mine, other in ((found.grad, of_theta), (found.rate_grad, of_numbers)):
            other = np.asarray(other)
            np.testing.assert_allclose(mine, other, rtol=0, atol=limit * np.abs(other).max())
