"""Schedules that change the algorithm during training: derivative order and multi-step weights."""

import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest

import fomaml_fast as ff
from fomaml_fast.schedules import derivative_order, multi_step_weights


def by_hand(step, steps, count):
    """MAML++'s weights, a step at a time: each early weight gives 1/(S steps) to the last."""
    weights = [1 / count] * count
    for _ in range(min(step, steps)):
        for k in range(count - 1):
            weights[k] = max(weights[k] - 1 / (count * steps), 0.03 / count)
    weights[-1] = 1 - sum(weights[:-1])
    return weights


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("step", [0, 1, 7, 19, 20, 21, 1000])
def test_weights_are_those_of_mamlpp(count, step):
    weights = multi_step_weights(ff.mamlpp(steps=count), steps=20)(step).step_weights
    np.testing.assert_allclose(weights, by_hand(step, 20, count), rtol=1e-12, atol=1e-15)
    assert sum(weights) == pytest.approx(1, abs=1e-15)


def test_weights_move_monotonically_to_the_last_step():
    schedule = multi_step_weights(ff.maml(steps=5), steps=30)
    weights = np.array([schedule(step).step_weights for step in range(40)])
    assert (np.diff(weights[:, 0]) <= 0).all()
    assert (np.diff(weights[:, -1]) >= -1e-15).all()
    assert weights[0].tolist() == pytest.approx([0.2] * 5)
    np.testing.assert_allclose(weights[-1], [0.006] * 4 + [0.976])


@pytest.mark.parametrize("algorithm", [ff.maml(0.1, 2), ff.fomaml(0.1, 2), ff.anil(0.1)])
def test_order_changes_at_the_switch_and_nothing_else_does(algorithm):
    schedule = derivative_order(algorithm, switch=3)
    assert [schedule(i).gradient for i in range(5)] == ["first"] * 3 + ["exact"] * 2
    for step in (0, 4):
        assert (schedule(step).inner, schedule(step).adapt) == (algorithm.inner, algorithm.adapt)
    assert derivative_order(algorithm, 0)(0).gradient == "exact"


def test_equal_results_are_one_object():
    """An algorithm caches what the core made of it: a new one each step would make it again."""
    order = derivative_order(ff.maml(), 10)
    assert order(0) is order(9)
    assert order(10) is order(99)
    weights = multi_step_weights(ff.maml(steps=3), 10)
    assert weights(10) is weights(5000)
    assert weights(4) is weights(4)
    assert weights(4) is not weights(5)


def test_they_compose():
    both = derivative_order(multi_step_weights(ff.mamlpp(steps=2), 10), 5)
    other = multi_step_weights(derivative_order(ff.mamlpp(steps=2), 5), 10)
    for step in (0, 4, 5, 10, 11):
        assert both(step) == other(step)
    assert both(4).gradient == "first"
    assert both(5).step_weights == (0.25, 0.75)


def test_they_are_values():
    make = (lambda: derivative_order(ff.maml(), 5), lambda: multi_step_weights(ff.maml(), 5))
    for one, same in ((f(), f()) for f in make):
        assert one == same
        assert hash(one) == hash(same)
        assert pickle.loads(pickle.dumps(one)) == one
        with pytest.raises(AttributeError):
            one.algorithm = None


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: derivative_order("maml", 1), TypeError, "algorithm"),
        (lambda: derivative_order(ff.maml(), -1), ValueError, "switch"),
        (lambda: derivative_order(ff.reptile(), 5), ValueError, "gradient"),
        (lambda: derivative_order(ff.imaml(), 5), ValueError, "gradient"),
        (lambda: derivative_order(lambda step: ff.reptile(), 5)(9), ValueError, "gradient"),
        (lambda: derivative_order(ff.maml(), 1.5), TypeError, "switch"),
        (lambda: multi_step_weights(None, 1), TypeError, "algorithm"),
        (lambda: multi_step_weights(ff.maml(), 0), ValueError, "steps"),
        (lambda: multi_step_weights(ff.maml(steps=0), 5), ValueError, "algorithm.steps"),
        (lambda: multi_step_weights(ff.reptile(), 5), ValueError, "no meaning"),
        (lambda: multi_step_weights(ff.imaml(), 5), ValueError, "no meaning"),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_training_follows_the_schedule():
    """A scheduled step is the step of the algorithm that the schedule names."""
    net, outer = ff.MLP([1, 6, 1], "tanh"), ff.outer.Adam(0.01)
    batch = ff.samplers.Sinusoid().sample(0, 4, 5, 5, dtype=np.float64)
    schedule = derivative_order(multi_step_weights(ff.mamlpp(0.1, steps=2), 3), 2)
    scheduled = plain = ff.init_state(net, schedule, outer, dtype=np.float64)
    for step in range(5):
        scheduled, _ = ff.meta_step(net, scheduled, batch, schedule, outer)
        plain, _ = ff.meta_step(net, plain, batch, schedule(step), outer)
        np.testing.assert_array_equal(scheduled.theta, plain.theta)
        np.testing.assert_array_equal(scheduled.rates, plain.rates)
    frozen = ff.init_state(net, schedule, outer, dtype=np.float64)
    for _ in range(5):
        frozen, _ = ff.meta_step(net, frozen, batch, schedule(0), outer)
    assert not np.array_equal(frozen.theta, scheduled.theta)


