"""The sinusoid experiment on a protocol small enough for a test: it runs, learns, and reports."""

import json
from dataclasses import replace

import numpy as np
import pytest
from matplotlib import image

import fomaml_fast as ff
from examples.sinusoid import findings, head, head_tables, trust
from examples.sinusoid.diagnosis import (
    GradientGap,
    gradient_gap,
    sharpest_curvature,
)
from examples.sinusoid.experiment import run
from examples.sinusoid.scoring import Score, TestSet, score, tune
from examples.sinusoid.settings import PUBLISHED, PUBLISHED_STEPS, Settings
from examples.sinusoid.training import (
    SAMPLER,
    Method,
    Trained,
    make_network,
    train,
)

TINY = replace(
    Settings.quick(),
    sizes=(1, 8, 1),
    iterations=12,
    chunk=5,
    test_tasks=9,
    validation_tasks=7,
    gradient_tasks=20,
    grid_points=10,
    head_iterations=7,
    trust_tasks=5,
)


def trained(name="MAML", shots=5, theta=None):
    theta = np.zeros(25, np.float32) if theta is None else theta
    return Trained(Method(name, ff.maml(), None), shots, theta, np.ones(2), 1.0, 0)


def made_up(losses, name="MAML", diverged=None):
    """Return a score whose losses ``[T, 4]`` after 0, 1, 5, 10 steps are given."""
    losses = np.asarray(losses, dtype=np.float64)
    lost = np.zeros(losses.shape, bool) if diverged is None else np.asarray(diverged)
    result = ff.Evaluation((0, 1, 5, 10), losses, lost)
    return Score(trained(name), 5, 0.01, result, result)


def test_the_protocol_is_the_papers():
    s = Settings()
    assert (s.sizes, s.activation) == ((1, 40, 40, 1), "relu")
    assert (s.iterations, s.tasks_per_batch, s.inner_steps) == (70_000, 25, 1)
    assert (s.inner_rate, s.outer_rate) == (0.01, 0.001)
    assert set(s.train_shots) == {5, 10}
    assert (s.test_tasks, s.grid_points, s.test_steps) == (600, 100, (0, 1, 5, 10))
    assert not s.shortened
    assert Settings.quick().shortened
    assert ff.samplers.Sinusoid((0.1, 5.0), (0.0, np.pi), (1.0, 1.0), (-5.0, 5.0), 0.0) == SAMPLER
    assert PUBLISHED_STEPS == (1, 5, 10)
    assert PUBLISHED["MAML"][0] == 0.67


def test_it_runs_from_end_to_end(tmp_path, capsys):
    report = run(tmp_path / "new", settings=TINY, seed=3, threads=1)
    shown = capsys.readouterr().out
    assert "SHORTENED RUN" in shown
    assert "0.67" in shown
    assert len(report.runs) == 5 + 3
    assert len(report.scores) == (5 + 3) * 2
    for score_ in report.scores:
        assert score_.result.losses.shape == (9, 4)
        # The table shows every figure, whatever the width of the terminal.
        assert f"{score_.result.mean[1]:.2f} ± {score_.result.interval[1]:.2f}" in shown
        assert score_.result.losses.shape[0] == len(report.head_scores[5]["mse"].values)
    assert set(report.head_scores) == {5, 10}
    told = [line.name for line in report.trust]
    assert [name for name in told if name and "fifth" not in name] == [
        question.name for question in trust.QUESTIONS
    ]
    assert set(report.tunings) == {(10, 5), (5, 5), (10, 10), (5, 10)}
    for path in report.figures:
        assert path.parent == tmp_path / "new"
        assert min(image.imread(path).shape[:2]) > 200
    numbers = json.loads(report.numbers.read_text(encoding="utf-8"))
    assert numbers["seed"] == 3
    assert numbers["settings"]["shortened"] is True
    assert len(numbers["scores"]) == len(report.scores)
    assert numbers["findings"] == report.findings
    assert numbers["head"]["scores"][0]["mse"] == report.head_scores[5]["mse"].mean[-1]
    assert "a head that is solved for in closed form has" in report.summary[0]
    assert any("chosen of 0.001, 0.005, 0.02" in line for line in report.findings)


def test_training_is_the_same_for_any_number_of_threads():
    one, two = (train(TINY, 5, seed=1, threads=t) for t in (1, 2))
    other = train(TINY, 5, seed=2, threads=1)
    for a, b, c in zip(one, two, other, strict=True):
        np.testing.assert_array_equal(a.theta, b.theta)
        np.testing.assert_array_equal(a.curve, b.curve)
        assert not np.array_equal(a.theta, c.theta)


