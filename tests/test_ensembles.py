"""What learners predict together, against the definition of a mixture, number by number."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, log_softmax, softmax

import fomaml_fast as ff

R, T = 5, 4
OUTER = ff.outer.Adam()
MAML = ff.maml(0.1, 2)


def tasks(loss="mse", outputs=2, seed=0, ragged=False, **more):
    rng = np.random.default_rng(seed)
    lengths = [6, 3, 8, 1] if ragged else [6] * T
    columns = []
    for rows in ([5] * T, lengths):
        columns.append([rng.normal(size=(n, 2)) for n in rows])
        if loss == "cross_entropy":
            columns.append([rng.integers(0, outputs, n) for n in rows])
        elif loss == "binary_cross_entropy":
            columns.append([rng.integers(0, 2, (n, outputs)) * 1.0 for n in rows])
        else:
            columns.append([rng.normal(size=(n, outputs)) for n in rows])
    if not ragged:
        columns = [np.stack(c) for c in columns]
    return ff.TaskBatch(*columns, **more)


def learners(loss="mse", outputs=2, algorithm=MAML):
    net = ff.MLP([2, 6, outputs], "tanh", loss=loss)
    return net, ff.init_state(net, algorithm, OUTER, seed=range(R), dtype=np.float64)


def outputs_of(net, state, batch, algorithm=MAML, **options):
    """Of every learner, one call each: lists of tasks."""
    x, y = batch.x_support, batch.y_support
    made = []
    for r in range(R):
        thetas = ff.adapt(net, state.theta[r], x, y, algorithm, **options)
        made.append([net.predict(*pair) for pair in zip(thetas, batch.x_query, strict=True)])
    return made


@pytest.mark.parametrize("ragged", [False, True])
def test_metrics_of_numbers_are_of_the_mean_and_the_spread(ragged):
    net, state = learners()
    batch = tasks(ragged=ragged)
    names = ["rmse", "nll", "coverage_90", "calibration_error"]
    found = ff.evaluate(net, state.theta, batch, MAML, steps=(0, 2), metrics=names)
    made = outputs_of(net, state, batch)
    for t, y in enumerate(batch.y_query):
        of_task = np.stack([of[t] for of in made])
        mean, std = of_task.mean(axis=0), of_task.std(axis=0)
        wanted = {
            "rmse": np.sqrt(((mean - y) ** 2).mean(axis=0)).mean(),
            "nll": -stats.norm(mean, std).logpdf(y).mean(),
            "coverage_90": (np.abs(y - mean) <= stats.norm.ppf(0.95) * std).mean(),
        }
        for name, value in wanted.items():
            np.testing.assert_allclose(found.metrics[name].values[t, 1], value, rtol=1e-12)
    assert set(found.learners[0].metrics) == {"rmse"}  # one learner has no distribution
    for r in range(R):
        own = ff.evaluate(net, state.theta[r], batch, MAML, steps=(0, 2), metrics="rmse")
        np.testing.assert_array_equal(
            found.learners[r].metrics["rmse"].values, own.metrics["rmse"].values
        )
        np.testing.assert_array_equal(found.losses[r], own.losses)
    assert "5 learners on 4 tasks" in repr(found)


@pytest.mark.parametrize("ragged", [False, True])
def test_classes_are_those_of_the_mean_probability(ragged):
    net, state = learners("cross_entropy", 3)
    mask = np.array([[True, True, True], [True, False, True]] * 2)
    plain = tasks("cross_entropy", 3, ragged=ragged)
    labels = [
        [np.where(mask[t, own], own, 0) for t, own in enumerate(of)]
        for of in (plain.y_support, plain.y_query)
    ]
    if not ragged:
        labels = [np.stack(of) for of in labels]
    batch = ff.TaskBatch(plain.x_support, labels[0], plain.x_query, labels[1], class_mask=mask)
    found = ff.evaluate(net, state.theta, batch, MAML, steps=[2], metrics="accuracy")
    made = outputs_of(net, state, batch, class_mask=mask)
    for t, y in enumerate(batch.y_query):
        logits = np.where(mask[t], np.stack([of[t] for of in made]), -np.inf)
        classes = softmax(logits, axis=-1).mean(axis=0).argmax(axis=-1)
        assert found.metrics["accuracy"].values[t, 0] == (classes == y).mean()


def test_flags_are_those_of_the_mean_probability():
    net, state = learners("binary_cross_entropy", 2)
    batch = tasks("binary_cross_entropy")
    found = ff.evaluate(net, state.theta, batch, MAML, steps=[2], metrics="accuracy")
    made = np.array(outputs_of(net, state, batch))
    right = (expit(made).mean(axis=0) > 0.5) == (batch.y_query > 0.5)
    np.testing.assert_array_equal(found.metrics["accuracy"].values[:, 0], right.all(-1).mean(-1))


def test_functions_see_the_mean_prediction():
    net, state = learners("cross_entropy", 3)
    batch = tasks("cross_entropy", 3)
    seen = []
    ff.evaluate(
        *(net, state.theta, batch, MAML),
        steps=[2],
        metrics={"own": lambda outputs, targets: seen.append(outputs) or 0.0},
    )
    made = np.array(outputs_of(net, state, batch))
    together = np.log(softmax(made, axis=-1).mean(axis=0))
    np.testing.assert_allclose(seen[-T:], together, rtol=1e-12)  # after those of each learner
    np.testing.assert_allclose(log_softmax(seen[0], -1), log_softmax(made[0, 0], -1), rtol=1e-12)


def test_ensemble_predicts_one_task_and_many():
    net, state = learners()
    batch = tasks()
    made = np.array(outputs_of(net, state, batch))
    x, y = batch.x_support, batch.y_support
    found = ff.ensemble(net, state, x, y, MAML)
    mean, std = found.predict(batch.x_query, return_std=True)
    np.testing.assert_allclose(mean, made.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(std, made.std(axis=0), rtol=1e-12)
    one = ff.ensemble(net, state, x[1], y[1], MAML, noise=0.3)
    mean_1, std_1 = one.predict(batch.x_query[1], return_std=True)
    np.testing.assert_allclose(mean_1, mean[1], rtol=1e-12)
    np.testing.assert_allclose(std_1, np.hypot(std[1], 0.3), rtol=1e-12)
    density = stats.norm(mean_1, std_1).logpdf(batch.y_query[1]).sum(axis=1)
    np.testing.assert_allclose(one.log_prob(batch.x_query[1], batch.y_query[1]), density)
    targets = batch.y_query[1].copy()
    targets[2] = np.nan
    assert one.log_prob(batch.x_query[1], targets)[2] == 0
    assert (repr(found), repr(one)) == ("Ensemble(5 learners, 4 tasks)", "Ensemble(5 learners)")
    assert one.thetas.shape == (R, net.n_params)


@pytest.mark.parametrize("prior", ["scalar", "full"])
def test_heads_bring_their_own_variance(prior):
    algorithm = ff.Algorithm(ff.inner.BayesianHead(prior), learn_rates=True)
    net, state = learners(algorithm=algorithm)
    state = state._replace(rates=state.rates + np.linspace(0, 0.3, R)[:, None])
    batch = tasks()
    x, y, new = batch.x_support[0], batch.y_support[0], batch.x_query[0]
    posteriors = [ff.posterior(net, state.learner(r), x, y, algorithm) for r in range(R)]
    means, stds = (
        np.array(p)
        for p in zip(*(one.predict(new, return_std=True) for one in posteriors), strict=True)
    )
    spread = np.sqrt((stds**2 + means**2).mean(axis=0) - means.mean(axis=0) ** 2)
    mean, std = ff.ensemble(net, state, x, y, algorithm).predict(new, return_std=True)
    np.testing.assert_allclose(mean, means.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(std, spread, rtol=1e-9)
    found = ff.evaluate(
        *(net, state.theta, batch, algorithm), rates=state.rates, steps=[1], metrics="nll"
    )
    wanted = -stats.norm(mean, std).logpdf(batch.y_query[0]).mean()
    np.testing.assert_allclose(found.metrics["nll"].values[0, 0], wanted, rtol=1e-9)
    own = ff.evaluate(
        *(net, state.theta[2], batch, algorithm), rates=state.rates[2], steps=[1], metrics="nll"
    )
    np.testing.assert_array_equal(
        found.learners[2].metrics["nll"].values, own.metrics["nll"].values
    )


def test_probabilities_and_contexts():
    net, state = learners("cross_entropy", 3)
    batch = tasks("cross_entropy", 3)
    made = softmax(np.array(outputs_of(net, state, batch)), axis=-1)
    found = ff.ensemble(net, state, batch.x_support, batch.y_support, MAML)
    mean, std = found.predict(batch.x_query, return_std=True)
    np.testing.assert_allclose(mean, made.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(std, made.std(axis=0), rtol=1e-12)
    with pytest.raises(ValueError, match="log_prob is of targets that are numbers"):
        found.log_prob(batch.x_query, batch.y_query)

    algorithm = ff.cavia(0.5, context=2)
    net = ff.MLP([4, 6, 2])
    state = ff.init_state(net, algorithm, OUTER, seed=range(R), dtype=np.float64)
    batch = tasks()
    found = ff.ensemble(net, state, batch.x_support, batch.y_support, algorithm)
    values = []
    for r in range(R):
        phi = ff.adapt(net, state.theta[r], batch.x_support, batch.y_support, algorithm)
        values.append(net.predict(state.theta[r], batch.x_query, context=phi))
    np.testing.assert_allclose(found.predict(batch.x_query), np.mean(values, axis=0), rtol=1e-12)
    evaluated = ff.evaluate(net, state.theta, batch, algorithm, steps=[1], metrics="mae")
    wanted = np.abs(np.mean(values, axis=0) - batch.y_query).mean(axis=(1, 2))
    np.testing.assert_allclose(evaluated.metrics["mae"].values[:, 0], wanted, rtol=1e-12)


def test_what_an_ensemble_refuses():
    net, state = learners()
    x, y = np.ones((3, 2)), np.zeros((3, 2))
    with pytest.raises(ValueError, match="state must be of many learners"):
        ff.ensemble(net, state.learner(0), x, y, MAML)
    with pytest.raises(TypeError, match="state must be a State"):
        ff.ensemble(net, state.theta, x, y, MAML)
    found = ff.ensemble(net, state, x, y, MAML)
    with pytest.raises(ValueError, match=r"x must have shape \[n, inputs\], got \[1, 3, 2\]"):
        found.predict(x[None])
    with pytest.raises(ValueError, match=r"y must have shape \[3, 2\]"):
        found.log_prob(x, y[:2])
    alone = ff.ensemble(net, ff.State.stack([state.learner(0)]), x, y, MAML)
    with pytest.raises(ValueError, match="deviations above 0"):
        alone.log_prob(x, y)
    with pytest.raises(ValueError, match="nll is of a predictive distribution"):
        ff.evaluate(net, state.theta[:1], tasks(), MAML, metrics="nll")
    head = ff.Algorithm(ff.inner.BayesianHead(), learn_rates=True)
    state = ff.init_state(net, head, OUTER, seed=range(2), dtype=np.float64)
    with pytest.raises(ValueError, match="noise must be 0"):
        ff.ensemble(net, state, x, y, head, noise=0.1)
    with pytest.raises(ValueError, match="x must be of one task"):
        ff.ensemble(net, state, x[None], y[None], head)
    with pytest.raises(ValueError, match="steps must be 1 for"):
        ff.ensemble(net, state, x, y, head, steps=0)
    net, state = learners("cross_entropy", 3)
    with pytest.raises(ValueError, match="noise must be 0 for classes"):
        ff.ensemble(net, state, x, [0, 1, 2], MAML, noise=0.1)


def test_an_ensemble_of_ragged_tasks():
    net, state = learners()
    xs, ys = ([np.ones((k, 2)) * k for k in (3, 1)] for _ in range(2))
    found = ff.ensemble(net, state, xs, ys, MAML)
    for r, theta in enumerate(state.theta):
        np.testing.assert_array_equal(found.thetas[r], ff.adapt(net, theta, xs, ys, MAML))
    assert found.predict(np.ones((2, 4, 2))).shape == (2, 4, 2)


@pytest.mark.parametrize("many", [False, True])
def test_classes_that_a_task_lacks_have_no_probability(many):
    rng = np.random.default_rng(0)
    allowed = np.array([[True, True, False], [False, True, True]])
    x, y, xq = rng.normal(size=(2, 5, 2)), np.ones((2, 5), int), rng.normal(size=(2, 4, 2))
    net, state = learners("cross_entropy", 3)
    if many:
        found = ff.ensemble(net, state, x, y, MAML, class_mask=allowed).predict(xq)
    else:
        found = np.stack(
            [
                ff.ensemble(net, state, x[t], y[t], MAML, class_mask=allowed[t : t + 1]).predict(
                    xq[t]
                )
                for t in range(2)
            ]
        )
    outputs = np.zeros((R, 2, 4, 3))
    for r, theta in enumerate(state.theta):
        adapted = ff.adapt(net, theta, x, y, MAML, class_mask=allowed)
        outputs[r] = net.predict(adapted, xq)
    expected = softmax(np.where(allowed[:, None], outputs, -np.inf), axis=-1).mean(axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
