"""The life-expectancy experiment: protocol, metrics and absence of leakage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("plotly", reason="needs the examples extra")
pytest.importorskip("sklearn", reason="needs the examples extra")
pytest.importorskip("statsmodels", reason="needs the examples extra")
pytest.importorskip("matplotlib", reason="needs the examples extra")
pytest.importorskip("rich", reason="needs the examples extra")

from examples.gapminder import (
    curvature,
    data,
    evaluation,
    experiment,
    meta,
    methods,
    network,
    protocol,
    report,
    scores,
    training,
)
from examples.gapminder.baselines import (
    BASELINES,
)
from examples.gapminder.settings import Settings
from examples.intervals import Z95
from fomaml_fast import TaskBatch

TINY = Settings(n_folds=2, iterations=8, n_draws=2, n_tuning_draws=1, test_supports=(1, 3))


@pytest.fixture(scope="module")
def table() -> data.LifeExpectancy:
    return data.load()


@pytest.fixture(scope="module")
def fold(table: data.LifeExpectancy) -> protocol.Fold:
    return protocol.folds(table.countries, 5, np.random.default_rng(0))[0]


def some_supports(n_tasks: int, k: int, n_years: int = 12, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([rng.choice(n_years, k, replace=False) for _ in range(n_tasks)])


# Data and protocol


def test_the_table_is_gapminders(table: data.LifeExpectancy) -> None:
    assert table.values.shape == (142, 12)
    assert table.years.tolist() == list(range(1952, 2008, 5))
    # Two entries of the published table, in different corners.
    assert table.values[table.countries.index("Afghanistan"), 0] == pytest.approx(28.801)
    assert table.values[table.countries.index("Zimbabwe"), -1] == pytest.approx(43.487)


def test_every_country_is_unseen_once(table: data.LifeExpectancy) -> None:
    folds = protocol.folds(table.countries, 5, np.random.default_rng(3))
    assert np.sort(np.concatenate([f.test for f in folds])).tolist() == list(range(142))
    for f in folds:
        assert np.sort(np.concatenate([f.train, f.test])).tolist() == list(range(142))
        assert len(f.test) in (28, 29)


def test_support_orders_are_permutations_and_differ() -> None:
    orders = protocol.support_orders(10, 4, 12, np.random.default_rng(0))
    assert np.array_equal(np.sort(orders, axis=-1), np.broadcast_to(np.arange(12), orders.shape))
    assert len({tuple(row) for row in orders.reshape(-1, 12).tolist()}) == 40


def test_forecast_gives_the_first_years() -> None:
    assert protocol.forecast_orders(2, 12)[1, 0].tolist() == list(range(12))


def test_standardiser_round_trip_and_unit_variance(
    table: data.LifeExpectancy, fold: protocol.Fold
) -> None:
    values = table.values[fold.train]
    scale = protocol.Standardiser.fit(table.years, values)
    z = scale.y(values)
    assert abs(z.mean()) < 1e-12
    assert z.std() == pytest.approx(1.0)
    np.testing.assert_allclose(scale.years_of_life(z), values, rtol=1e-13)


# Metrics, by hand


def test_query_mse_leaves_the_support_out() -> None:
    values = np.array([[1.0, 2.0, 3.0, 4.0]])
    predicted = np.array([[[1.0, 2.0, 5.0, 8.0], [9.0, 2.0, 3.0, 3.0]]])
    order = np.array([[[0, 1, 2, 3], [0, 3, 2, 1]]])
    # Draw 0, two given: errors 2 and 4 on the rest; draw 1, one given: 1, 0 and 0.
    assert scores.query_mse(predicted[:, :1], values, order[:, :1], 2).tolist() == [[10.0]]
    assert scores.query_mse(predicted[:, 1:], values, order[:, 1:], 1)[0, 0] == pytest.approx(1 / 3)


def test_summary_averages_draws_before_countries_and_leaves_divergence_out() -> None:
    mse = np.array([[4.0, 16.0], [1.0, np.inf], [np.nan, np.inf]])
    diverged = np.array([[False, False], [False, True], [True, True]])
    summary = scores.summarise(scores.Errors(mse, diverged))
    assert summary.n_diverged == 3
    assert summary.n_countries == 2
    assert summary.mean == pytest.approx((3.0 + 1.0) / 2)
    assert summary.pooled == pytest.approx(np.sqrt((4 + 16 + 1) / 3))
    # Standard deviation of (3, 1) is sqrt(2), of their mean 1.
    assert summary.half_width == pytest.approx(Z95)


def test_summary_when_all_diverged() -> None:
    errors = scores.Errors(np.full((2, 2), np.inf), np.ones((2, 2), dtype=bool))
    summary = scores.summarise(errors)
    assert np.isnan(summary.mean)
    assert (summary.n_diverged, summary.n_countries) == (4, 0)
    assert scores.difference(errors, errors).verdict == "level"


@pytest.mark.parametrize(("shift", "verdict"), [(-1.0, "better"), (0.0, "level"), (1.0, "worse")])
def test_paired_difference(shift: float, verdict: str) -> None:
    rng = np.random.default_rng(0)
    other = rng.uniform(3, 20, (30, 1))
    mine = other + shift + rng.permutation(np.tile([-0.5, 0.5], 15))[:, None]
    none = np.zeros((30, 1), dtype=bool)
    gap = scores.difference(scores.Errors(mine**2, none), scores.Errors(other**2, none))
    assert gap.mean == pytest.approx(shift, abs=1e-9)
    assert gap.half_width == pytest.approx(1.96 * 0.5 * np.sqrt(30 / 29) / np.sqrt(30), rel=1e-3)
    assert gap.verdict == verdict


# No leakage: what is fitted does not know the unseen countries


def spoiled(table: data.LifeExpectancy, rows: np.ndarray) -> data.LifeExpectancy:
    values = table.values.copy()
    values[rows] = 1000.0 - 7 * values[rows]
    return data.LifeExpectancy(table.countries, table.years, values)


@pytest.mark.parametrize("name", list(BASELINES))
def test_baselines_do_not_see_unseen_countries(
    name: str, table: data.LifeExpectancy, fold: protocol.Fold
) -> None:
    columns = some_supports(5, 3)
    given = np.full((5, 3), 60.0)
    answers = [
        BASELINES[name](t.years, t.values[fold.train]).predict(columns, given)
        for t in (table, spoiled(table, fold.test))
    ]
    np.testing.assert_array_equal(answers[0], answers[1])


def test_training_does_not_see_unseen_countries(
    table: data.LifeExpectancy, fold: protocol.Fold
) -> None:
    fits = [
        training.train_networks(t, fold, TINY, seed=4)[0]
        for t in (table, spoiled(table, fold.test), spoiled(table, fold.train[:1]))
    ]
    for name, clean in fits[0].items():
        assert clean.scale == fits[1][name].scale
        assert clean.rate == fits[1][name].rate
        np.testing.assert_array_equal(clean.theta, fits[1][name].theta)
        assert clean.scale != fits[2][name].scale  # the training countries do matter


def test_tasks_are_training_countries_with_disjoint_rows(
    table: data.LifeExpectancy, fold: protocol.Fold
) -> None:
    scale = protocol.Standardiser.fit(table.years, table.values[fold.train])
    batches = meta.draw_batches(table, fold, scale, TINY, seed=0)
    assert [len(b) for b in batches] == [TINY.countries_per_batch] * TINY.iterations
    allowed = scale.y(table.values[fold.train]).astype(np.float32)
    for batch in batches:
        x = np.concatenate([batch.x_support, batch.x_query], axis=1)[..., 0]
        y = np.concatenate([batch.y_support, batch.y_query], axis=1)[..., 0]
        order = np.argsort(x, axis=1)
        curves = np.take_along_axis(y, order, axis=1)
        assert (np.diff(np.take_along_axis(x, order, axis=1)) > 0).all()  # 12 distinct years
        assert all((allowed == curve).all(axis=1).any() for curve in curves)
        assert batch.x_support.shape[1] == 3


def test_forecasting_tasks_give_the_first_years(
    table: data.LifeExpectancy, fold: protocol.Fold
) -> None:
    scale = protocol.Standardiser.fit(table.years, table.values[fold.train])
    for batch in meta.draw_batches(table, fold, scale, TINY, seed=0, support="first"):
        x = np.concatenate([batch.x_support, batch.x_query], axis=1)[..., 0]
        np.testing.assert_allclose(x, np.broadcast_to(scale.x(table.years), x.shape), rtol=1e-6)


def test_pooled_query_holds_all_observations() -> None:
    x = np.arange(8, dtype=np.float32).reshape(2, 4, 1)
    pooled = meta.pool(TaskBatch(x[:, :1], x[:, :1], x[:, 1:], x[:, 1:]))
    np.testing.assert_array_equal(pooled.x_query, x)
    np.testing.assert_array_equal(pooled.y_query, x)


# The network


@pytest.fixture(scope="module")
def untrained(table: data.LifeExpectancy) -> network.AdaptedNetwork:
    net = meta.network()
    scale = protocol.Standardiser.fit(table.years, table.values)
    return network.AdaptedNetwork(net, net.init(0, dtype=np.float64), 0.03, scale, table.years)


def test_network_adapts_by_gradient_descent_on_the_support(
    table: data.LifeExpectancy, untrained: network.AdaptedNetwork
) -> None:
    columns = some_supports(4, 3)
    given = table.values[np.arange(4)[:, None], columns]
    predicted, diverged = untrained.predict(columns, given, (0, 1, 5))
    assert not diverged.any()
    scale = untrained.scale
    for task in range(4):
        theta, x = untrained.theta.copy(), scale.x(table.years)[:, None]
        for step in range(6):
            if step in (0, 1, 5):
                by_hand = scale.years_of_life(untrained.net.predict(theta, x)[:, 0])
                np.testing.assert_allclose(predicted[(0, 1, 5).index(step), task], by_hand)
            c = columns[task]
            _, gradient = untrained.net.value_and_grad(theta, x[c], scale.y(given[task])[:, None])
            theta = theta - 0.03 * gradient


def test_largest_rate_against_the_full_hessian(
    table: data.LifeExpectancy, untrained: network.AdaptedNetwork
) -> None:
    columns = some_supports(2, 3)
    given = table.values[np.arange(2)[:, None], columns]
    x, y = untrained.support(columns, given)
    rates = curvature.largest_rates(untrained, columns, given)
    P = untrained.net.n_params
    for task in range(2):
        H = untrained.net.hvp(
            np.repeat(untrained.theta[None], P, axis=0),
            np.repeat(x[task][None], P, axis=0),
            np.repeat(y[task][None], P, axis=0),
            np.eye(P),
        )
        assert rates[task] == pytest.approx(2 / np.linalg.eigvalsh((H + H.T) / 2)[-1], rel=1e-6)


def test_uphill_counts_what_diverges(
    table: data.LifeExpectancy, untrained: network.AdaptedNetwork
) -> None:
    columns = some_supports(10, 3)
    given = table.values[np.arange(10)[:, None], columns]
    largest = curvature.largest_rates(untrained, columns, given)
    gentle = untrained.with_rate(float(largest.min()) / 10)
    assert curvature.count_uphill(gentle, columns, given, 5) == curvature.Uphill(10, 0, 0)
    wild = curvature.count_uphill(untrained.with_rate(20.0), columns, given, 5)
    assert wild.n_uphill == 10
    endless = curvature.count_uphill(untrained.with_rate(1e80), columns, given, 20)
    assert endless.n_not_finite == endless.n_uphill == 10


def test_rate_is_tuned_to_the_smallest_error(
    table: data.LifeExpectancy, untrained: network.AdaptedNetwork
) -> None:
    values = table.values[:20]
    orders = protocol.support_orders(20, 2, 12, np.random.default_rng(0))
    rates = (1e-4, 0.03, 1e80)

    def error(rate: float) -> float:
        columns, given = evaluation.support(values, orders, 3)
        predicted = untrained.with_rate(rate).predict(columns, given, (5,))[0][0]
        return float(
            np.sqrt(scores.query_mse(predicted.reshape(orders.shape), values, orders, 3)).mean()
        )

    assert error(0.03) < error(1e-4)
    assert meta.tune_rate(untrained, values, orders, rates, 3, 5) == 0.03


# The whole of it


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> experiment.GapminderReport:
    return experiment.run(tmp_path_factory.mktemp("gapminder"), quick=True, seed=0, threads=1)


def test_every_country_and_method_is_scored(finished: experiment.GapminderReport) -> None:
    results = finished.results
    with_bars = {method for method, _ in results.calibration}
    assert with_bars == {*methods.heads_of(True), "mixed model", "Gaussian", "Gaussian process"}
    for bars in results.calibration.values():
        assert bars.nll.shape[0] == 142
        assert np.isfinite(bars.nll).all()
        assert ((bars.coverage >= 0) & (bars.coverage <= 1)).all()
    for errors in results.errors.values():
        assert errors.mse.shape[0] == 142
        assert np.isfinite(errors.mse[~errors.diverged]).all()
    for forecast in (False, True):
        tested = {method for method, setting in results.errors if setting.forecast == forecast}
        assert tested == set(methods.methods_of(forecast))


def test_closed_form_scores_do_not_depend_on_steps(finished: experiment.GapminderReport) -> None:
    errors = finished.results.errors
    for method in BASELINES:
        one, other = (errors[method, evaluation.Setting(3, n)].mse for n in (0, 20))
        np.testing.assert_array_equal(one, other)


def test_recorded_errors_are_those_of_the_method(finished: experiment.GapminderReport) -> None:
    """Recompute one country's error of the line from the recorded supports."""
    results = finished.results
    country, draw = 17, 1
    order = results.orders[country, draw]
    t, y = results.data.years, results.data.values[country]
    slope, level = np.polyfit(t[order[:3]] - 1980, y[order[:3]], 1)
    error = level + slope * (t[order[3:]] - 1980) - y[order[3:]]
    recorded = results.errors["straight line", evaluation.Setting(3, 5)].mse[country, draw]
    assert recorded == pytest.approx(np.mean(error**2))


