"""Calls of many learners that cannot go on: what they raise, and which learner they name."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest

import fomaml_fast as ff

NET = ff.MLP([2, 5, 1])
MAML = ff.maml(0.1)
OUTER = ff.outer.Adam()
T = 4


def batch_of(tasks=T, dtype=np.float32, far=()):
    """Tasks whose rows are so far out that they diverge, where `far` says so."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(tasks, 5, 2)).astype(dtype)
    x[list(far)] *= 1e15
    y = np.ones((tasks, 5, 1), dtype)
    return ff.TaskBatch(x, y, x, y)


BATCH = batch_of()
STATE = ff.init_state(NET, MAML, OUTER, seed=range(3))


def spoilt(*learners):
    """Thetas that overflow for some learners."""
    theta = STATE.theta.copy()
    theta[list(learners)] *= 1e25
    return STATE._replace(theta=theta)


def test_divergence_names_learners_and_tasks():
    with pytest.raises(ff.DivergenceError, match=r"^learner 1: 4 of 4 tasks diverged") as caught:
        ff.meta_step(NET, spoilt(1), BATCH, MAML, OUTER)
    assert caught.value.learners == [1]
    assert caught.value.tasks == [0, 1, 2, 3]
    with pytest.raises(ff.DivergenceError, match=r"^learner 0 \(and learner 2\): ") as caught:
        ff.meta_grad(NET, spoilt(0, 2).theta, BATCH, MAML)
    assert caught.value.learners == [0, 2]
    with pytest.raises(ff.DivergenceError, match=r"^learner 0 \(and 2 more learners\): 1 of 4"):
        ff.meta_grad(NET, STATE.theta, batch_of(far=[2]), MAML)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.learners, str(again)) == (caught.value.learners, str(caught.value))


def test_learners_drop_tasks_of_their_own():
    batches = [BATCH, batch_of(far=[2]), batch_of(far=[0, 3])]
    for trace in (False, True):
        after, metrics = ff.meta_step(
            NET, STATE, batches, MAML, OUTER, on_divergence="drop", trace=trace
        )
        np.testing.assert_array_equal(metrics.n_dropped, [0, 1, 2])
        np.testing.assert_array_equal(metrics.diverged.nonzero(), [[1, 2, 2], [2, 0, 3]])
        for r, batch in enumerate(batches):
            alone, seen = ff.meta_step(
                NET, STATE.learner(r), batch, MAML, OUTER, on_divergence="drop"
            )
            np.testing.assert_array_equal(after.theta[r], alone.theta)
            assert metrics.loss[r] == seen.loss
    with pytest.raises(ff.DivergenceError, match=r"^learner 1: 4 of 4"):
        ff.meta_step(NET, spoilt(1), BATCH, MAML, OUTER, on_divergence="drop")


def test_a_step_out_of_the_finite_names_its_learner():
    moments = STATE.moments.copy()
    moments[2, 0] = 1e38
    state = STATE._replace(moments=moments)
    with pytest.raises(ff.DivergenceError, match=r"^learner 2: the outer step led to"):
        ff.meta_step(NET, state, BATCH, MAML, ff.outer.Adam(1e5))


def test_adapt_and_evaluate_diverge_by_learner():
    x, y = BATCH.x_support, BATCH.y_support
    theta = spoilt(1).theta
    with pytest.raises(ff.DivergenceError, match=r"^learner 1: 4 of 4"):
        ff.adapt(NET, theta[:, None], x, y, MAML)
    with pytest.raises(ff.DivergenceError, match=r"^learner 1: 4 of 4"):
        ff.adapt(NET, theta[:, None], x, y, MAML, trace=True)
    thetas, diverged = ff.adapt(NET, theta[:, None], x, y, MAML, on_divergence="mask")
    for r in range(3):
        one, lost = ff.adapt(NET, theta[r], x, y, MAML, on_divergence="mask")
        np.testing.assert_array_equal(thetas[r], one)
        np.testing.assert_array_equal(diverged[r], lost)
    found = ff.evaluate(NET, theta, BATCH, MAML, steps=[1], metrics="rmse")
    np.testing.assert_array_equal(found.diverged[:, :, 0].all(axis=1), [False, True, False])
    assert np.isnan(found.metrics["rmse"].values).all()  # no prediction of all learners
    assert not np.isnan(found.learners[0].metrics["rmse"].values).any()
    with pytest.raises(ff.DivergenceError, match=r"^learner 1: 4 of 4") as caught:
        ff.evaluate(NET, theta, BATCH, MAML, on_divergence="raise")
    assert caught.value.learners == [1]


def nan_at(array, *place):
    array = array.copy()
    array[place] = np.nan
    return array


STEP = {
    "no learner": (
        lambda: STATE._replace(theta=STATE.theta[:0]),
        "state.theta must have shape [learners, 21], got [0, 21]",
    ),
    "theta": (
        lambda: STATE._replace(theta=nan_at(STATE.theta, 2, 5)),
        "learner 2: state.theta must be finite, but state.theta[5] is nan",
    ),
    "width": (
        lambda: STATE._replace(theta=STATE.theta[:, :20].copy()),
        "state.theta must have shape [learners, 21], got [3, 20]",
    ),
    "moments of others": (
        lambda: STATE._replace(moments=STATE.moments[:2]),
        "state.moments must have an axis of 3 learners in front, as state.theta has, got shape "
        "[2, 2, 21]",
    ),
    "moments": (
        lambda: STATE._replace(moments=nan_at(STATE.moments, 1, 0, 3)),
        "learner 1: state.moments must be finite, but state.moments[0, 3] is nan",
    ),
    "steps": (
        lambda: STATE._replace(step=np.zeros(2, np.int64)),
        "state.step must be one for all learners, or one for each of the 3 that theta holds, got 2",
    ),
    "step below 0": (
        lambda: STATE._replace(step=np.array([0, -1, 0])),
        "state.step must be from 0 to 2**63 - 2, got -1",
    ),
}