@dataclass
class Scaled:
    """A loss with a value of its own: equal ones are equal, and none has a hash."""

    scale: float

    def __call__(self, outputs, targets):
        error, count = outputs - targets, outputs[0].size
        value = self.scale * (error**2).mean(axis=(1, 2))
        return value, 2 * self.scale * error / count, lambda v: 2 * self.scale * v / count


def test_functions_without_a_hash_are_scheduled():
    def scheduled(scale):
        algorithm = replace(ff.maml(0.1, 2), query_loss=ff.losses.Custom(Scaled(scale)))
        return ff.schedules.derivative_order(ff.schedules.multi_step_weights(algorithm, 5), 3)(0)

    assert scheduled(2.0) == scheduled(2.0) != scheduled(3.0)
    assert hash(scheduled(2.0)) == hash(scheduled(2.0))
    assert scheduled(3.0).query_loss.fn.scale == 3.0


@pytest.mark.parametrize(
    "schedule",
    [
        ff.schedules.cosine(0.1, 10, warmup=2),
        ff.schedules.exponential(0.1, 0.5),
        ff.schedules.piecewise([1.0, 2.0], np.array([3])),
        ff.schedules.derivative_order(ff.maml(), 3),
        ff.schedules.multi_step_weights(ff.maml(), 3),
    ],
    ids=lambda schedule: type(schedule).__name__,
)
def test_steps_are_integers_from_0_on(schedule):
    assert schedule(np.int64(4)) == schedule(4)
    for step in (1.5, True, None, "3", np.array([1, 2]), float("nan")):
        with pytest.raises(TypeError, match="step must be an integer"):
            schedule(step)
    with pytest.raises(ValueError, match="step must be at least 0"):
        schedule(-1)


def test_what_is_no_schedule_is_told():
    with pytest.raises(TypeError, match=r"algorithm must be a schedule .* step 2 it returned int"):
        ff.schedules.derivative_order(lambda step: 5, 3)(2)
    with pytest.raises(TypeError, match=r"rates must be a sequence of numbers, got 0\.1"):
        ff.schedules.piecewise(0.1, (3,))
    with pytest.raises(TypeError, match="boundaries must be a flat sequence of numbers, got 2"):
        ff.schedules.piecewise((0.1, 0.2), np.zeros((1, 1), int))
    with pytest.raises(ValueError, match=r"decay must keep rates finite"):
        ff.schedules.exponential(0.1, 10.0)(400)
    with pytest.raises(TypeError, match="algorithm must be an Algorithm or a schedule of one"):
        ff.schedules.derivative_order(ff.Algorithm, 3)
    for decay in (1e10, 1e300):
        with pytest.raises(ValueError, match=r"decay must keep rates finite.* overflows at step 2"):
            ff.schedules.exponential(1e300, decay)(2)


def test_functions_that_cannot_be_compared_are_scheduled():
    """As dataclasses of arrays, whose == has no truth value."""

    def scheduled(fn):
        return multi_step_weights(replace(ff.maml(), query_loss=ff.losses.Custom(fn)), 5)(0)

    first, second = Scaled(np.ones(2)), Scaled(np.ones(2))
    assert scheduled(first).query_loss.fn is first
    assert scheduled(second).query_loss.fn is second
    assert scheduled(first) == scheduled(first) != scheduled(second)