def test_training_takes_every_step_and_tells():
    told = []
    runs = train(TINY, 5, seed=0, threads=1, advance=told.append)
    assert [len(r.curve) for r in runs] == [3] * 5
    assert told == [5] * 5 + [5] * 5 + [2] * 5
    assert len({r.theta.tobytes() for r in runs}) == 5, "two methods gave the same network"


def test_meta_learning_beats_the_pretrained_network():
    settings = replace(Settings.quick(), iterations=1500, tasks_per_batch=10, chunk=500)
    net = make_network(settings)
    test = TestSet.draw(settings, 200, np.random.default_rng(9))
    runs = {r.method.name: r for r in train(settings, 10, seed=0, threads=1)}
    first = {
        name: score(net, runs[name], test, 10, 0.01, settings, 1).result
        for name in ("MAML", "FOMAML", "pretrained")
    }
    for name in ("MAML", "FOMAML"):
        before, after = first[name].mean[:2]
        assert after < 0.93 * before, "adaptation does not help"
        # The pretrained network is at its best without a step: its rate is not tuned here.
        assert after < 0.95 * first["pretrained"].mean.min()


def test_the_test_set_shows_the_same_curves_at_every_k():
    test = TestSet.draw(TINY, 6, np.random.default_rng(0))
    few, many = test.by_shots[5], test.by_shots[10]
    assert (few.x_support.shape[1], many.x_support.shape[1]) == (5, 10)
    np.testing.assert_array_equal(few.y_query, many.y_query)
    np.testing.assert_array_equal(few.y_query[..., 0], test.curves(few.x_query[0, :, 0]))


def test_tuning_takes_the_least_error_and_no_rate_that_diverges():
    net = make_network(TINY)
    theta = net.init(0)
    batch = TestSet.draw(TINY, 40, np.random.default_rng(0)).by_shots[5]
    rates = (1e-6, 1e-2, 1e6)
    tuning = tune(net, theta, batch, replace(TINY, tuning_rates=rates), threads=1)
    assert tuning.errors[2] == np.inf
    by_hand = [
        np.mean(ff.evaluate(net, theta, batch, ff.fomaml(r), steps=(1, 5, 10)).losses)
        for r in rates[:2]
    ]
    np.testing.assert_allclose(tuning.errors[:2], by_hand, rtol=1e-6)
    assert tuning.best == rates[int(np.argmin(tuning.errors))]


def test_sharpest_curvature_of_a_line_is_known():
    """For o = wx + b the Hessian is 2/K [[Σx², Σx], [Σx, K]]."""
    net = ff.MLP([1, 1])
    batch = SAMPLER.sample(0, 6, 5, dtype=np.float64)
    found = sharpest_curvature(net, np.array([0.3, -0.2]), batch, iterations=200)
    for x, value in zip(batch.x_support[..., 0], found, strict=True):
        hessian = 2 / 5 * np.array([[x @ x, x.sum()], [x.sum(), 5]])
        np.testing.assert_allclose(value, np.linalg.eigvalsh(hessian)[-1], rtol=1e-9)


def test_gradient_gap_compares_the_two_gradients():
    net = ff.MLP([1, 6, 1], activation="tanh")
    theta = net.init(0, np.float64)
    batch = SAMPLER.sample(0, 30, 5, dtype=np.float64)
    none = gradient_gap(net, theta, batch, 0.0, 1)
    assert none.cosine == pytest.approx(1, abs=1e-12)
    assert none.first_norm == pytest.approx(none.exact_norm, rel=1e-12)

    gap = gradient_gap(net, theta, batch, 0.2, 1)
    single = [
        ff.meta_grad(net, theta, batch.take([t]), ff.maml(0.2)).grad for t in range(len(batch))
    ]
    spread = np.sum((single - np.mean(single, axis=0)) ** 2) / (30 - 1)
    assert gap.noise == pytest.approx(np.sqrt(spread / 30), rel=1e-9)
    assert gap.exact_norm == pytest.approx(np.linalg.norm(np.mean(single, axis=0)), rel=1e-9)
    assert gap.cosine < 1 - 1e-6


# --- the head ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def short_head():
    """A twentieth of the meta-steps of the protocol."""
    return head.train_head(replace(Settings(), head_iterations=1000), seed=0, threads=1)


