"""Laws that hold for every option, whatever the numbers: no oracle is asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import fomaml_fast as ff
import subject_points as subject
from combinations import meaningless
from fomaml_fast import _debug
from points import ACTIVATIONS, FLOWS, MASKS, NORMS, OPTIMISERS, RATES, Point
from tolerances import TOLERANCES, relative_error

ENGINES = ff.build_info()["engines"]
CLOSE = TOLERANCES["combination"]["float64"]

points = st.builds(
    Point,
    optimiser=st.sampled_from(sorted(OPTIMISERS)),
    rate=st.sampled_from(RATES),
    adapt=st.sampled_from(MASKS),
    flow=st.sampled_from(FLOWS),
    learn=st.booleans(),
    steps=st.integers(1, 3),
    step_weights=st.booleans(),
    context=st.sampled_from([0, 0, 2]),
    clip_norm=st.sampled_from([None, 0.5]),
    activation=st.sampled_from([name for name in ACTIVATIONS if "relu" not in name]),
    norm=st.sampled_from(NORMS),
    seed=st.integers(0, 10_000),
).filter(lambda point: not meaningless(point))


@given(points)
def test_per_task_gradients_are_those_of_the_task_alone(point):
    together = subject.meta_grad(point, per_task=True)
    for t in range(len(point.tasks)):
        alone = subject.meta_grad(point, tasks=[t])
        assert relative_error(together.task_grads[t], alone.grad) <= CLOSE
        assert together.losses[t] == pytest.approx(alone.loss, rel=CLOSE)


@given(points)
def test_the_mean_of_the_per_task_gradients_is_the_gradient(point):
    result = subject.meta_grad(point, per_task=True)
    assert relative_error(result.task_grads.mean(axis=0), result.grad) <= CLOSE
    assert result.loss == pytest.approx(result.losses.mean(), rel=CLOSE)
    total = subject.meta_grad(point, reduction="sum")
    assert relative_error(total.grad, len(point.tasks) * result.grad) <= CLOSE
    if point.learn:
        assert relative_error(total.rate_grad, len(point.tasks) * result.rate_grad) <= CLOSE


@given(points)
def test_threads_do_not_change_a_bit(point):
    bits = set()
    for threads in (1, 2, 3, 1):
        result = subject.meta_grad(point, per_task=True, threads=threads)
        arrays = (result.grad, result.losses, result.task_grads, result.rate_grad)
        bits.add(b"".join(array.tobytes() for array in arrays if array is not None))
    assert len(bits) == 1


@given(points)
def test_rates_given_apart_replace_those_of_the_optimiser(point):
    assume(not isinstance(point.learn, str))
    net, batch, there = subject.mlp(point), subject.batch(point), subject.meta_grad(point)
    inner = replace(subject.algorithm(point), inner=doubled(subject.optimiser(point)))
    here = ff.meta_grad(net, point.theta, batch, inner, rates=point.rates)
    np.testing.assert_array_equal(here.grad, there.grad)


def doubled(optimiser):
    return replace(optimiser, lr=2 * np.asarray(optimiser.lr) if np.ndim(optimiser.lr) else 0.5)


@given(points)
def test_every_engine_that_supports_a_call_agrees(point):
    expected = subject.meta_grad(point, per_task=True)
    for name in ENGINES:
        with _debug.force_engine(name):
            try:
                result = subject.meta_grad(point, per_task=True)
            except (NotImplementedError, RuntimeError) as error:
                assert "engine" in str(error)  # noqa: PT017
                continue
        assert relative_error(result.task_grads, expected.task_grads) <= CLOSE
        assert relative_error(result.losses, expected.losses) <= CLOSE
        if point.learn:
            assert relative_error(result.rate_grad, expected.rate_grad) <= CLOSE


@given(points)
def test_what_does_not_adapt_keeps_its_bits(point):
    assume(point.context == 0)
    adapted = subject.adapt(point)
    frozen = ~point.algorithm.objective(point.net, point.tasks[0]).mask
    for theta in adapted:
        np.testing.assert_array_equal(theta[frozen], point.theta[frozen])


# --------------------------------------------- finite differences, for whatever is registered


def registered(name):
    """The class of a registered inner optimiser, by its name alone."""
    for cls in vars(ff.inner).values():
        if isinstance(cls, type) and getattr(cls, "name", None) == name:
            return cls
    raise AssertionError(f"no class of ff.inner is named {name!r}")


def gentle(name, rate, **options):
    """An optimiser with an eps that finite differences can live with, where it has one."""
    cls = registered(name)
    fields = cls.__dataclass_fields__
    return cls(rate, **({"eps": 0.1} if "eps" in fields else {}), **options)


def slope_of_loss(net, theta, batch, algorithm, v):
    h = 1e-5
    ends = [ff.meta_grad(net, theta + s * h * v, batch, algorithm).loss for s in (1, -1)]
    return (ends[0] - ends[1]) / (2 * h)


@pytest.mark.parametrize("clip_norm", [None, 0.5])
@pytest.mark.parametrize("adapt", MASKS, ids=str)
@pytest.mark.parametrize("name", ff.inner.names())
def test_exact_gradient_matches_finite_differences(name, adapt, clip_norm):
    """A newcomer to the registry is held to this without a line of test of its own."""
    point = Point(activation="softplus", norm=NORMS[-1])
    inner = gentle(
        name, 0.03, weight_decay=0.1, decoupled_weight_decay=0.2, proximal=0.3, clip_norm=clip_norm
    )
    algorithm = ff.Algorithm(inner, steps=3, adapt=adapt, gradient="exact")
    net, batch = subject.mlp(point), subject.batch(point)
    result = ff.meta_grad(net, point.theta, batch, algorithm)
    for v in np.random.default_rng(3).normal(size=(3, point.theta.size)):
        slope = slope_of_loss(net, point.theta, batch, algorithm, v)
        assert result.grad @ v == pytest.approx(slope, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("kind", RATES)
@pytest.mark.parametrize("name", ff.inner.names())
def test_rate_gradient_matches_finite_differences(name, kind):
    point = Point(activation="softplus", rate=kind)
    values = 0.03 * np.ones_like(point.rates)
    inner = gentle(name, values if values.ndim else float(values))
    algorithm = ff.Algorithm(inner, steps=3, gradient="exact", learn_rates=True)
    net, batch = subject.mlp(point), subject.batch(point)
    result = ff.meta_grad(net, point.theta, batch, algorithm)
    assert np.shape(result.rate_grad) == values.shape
    v, h = np.random.default_rng(4).normal(size=values.shape), 1e-6
    losses = [
        ff.meta_grad(net, point.theta, batch, algorithm, rates=values + s * h * v).loss
        for s in (1, -1)
    ]
    slope = (losses[0] - losses[1]) / (2 * h)
    assert np.sum(result.rate_grad * v) == pytest.approx(slope, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("name", ff.inner.names())
def test_context_gradient_matches_finite_differences(name):
    point = Point(activation="softplus", context=2)
    algorithm = ff.Algorithm(gentle(name, 0.1), steps=3, gradient="exact", context=2)
    net, batch = subject.mlp(point), subject.batch(point)
    result = ff.meta_grad(net, point.theta, batch, algorithm)
    v = np.random.default_rng(5).normal(size=point.theta.size)
    slope = slope_of_loss(net, point.theta, batch, algorithm, v)
    assert result.grad @ v == pytest.approx(slope, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("adapt", MASKS, ids=str)
def test_multi_step_loss_matches_finite_differences(adapt):
    point = Point("momentum", adapt=adapt, step_weights=True, steps=4)
    net, batch, algorithm = subject.mlp(point), subject.batch(point), subject.algorithm(point)
    result = ff.meta_grad(net, point.theta, batch, algorithm)
    v = np.random.default_rng(6).normal(size=point.theta.size)
    slope = slope_of_loss(net, point.theta, batch, algorithm, v)
    assert result.grad @ v == pytest.approx(slope, rel=1e-6, abs=1e-8)
