"""Sinusoidal networks (Sitzmann et al. 2020): the frequency, and the statistics of a fresh one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import fomaml_fast as ff

OMEGA = 30.0


def fresh(sizes, frequency=OMEGA, seed=0):
    """Phases of every hidden layer, and the outputs, over inputs uniform in [-1, 1]."""
    net = ff.MLP(sizes, activation=ff.activations.Sin(frequency))
    theta = net.init(seed, np.float64, scheme="siren")
    h = np.random.default_rng(1).uniform(-1, 1, (300, sizes[0]))
    phases, outputs = [], net.predict(theta, h)
    *hidden, (weights, biases) = net.unflatten(theta)
    for w, b in hidden:
        phases.append(frequency * (h @ w + b))
        h = np.sin(phases[-1])
    np.testing.assert_allclose(outputs, h @ weights + biases, rtol=0, atol=1e-12)
    return theta, net, phases


@pytest.mark.parametrize("frequency", [1.0, OMEGA])
def test_phases_are_standard_normal_and_outputs_arcsine(frequency):
    """The paper's theorem 1.8, of layers whose inputs are arcsine themselves."""
    _, _, phases = fresh([2, 256, 256, 256, 1], frequency)
    assert phases[0].std() == pytest.approx(frequency / 2 / np.sqrt(4.5), rel=0.1)
    for z in phases[1:] if frequency == OMEGA else ():
        assert z.std() == pytest.approx(1, abs=0.1)
        assert abs(stats.kurtosis(z.ravel())) < 0.1
        assert stats.kstest(z.ravel(), "norm").statistic < 0.03
        assert stats.kstest(np.sin(z).ravel(), stats.arcsine(-1, 2).cdf).statistic < 0.08


def test_bounds_are_the_papers():
    theta, net, _ = fresh([3, 128, 200, 2])
    for layer, (weights, biases) in enumerate(net.unflatten(theta)):
        n = len(weights)
        bound = 1 / n if layer == 0 else np.sqrt(6 / n) / OMEGA
        assert 0.97 * bound < abs(weights).max() <= bound
        assert weights.std() == pytest.approx(bound / np.sqrt(3), rel=0.1)
        assert not biases.any()


def test_frequency_is_a_factor_of_weights_and_rates():
    """sin(omega (x W + b)) is sin(x (omega W) + omega b), whose inner rate is omega^2 lr."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1, 1, (4, 9, 2)), rng.standard_normal((4, 9, 1))
    batch = ff.TaskBatch(x, y, x, y)
    ours = ff.MLP([2, 11, 7, 1], activation=ff.activations.Sin(OMEGA))
    plain = ff.MLP([2, 11, 7, 1], activation="sin")
    theta = ours.init(0, np.float64, scheme="siren")
    scale = np.concatenate([np.full(p, OMEGA) for p in ours.layer_params[:-1]] + [[1.0] * 8])
    found = ff.meta_grad(ours, theta, batch, ff.maml(1e-4, steps=3))
    rates = [1e-4 * OMEGA**2, 1e-4 * OMEGA**2, 1e-4]
    by_hand = ff.meta_grad(
        plain, theta * scale, batch, ff.Algorithm(ff.inner.SGD(rates), 3, gradient="exact")
    )
    np.testing.assert_allclose(found.losses, by_hand.losses, rtol=1e-10)
    np.testing.assert_allclose(found.grad, by_hand.grad * scale, rtol=1e-8, atol=1e-10)


def test_one_is_sin():
    plain, one = ff.MLP([2, 5, 1], "sin"), ff.MLP([2, 5, 1], ff.activations.Sin())
    assert plain == one
    assert ff.MLP([2, 1]).init(0, scheme="siren").shape == (3,)


@pytest.mark.parametrize("activation", ["tanh", ["sin", "tanh"], ["relu", "sin"]])
def test_siren_needs_sines(activation):
    net = ff.MLP([2, 5, 5, 1], activation)
    with pytest.raises(ValueError, match="needs activation 'sin' in every hidden layer"):
        net.init(0, scheme="siren")


@pytest.mark.parametrize("frequency", [0, -1, np.nan, np.inf])
def test_frequencies_are_above_0(frequency):
    with pytest.raises(ValueError, match="frequency must be"):
        ff.activations.Sin(frequency)