@pytest.mark.parametrize(("state", "sentence"), STEP.values(), ids=STEP)
def test_states_that_do_not_fit(state, sentence):
    with pytest.raises(ValueError, match="^" + re.escape(sentence)):
        ff.meta_step(NET, state(), BATCH, MAML, OUTER)


def test_batches_and_algorithms_that_do_not_fit():
    theta = STATE.theta

    def refuses(sentence, batch=BATCH, algorithm=MAML, error=ValueError, **options):
        with pytest.raises(error) as caught:
            ff.meta_grad(NET, theta, batch, algorithm, **options)
        assert str(caught.value).startswith(sentence)

    refuses(
        "batch must be one for all learners, or one for each of the 3 that theta holds, got 2",
        [BATCH] * 2,
    )
    refuses("batch[1] must be a TaskBatch, got list", [BATCH, [BATCH], BATCH], error=TypeError)
    refuses("batch must be a TaskBatch, got NoneType", None, error=TypeError)
    refuses(
        "learner 1: batch must hold as many tasks as that of learner 0, 4, got 3",
        [BATCH, batch_of(3), BATCH],
    )
    wide = batch_of(dtype=np.float64)
    refuses(
        "learner 2: theta is float32 but the batch is float64",
        [BATCH, BATCH, wide],
        error=TypeError,
    )
    refuses("algorithm must be one for all", algorithm=[MAML] * 2)
    like = "learner 1: algorithm must be like that of learner 0 in "
    refuses(like + "the gradient being implicit", algorithm=[MAML, ff.imaml(), MAML])
    refuses(like + "learning rates or not", algorithm=[MAML, ff.meta_sgd(), MAML])
    refuses(
        "learner 2: algorithm must be like that of learner 0 in the shape",
        algorithm=[ff.meta_sgd(), ff.meta_sgd(), ff.Algorithm(ff.inner.SGD(0.1), learn_rates=True)],
    )
    refuses("rates must have an axis of 3 learners in front", rates=np.ones(2, np.float32))
    refuses("learner 1: rates must be finite", rates=np.array([1, np.inf, 1], np.float32))
    with pytest.raises(ValueError, match="needs one batch for all of them, got 3"):
        ff.evaluate(NET, theta, [BATCH] * 3, MAML, metrics="rmse")
    wide_net, contexts = ff.MLP([4, 5, 1]), [ff.cavia(context=2), ff.maml(0.1), ff.maml(0.1)]
    thetas = np.stack([wide_net.init(seed) for seed in range(3)])
    with pytest.raises(ValueError, match=r"x_support must have 4 columns|in what adapts"):
        ff.evaluate(wide_net, thetas, BATCH, contexts)
    contexts = [ff.maml(0.1), ff.maml(0.1), ff.cavia(context=1)]
    batches = [
        batch_of(),
        batch_of(),
        ff.TaskBatch(*([BATCH.x_support[..., :1], BATCH.y_support] * 2)),
    ]
    with pytest.raises(ValueError, match=r"learner 2: algorithm must be like .* in what adapts"):
        ff.evaluate(NET, theta, batches, contexts)
    mixed = [MAML, ff.Algorithm(ff.inner.BayesianHead()), MAML]
    with pytest.raises(ValueError, match="whether a head is solved for"):
        ff.evaluate(NET, theta, BATCH, mixed, steps=[1], metrics="rmse")
    with pytest.raises(TypeError, match="must be a TaskBatch, got list"):
        ff.meta_step(NET, STATE.learner(0), [BATCH], MAML, OUTER)


def test_states_in_a_stack():
    one, two = STATE.learner(0), STATE.learner(-1)
    assert (one.n_learners, STATE.n_learners) == (None, 3)
    np.testing.assert_array_equal(two.theta, STATE.theta[2])
    again = ff.State.stack([STATE.learner(r) for r in range(3)])
    for first, second in zip(again, STATE, strict=True):
        np.testing.assert_array_equal(first, second)
        assert first.dtype == second.dtype
    np.testing.assert_array_equal(
        ff.init_state(NET, MAML, OUTER, theta=STATE.theta).theta, STATE.theta
    )
    for states, sentence in (
        ([], "states must be a sequence of states"),
        ([one, None], "states[1] must be a State, got NoneType"),
        ([one, STATE], "states[1] must be of one learner, but its theta has shape [3, 21]"),
        ([one, two._replace(step=1.5)], "states[1].step must be an integer, got 1.5"),
        ([one._replace(theta=[[1.0], [2.0, 3.0]])], "states[0].theta cannot be read as an array"),
        ([one, two._replace(theta=two.theta[:4])], "states[1].theta must be float32 of shape [21]"),
        ([one, two._replace(theta=np.float64(two.theta))], "states[1].theta must be float32"),
    ):
        with pytest.raises((ValueError, TypeError)) as caught:
            ff.State.stack(states)
        assert str(caught.value).startswith(sentence)
    with pytest.raises(ValueError, match="one of 3 learners, got 3"):
        STATE.learner(3)
    with pytest.raises(ValueError, match="is of one learner"):
        one.learner(0)
    with pytest.raises(ValueError, match="seed must hold one seed a learner"):
        ff.init_state(NET, MAML, OUTER, seed=[])


def test_there_is_a_learner():
    x = np.ones((3, 2), np.float32)
    for theta, options in ((STATE.theta[:0, None], {}), (STATE.theta[:0, None], {"trace": True})):
        with pytest.raises(ValueError, match=r"^theta must h"):
            ff.adapt(NET, theta, x, x[:, :1], MAML, **options)