def test_a_short_training_of_the_head_is_far_below_gradient_steps(short_head):
    """0.35 is published for MAML after ten steps and 70,000 meta-steps."""
    test = TestSet.draw(Settings(), 300, np.random.default_rng(7))
    found = head.score_head(short_head, test, threads=1)
    assert found[5]["mse"].mean[-1] < 0.1
    assert found[10]["mse"].mean[-1] < found[5]["mse"].mean[-1]
    assert 0.88 < found[5]["coverage_95"].mean[-1] <= 1


def test_scores_of_the_head_are_those_of_its_posteriors(short_head):
    batch = TestSet.draw(Settings(), 6, np.random.default_rng(7)).by_shots[5]
    found = head.judge(short_head, batch, threads=1)
    for t in range(6):
        known = short_head.posterior(batch.x_support[t], batch.y_support[t])
        mean, std = known.predict(batch.x_query[t], return_std=True)
        error = (mean - batch.y_query[t]).astype(float)
        assert found["mse"].values[t, -1] == pytest.approx(np.mean(error**2), rel=1e-4)
        inside = np.mean(np.abs(error) <= 1.959964 * std)
        assert found["coverage_95"].values[t, -1] == pytest.approx(inside)


def test_training_the_head_is_the_same_for_any_number_of_threads():
    one, two = (head.train_head(TINY, seed=1, threads=t) for t in (1, 2))
    np.testing.assert_array_equal(one.state.theta, two.state.theta)
    np.testing.assert_array_equal(one.state.rates, two.state.rates)


def test_evidence_is_the_marginal_likelihood(short_head):
    """Point by point, against the joint normal density of all points written out."""
    from scipy.stats import multivariate_normal

    rng = np.random.default_rng(5)
    for _ in range(3):
        x = rng.uniform(-5, 5, (5, 1)).astype(np.float32)
        y = (2 * np.sin(x - 1)).astype(np.float32)
        *_, evidence = trust.answer(short_head, x, y, x)
        (w1, b1), (w2, b2), (w3, b3) = short_head.net.unflatten(
            short_head.state.theta.astype(np.float64)
        )
        hidden = np.tanh(np.tanh(x @ w1 + b1) @ w2 + b2)
        phi = np.hstack([hidden, np.ones((5, 1))])
        R = np.zeros((41, 41))
        R[np.tril_indices(41)] = short_head.state.rates[:-1]
        R[np.diag_indices(41)] = np.exp(np.diag(R))
        covariance = short_head.noise**2 * (phi @ R @ R.T @ phi.T + np.eye(5))
        law = multivariate_normal((hidden @ w3 + b3)[:, 0], covariance)
        assert evidence == pytest.approx(law.logpdf(y[:, 0].astype(float)), rel=1e-3, abs=1e-2)


def test_what_training_never_saw_is_told(short_head):
    settings = replace(Settings(), trust_tasks=60)
    usual, *fifths, two, one, beyond, other = trust.study(
        short_head, settings, np.random.default_rng(0)
    )
    assert len(fifths) == 5
    assert usual.actual < two.actual < one.actual
    assert np.isnan([two.flagged, one.flagged]).all()
    assert usual.flagged <= 0.02
    assert fifths[0].actual < usual.actual < fifths[-1].actual
    assert other.actual > 3 * other.predicted  # error bars cannot know
    assert other.flagged > 0.5  # the points can
    assert beyond.coverage < usual.coverage


def test_small_figures_keep_two_digits():
    assert [head_tables.figure(v) for v in (12.345, 0.1, 0.0123, 3.14e-5, 0.0)] == [
        *("12.35", "0.10", "0.012", "0.000031", "0.00"),
    ]


# --- what is said follows from the figures ------------------------------------------------------


@pytest.mark.parametrize(
    ("one_step", "said"),
    [
        ([0.5, 0.7, 0.9], "lies within the interval"),
        ([0.3, 0.31, 0.32], "better than the published figure by 0.36"),
        ([0.9, 0.91, 0.92], "worse than the published figure by 0.24"),
    ],
)
def test_verdict_on_the_published_figure(one_step, said):
    losses = np.ones((3, 4))
    losses[:, 1] = one_step
    (line,) = findings.against_published([made_up(losses)])
    assert said in line