def test_a_shortened_run_says_so(
    finished: experiment.GapminderReport, capsys: pytest.CaptureFixture[str]
) -> None:
    report.print_tables(finished.results)
    printed = capsys.readouterr().out
    assert finished.quick
    assert printed.count("SHORTENED RUN") == 7


def test_files_are_written(finished: experiment.GapminderReport) -> None:
    for path in finished.figures:
        assert path.read_bytes().startswith(b"\x89PNG")
    numbers = json.loads(Path(finished.numbers).read_text(encoding="utf-8"))
    assert numbers["settings"]["iterations"] == Settings.quick().iterations
    assert numbers["conclusions"] == list(finished.conclusions)


def test_conclusions_follow_the_numbers(finished: experiment.GapminderReport) -> None:
    """Swap two methods' errors: the sentence on who is best must follow."""
    results = finished.results
    setting = evaluation.Setting(3, 5)
    best = min(methods.METHODS, key=lambda m: scores.summarise(results.errors[m, setting]).mean)
    other = next(m for m in methods.METHODS if m != best)
    swapped = dict(results.errors)
    swapped[best, setting], swapped[other, setting] = (
        results.errors[other, setting],
        results.errors[best, setting],
    )
    again = evaluation.Results(**{**vars(results), "errors": swapped})
    assert f"lowest error {best}," in report.conclusions(results)[0]
    assert f"lowest error {other}," in report.conclusions(again)[0]
