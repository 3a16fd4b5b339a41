"""The experiment itself: every fold, every method, every setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from examples.gapminder import curvature, meta
from examples.gapminder.baselines import BASELINES, Baseline
from examples.gapminder.data import BoolArray, FloatArray, IntArray, LifeExpectancy
from examples.gapminder.network import AdaptedNetwork
from examples.gapminder.protocol import Fold, Standardiser, folds, forecast_orders, support_orders
from examples.gapminder.scores import Errors, query_mse
from examples.gapminder.settings import Settings
from fomaml_fast import TaskBatch

FOMAML, MAML = "FOMAML", "MAML"
POOLED, POOLED_TUNED = "pooled, same rate", "pooled, tuned rate"
#: Methods that adapt by gradient descent; the order is that of the tables.
NETWORKS = (FOMAML, MAML, POOLED, POOLED_TUNED)
METHODS = (*NETWORKS, *BASELINES)

FORECAST_FOMAML, FORECAST_MAML = "FOMAML, forecast-trained", "MAML, forecast-trained"
#: Meta-learners whose training tasks are forecasts too; they are tested on forecasts only.
FORECASTERS = (FORECAST_FOMAML, FORECAST_MAML)

UNTRAINED = "untrained"

Key = TypeVar("Key")


@dataclass(frozen=True)
class Setting:
    """One column of a table: which observations are given, and the adaptation steps.

    ``forecast`` gives the first K in time instead of K at random.
    """

    k: int
    steps: int
    forecast: bool = False


@dataclass(frozen=True)
class RateStudy:
    """What the large inner rate does, and what the curvature allows.

    Attributes
    ----------
    uphill : dict
        (start, rate, steps) -> `curvature.Uphill` over all unseen countries and draws.
    largest_rate : dict
        start -> α_max ``[C]`` of each unseen country on its first draw.
    diverged_at : dict
        start -> per fold, the iteration at which its meta-training diverged, or None.
    errors : dict
        start -> `Errors` on random supports for networks meta-trained and tested at the large rate.
    """

    uphill: dict[tuple[str, float, int], curvature.Uphill] = field(default_factory=dict)
    largest_rate: dict[str, FloatArray] = field(default_factory=dict)
    diverged_at: dict[str, list[int | None]] = field(default_factory=dict)
    errors: dict[str, Errors] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """All that was measured.

    Attributes
    ----------
    orders : ndarray of int, shape [C, D, n]
        The random orders of observations; a support of K is the first K.
    folds : list of Fold
    networks : list of dict
        Per fold, method -> `AdaptedNetwork`.
    errors : dict
        (method, `Setting`) -> `Errors` over all C countries, each predicted while unseen.
    rates : RateStudy
    """

    settings: Settings
    data: LifeExpectancy
    orders: IntArray
    folds: list[Fold]
    networks: list[dict[str, AdaptedNetwork]]
    errors: dict[tuple[str, Setting], Errors]
    rates: RateStudy


def large(method: str, settings: Settings) -> str:
    """Return the name of a method meta-trained at the large rate."""
    return f"{method}, α = {settings.large_rate:g}"


def networks_of(forecast: bool) -> tuple[str, ...]:
    """Return the names of the networks tested on forecasts, or on random supports."""
    return (*NETWORKS, *FORECASTERS) if forecast else NETWORKS


def methods_of(forecast: bool) -> tuple[str, ...]:
    """Return the names of all methods tested on forecasts, or on random supports."""
    return (*networks_of(forecast), *BASELINES)


#: Networks trained in each fold: two meta-learners in three ways, and the pooled one.
TRAININGS_PER_FOLD = 7


def evaluate(
    data: LifeExpectancy,
    settings: Settings,
    *,
    seed: int = 0,
    threads: int | None = None,
    advance: meta.Advance = lambda n: None,
) -> Results:
    """Run the protocol.

    Parameters
    ----------
    data : LifeExpectancy
    settings : Settings
    seed : int
        Of folds, supports, initial parameters and meta-training tasks.
    threads : int, optional
    advance : callable
        Called with a number of training iterations done.
    """
    streams = np.random.SeedSequence(seed).spawn(2)
    n_countries, n_years = data.values.shape
    split = folds(data.countries, settings.n_folds, np.random.default_rng(streams[0]))
    orders = support_orders(
        n_countries, settings.n_draws, n_years, np.random.default_rng(streams[1])
    )
    results = Results(settings, data, orders, split, [], {}, RateStudy())
    for number, fold in enumerate(split):
        networks, start = train_networks(
            data, fold, settings, seed=seed + number, threads=threads, advance=advance
        )
        for method, trained in start.items():
            results.rates.diverged_at.setdefault(method, []).append(trained.diverged_at)
        results.networks.append({name: networks[name] for name in networks_of(forecast=True)})
        for method in networks_of(forecast=True):
            _score_network(results, fold, method, networks[method])
        for method, fit in BASELINES.items():
            _score_baseline(results, fold, method, fit(data.years, data.values[fold.train]))
        _study_rates(results, fold, networks)
    return results


def train_networks(
    data: LifeExpectancy,
    fold: Fold,
    settings: Settings,
    *,
    seed: int,
    threads: int | None = None,
    advance: meta.Advance = lambda n: None,
) -> tuple[dict[str, AdaptedNetwork], dict[str, meta.Trained]]:
    """Train all networks of a fold on its training countries; they share tasks and start.

    Returns
    -------
    networks : dict
        `NETWORKS`, `FORECASTERS`, `UNTRAINED` and the two of the large rate, ready to adapt.
    trained : dict
        The meta-learners, with the iteration at which their training diverged.
    """
    net = meta.network()
    scale = Standardiser.fit(data.years, data.values[fold.train])
    batches = meta.draw_batches(data, fold, scale, settings, seed=seed)
    forecasts = meta.draw_batches(data, fold, scale, settings, seed=seed, support="first")

    def ready(theta: FloatArray, rate: float) -> AdaptedNetwork:
        return AdaptedNetwork(net, theta, rate, scale, data.years, threads)

    def train(batches: Sequence[TaskBatch], rate: float, steps: int, gradient: str) -> meta.Trained:
        return meta.train(
            batches,
            meta.algorithm(rate, steps, gradient),
            settings.outer_rate,
            seed=seed,
            threads=threads,
            advance=advance,
        )

    networks, trained = {}, {}
    usual, too_large = settings.inner_rate, settings.large_rate
    for name, tasks, rate, gradient in (
        (FOMAML, batches, usual, "first"),
        (MAML, batches, usual, "exact"),
        (large(FOMAML, settings), batches, too_large, "first"),
        (large(MAML, settings), batches, too_large, "exact"),
        (FORECAST_FOMAML, forecasts, usual, "first"),
        (FORECAST_MAML, forecasts, usual, "exact"),
    ):
        trained[name] = train(tasks, rate, settings.inner_steps, gradient)
        networks[name] = ready(trained[name].theta, rate)

    networks[UNTRAINED] = ready(net.init(seed, dtype=np.float32), usual)
    pooled_batches = [meta.pool(batch) for batch in batches]
    pooled = ready(train(pooled_batches, usual, 0, "first").theta, usual)
    rate = meta.tune_rate(
        pooled,
        data.values[fold.train],
        support_orders(
            len(fold.train), settings.n_tuning_draws, len(data.years), np.random.default_rng(seed)
        ),
        settings.tuned_rates,
        settings.k_support,
        settings.inner_steps,
    )
    networks[POOLED], networks[POOLED_TUNED] = pooled, pooled.with_rate(rate)
    return networks, trained


def _score_network(results: Results, fold: Fold, method: str, network: AdaptedNetwork) -> None:
    settings = results.settings
    for k, forecast, steps in _measurements(settings):
        if method not in networks_of(forecast):
            continue
        order = _orders(results, forecast)[fold.test]
        columns, given = support(results.data.values[fold.test], order, k)
        predicted, diverged = network.predict(columns, given, steps)
        for step, prediction, failed in zip(steps, predicted, diverged, strict=True):
            _record(results, fold, method, Setting(k, step, forecast), order, prediction, failed)


def _score_baseline(results: Results, fold: Fold, method: str, model: Baseline) -> None:
    settings = results.settings
    for k, forecast, steps in _measurements(settings):
        order = _orders(results, forecast)[fold.test]
        columns, given = support(results.data.values[fold.test], order, k)
        prediction = model.predict(columns, given)
        for step in steps:  # a closed form has no steps: the same figure under each
            setting = Setting(k, step, forecast)
            _record(results, fold, method, setting, order, prediction, np.zeros(len(columns), bool))


def _measurements(settings: Settings) -> list[tuple[int, bool, Sequence[int]]]:
    """Return (K, forecast?, steps): all steps at the K of the tables, the usual ones elsewhere."""
    other = [(k, False, (settings.inner_steps,)) for k in settings.test_supports]
    return [
        (settings.k_support, False, settings.test_steps),
        (settings.k_support, True, settings.test_steps),
        *(entry for entry in other if entry[0] != settings.k_support),
    ]


def _orders(results: Results, forecast: bool) -> IntArray:
    return forecast_orders(*results.data.values.shape) if forecast else results.orders


def support(values: FloatArray, order: IntArray, k: int) -> tuple[IntArray, FloatArray]:
    """Return the columns and values of the first ``k`` of each order, flat: ``[C·D, k]``."""
    columns = order[..., :k]
    given = np.take_along_axis(values[:, None, :], columns, axis=-1)
    return columns.reshape(-1, k), given.reshape(-1, k)


def _record(
    results: Results,
    fold: Fold,
    method: str,
    setting: Setting,
    order: IntArray,
    prediction: FloatArray,
    diverged: BoolArray,
) -> None:
    shape = order.shape[:2]
    errors = _errors_of(results.errors, (method, setting), len(results.data.countries), shape[1])
    prediction = prediction.reshape(*shape, -1)
    errors.mse[fold.test] = query_mse(prediction, results.data.values[fold.test], order, setting.k)
    errors.diverged[fold.test] = diverged.reshape(shape)


def _errors_of(table: dict[Key, Errors], key: Key, n_countries: int, n_draws: int) -> Errors:
    empty = Errors(
        np.full((n_countries, n_draws), np.nan), np.zeros((n_countries, n_draws), dtype=bool)
    )
    return table.setdefault(key, empty)


def _study_rates(results: Results, fold: Fold, networks: dict[str, AdaptedNetwork]) -> None:
    settings, study, values = results.settings, results.rates, results.data.values[fold.test]
    order = results.orders[fold.test]
    columns, given = support(values, order, settings.k_support)
    first = support(values, order[:, :1], settings.k_support)
    steps = settings.inner_steps
    for name, network in networks.items():
        if name == POOLED_TUNED or name in FORECASTERS:  # POOLED again; supports of another kind
            continue
        for rate in (settings.inner_rate, settings.large_rate):
            key = (name, rate, steps)
            count = curvature.count_uphill(network.with_rate(rate), columns, given, steps)
            study.uphill[key] = study.uphill[key] + count if key in study.uphill else count
        rates = study.largest_rate.setdefault(name, np.full(len(results.data.countries), np.nan))
        rates[fold.test] = curvature.largest_rates(network, *first)
    for method in (FOMAML, MAML):
        name = large(method, settings)
        predicted, diverged = networks[name].predict(columns, given, (steps,))
        errors = _errors_of(study.errors, name, len(results.data.countries), order.shape[1])
        errors.mse[fold.test] = query_mse(
            predicted[0].reshape(order.shape), values, order, settings.k_support
        )
        errors.diverged[fold.test] = diverged[0].reshape(order.shape[:2])
