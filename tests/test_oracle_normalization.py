"""Normalisation, context and Jacobian products of the oracle: it needs no package."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import oracle
from cases import build

COMPLEX_STEP = 1e-30
NORMS = (("layer", "layer"), ("batch", "batch"), ("batch", "layer"), (None, "batch"))

every_network = pytest.mark.parametrize("loss", oracle.LOSSES)
every_norm = pytest.mark.parametrize("norms", NORMS, ids=str)


def complex_step(function, theta, v):
    """The derivative of `function` along `v`, exact to rounding."""
    return np.imag(function(theta + 1j * COMPLEX_STEP * v)) / COMPLEX_STEP


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("kind", ["layer", "batch"])
def test_normalised_groups_have_mean_zero_and_variance_one(kind):
    z = np.random.default_rng(0).normal(3, 50, (6, 8))
    xhat, axis = oracle.normalize(kind, z), {"layer": 1, "batch": 0}[kind]
    np.testing.assert_allclose(xhat.mean(axis=axis), 0, atol=1e-14)
    np.testing.assert_allclose(xhat.var(axis=axis), 1, rtol=1e-6)


def test_normalisation_by_hand():
    expected = 1 / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(
        oracle.normalize("layer", np.array([[2.0, 4.0]])), [[-expected, expected]]
    )
    np.testing.assert_array_equal(oracle.normalize("batch", np.array([[2.0, 4.0]])), [[0, 0]])


@pytest.mark.parametrize("kind", ["layer", "batch"])
def test_pull_back_matches_complex_steps(kind):
    z, g, v = np.random.default_rng(1).normal(size=(3, 5, 4))
    slope = complex_step(lambda z: np.sum(g * oracle.normalize(kind, z)), z, v)
    np.testing.assert_allclose(np.sum(oracle.pull_back(kind, z, g) * v), slope, rtol=1e-12)


@every_norm
@every_network
def test_gradient_and_hvp(norms, loss):
    case = build((3, 6, 5, 4), "tanh", loss, norm=norms)
    x, y, _, _ = case.tasks[0]
    v = np.random.default_rng(2).normal(size=case.theta.size)
    slope = complex_step(lambda theta: oracle.loss(case.net, theta, x, y), case.theta, v)
    gradient = oracle.gradient(case.net, case.theta, x, y)
    np.testing.assert_allclose(gradient @ v, slope, rtol=1e-12)
    h = 1e-5
    near = [oracle.gradient(case.net, case.theta + s * h * v, x, y) for s in (1, -1)]
    hv = oracle.hvp(case.net, case.theta, x, y, v)
    expected = (near[0] - near[1]) / (2 * h)
    np.testing.assert_allclose(hv, expected, rtol=0, atol=1e-6 * np.abs(hv).max())


@every_norm
def test_context_is_more_columns_of_x(norms):
    case = build((5, 6, 5, 2), "tanh", norm=norms)
    net = replace(case.net, context=2)
    x, y, _, _ = case.tasks[0]
    rng = np.random.default_rng(3)
    phi, v = rng.normal(size=2), rng.normal(size=case.theta.size + 2)
    theta, wide = np.concatenate([case.theta, phi]), x.copy()
    x, wide[:, 3:] = x[:, :3], phi
    np.testing.assert_array_equal(
        oracle.predict(net, theta, x), oracle.predict(case.net, case.theta, wide)
    )
    gradient = oracle.gradient(net, theta, x, y)
    close(gradient[:-2], oracle.gradient(case.net, case.theta, wide, y))
    slope = complex_step(lambda theta: oracle.loss(net, theta, x, y), theta, v)
    np.testing.assert_allclose(gradient @ v, slope, rtol=1e-12)


@every_norm
def test_jacobian_products_are_adjoint(norms):
    case = build((3, 6, 5, 4), "tanh", norm=norms)
    x = case.tasks[0].x_support
    rng = np.random.default_rng(4)
    v, c = rng.normal(size=case.theta.size), rng.normal(size=(len(x), 4))
    pushed, pulled = oracle.jvp(case.net, case.theta, x, v), oracle.vjp(case.net, case.theta, x, c)
    np.testing.assert_allclose(np.sum(c * pushed), pulled @ v, rtol=1e-12)
    jacobian = oracle.jacobian(case.net, case.theta, x)
    close(jacobian @ v, pushed)
    close(np.tensordot(c, jacobian, 2), pulled)


@every_network
def test_gauss_newton_is_the_hessian_of_a_linear_network(loss):
    case = build((3, 4), loss=loss)
    x, y, _, _ = case.tasks[0]
    v = np.random.default_rng(5).normal(size=case.theta.size)
    close(oracle.gnvp(case.net, case.theta, x, y, v), oracle.hvp(case.net, case.theta, x, y, v))