def test_paired_difference_leaves_out_what_diverged():
    a = made_up(np.full((4, 4), 3.0) + np.arange(4)[:, None])
    lost = np.zeros((4, 4), bool)
    lost[0, 1] = True
    values = np.ones((4, 4))
    values[0, 1] = np.nan
    mean, half = findings.paired_difference(a, made_up(values, diverged=lost), steps=1)
    assert mean == pytest.approx(np.mean([3.0, 4.0, 5.0]))
    assert half == pytest.approx(1.959964 * 1.0 / np.sqrt(3), rel=1e-5)


@pytest.mark.parametrize(
    ("offset", "said"),
    [(0.5, "FOMAML is worse"), (-0.5, "FOMAML is better"), (0.0, "no difference")],
)
def test_verdict_on_first_order(offset, said):
    rng = np.random.default_rng(0)
    exact = rng.random((50, 4)) + 1
    first = exact + offset + 0.1 * rng.standard_normal((50, 4))
    first[:, 1] -= (first - exact)[:, 1].mean() - offset
    (line,) = findings.first_order_gap([made_up(exact), made_up(first, "FOMAML")], {})
    assert said in line


@pytest.mark.parametrize(
    ("gap", "said"),
    [
        (
            GradientGap(0.1, 2.0, 0.3, 0.05),
            "20.0 times as steeply as first order sees, and 91% of it",
        ),
        (GradientGap(0.1, 0.1, 0.9, 0.05), "nearly stationary"),
        (GradientGap(2.0, 2.0, 0.9, 0.05), "both still point downhill"),
    ],
)
def test_verdict_on_gradients(gap, said):
    scores = [made_up(np.ones((3, 4))), made_up(np.ones((3, 4)), "FOMAML")]
    lines = list(findings.first_order_gap(scores, {("FOMAML", 5): gap}))
    assert said in lines[1]


def test_worse_and_diverged_tasks_are_counted():
    losses = [[1.0, 0.5, 2.0, np.nan], [1.0, 0.5, 0.4, 0.3], [1.0, 1.5, 0.4, 0.3], [1.0] * 4]
    lost = np.isnan(losses)
    found = made_up(losses, diverged=lost)
    assert found.n_worse.tolist() == [0, 1, 1, 1]
    assert found.ever_worse.tolist() == [True, False, True, False]
    curvature = {("MAML", 5): np.array([500.0, 50.0, 100.0, 70.0])}
    half = {("MAML", 5): replace(found, rate=0.005)}
    text = "\n".join(findings.divergence([found], curvature, half))
    assert "diverged 0 / 0 / 1 of 4 tasks" in text
    assert "worse than before adaptation 1 / 1 / 1" in text
    assert "median 3.00 for the 2 tasks that ever got worse, 0.60 for the others" in text
    assert "in 25% of all" in text
    assert "half the rate (0.005)" in text
    # Nothing is said where nothing went wrong.
    fine = made_up(np.array([[1.0, 0.5, 0.4, 0.3]] * 4))
    assert list(findings.divergence([fine], curvature, half)) == []


def test_an_error_beyond_the_range_of_the_curves_counts_as_diverged():
    net = make_network(TINY)
    test = TestSet.draw(TINY, 30, np.random.default_rng(0))
    wild = score(net, trained(theta=net.init(0)), test, 5, 0.5, TINY)
    finite = np.isfinite(wild.result.losses)
    assert (finite & wild.result.diverged).any(), "the rate is not wild enough for this test"
    np.testing.assert_array_equal(wild.result.diverged, ~(wild.result.losses <= 100.0))
    kept = wild.result.losses[~wild.result.diverged[:, 1], 1].astype(float)
    assert wild.result.mean[1] == pytest.approx(kept.mean())
    assert wild.result.losses.shape == (30, 4)
    assert wild.every_step.losses.shape == (30, 11)


@pytest.mark.parametrize(
    ("offset", "said"), [(0.4, "+0.40 ± 0.00, worse"), (-0.4, "-0.40 ± 0.00, better")]
)
def test_effect_of_initial_weights(offset, said):
    plain = np.ones((5, 4))
    (line,) = findings.initial_weights(
        [made_up(plain), made_up(plain + offset, "MAML, small init")]
    )
    assert said in line


def test_a_mean_that_one_task_makes_is_named():
    losses = np.ones((11, 4))
    losses[3, 2] = 90.0
    (line,) = findings.dominated_means([made_up(losses)])
    assert "5 steps: one task, of error 90, makes 90% of the mean" in line
    assert "the mean of the others is 1.00" in line
    lost = np.zeros(losses.shape, bool)
    lost[3, 2] = True
    assert list(findings.dominated_means([made_up(losses, diverged=lost)])) == []
