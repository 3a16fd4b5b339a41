"""The experiment itself: every fold, every method, every setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from examples.gapminder import curvature, meta
from examples.gapminder.baselines import BASELINES, Baseline, GaussianProcess, Probabilistic
from examples.gapminder.calibration import Calibration, Reliability, of_normal
from examples.gapminder.data import BoolArray, FloatArray, IntArray, LifeExpectancy
from examples.gapminder.heads import HeadModel
from examples.gapminder.methods import (
    FOMAML,
    FORECASTERS,
    HEAD,
    MAML,
    POOLED_TUNED,
    PROCESS,
    heads_of,
    large,
    networks_of,
)
from examples.gapminder.network import AdaptedNetwork
from examples.gapminder.protocol import Fold, folds, forecast_orders, support_orders
from examples.gapminder.scores import Errors, query_mse
from examples.gapminder.settings import Settings
from examples.gapminder.training import train_heads, train_networks

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
    heads : list of dict
        Per fold, method -> `HeadModel`.
    processes : list of GaussianProcess
        The tuned process of each fold.
    errors : dict
        (method, `Setting`) -> `Errors` over all C countries, each predicted while unseen.
    rates : RateStudy
    calibration : dict
        (method, `Setting`) -> `Calibration`, of the methods with error bars of their own.
    reliability : dict
        (method, forecast?) -> `Reliability` at the K of the tables.
    """

    settings: Settings
    data: LifeExpectancy
    orders: IntArray
    folds: list[Fold]
    networks: list[dict[str, AdaptedNetwork]] = field(default_factory=list)
    heads: list[dict[str, HeadModel]] = field(default_factory=list)
    processes: list[GaussianProcess] = field(default_factory=list)
    errors: dict[tuple[str, Setting], Errors] = field(default_factory=dict)
    rates: RateStudy = field(default_factory=RateStudy)
    calibration: dict[tuple[str, Setting], Calibration] = field(default_factory=dict)
    reliability: dict[tuple[str, bool], Reliability] = field(default_factory=dict)


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
    results = Results(settings, data, orders, split)
    for number, fold in enumerate(split):
        networks, start = train_networks(
            data, fold, settings, seed=seed + number, threads=threads, advance=advance
        )
        heads = train_heads(
            data, fold, settings, seed=seed + number, threads=threads, advance=advance
        )
        for method, trained in start.items():
            results.rates.diverged_at.setdefault(method, []).append(trained.diverged_at)
        results.networks.append({name: networks[name] for name in networks_of(forecast=True)})
        for method in networks_of(forecast=True):
            _score_network(results, fold, method, networks[method])
        results.heads.append(heads)
        for method, head in heads.items():
            _score_head(results, fold, method, head)
        for method, fit in BASELINES.items():
            model = fit(data.years, data.values[fold.train])
            _score_baseline(results, fold, method, model)
            if isinstance(model, GaussianProcess):
                results.processes.append(model)
        _study_rates(results, fold, networks)
    for forecast in (False, True):
        first = [heads[HEAD] for heads in results.heads]
        results.reliability[HEAD, forecast] = _reliability(results, first, forecast)
        results.reliability[PROCESS, forecast] = _reliability(results, results.processes, forecast)
    return results


def _score_network(results: Results, fold: Fold, method: str, network: AdaptedNetwork) -> None:
    settings = results.settings
    for k, forecast, steps in _measurements(settings):
        if method not in networks_of(forecast):
            continue
        order = orders_of(results, forecast)[fold.test]
        columns, given = support(results.data.values[fold.test], order, k)
        predicted, diverged = network.predict(columns, given, steps)
        for step, prediction, failed in zip(steps, predicted, diverged, strict=True):
            _record(results, fold, method, Setting(k, step, forecast), order, prediction, failed)


def _score_head(results: Results, fold: Fold, method: str, head: HeadModel) -> None:
    settings = results.settings
    for k, forecast, steps in _measurements(settings):
        if method not in heads_of(forecast):
            continue
        order = orders_of(results, forecast)[fold.test]
        mse, calibration = head.judge(results.data.values[fold.test], order, k)
        for step in steps:
            setting = Setting(k, step, forecast)
            errors = _errors_of(results.errors, (method, setting), *_shape(results, order))
            errors.mse[fold.test] = mse
            _record_calibration(results, fold, method, setting, calibration)


def _score_baseline(results: Results, fold: Fold, method: str, model: Baseline) -> None:
    settings, values = results.settings, results.data.values[fold.test]
    for k, forecast, steps in _measurements(settings):
        order = orders_of(results, forecast)[fold.test]
        columns, given = support(values, order, k)
        prediction = model.predict(columns, given)
        for step in steps:  # a closed form has no steps: the same figure under each
            setting = Setting(k, step, forecast)
            _record(results, fold, method, setting, order, prediction, np.zeros(len(columns), bool))
            if isinstance(model, Probabilistic):
                mean, deviation = (
                    a.reshape(*order.shape[:2], -1) for a in model.predictive(columns, given)
                )
                calibration = of_normal(mean, deviation, values, order, k)
                _record_calibration(results, fold, method, setting, calibration)


def _reliability(results: Results, models: Sequence[Probabilistic], forecast: bool) -> Reliability:
    """Sort the predictions at the K of the tables by their deviation; one model a fold."""
    k = results.settings.k_support
    deviations: list[FloatArray] = []
    errors: list[FloatArray] = []
    for fold, model in zip(results.folds, models, strict=True):
        order, values = orders_of(results, forecast)[fold.test], results.data.values[fold.test]
        mean, deviation = (
            a.reshape(*order.shape[:2], -1) for a in model.predictive(*support(values, order, k))
        )
        for of_years, found in ((deviation, deviations), (mean - values[:, None], errors)):
            found.append(np.take_along_axis(of_years, order[..., k:], axis=-1).ravel())
    return Reliability.of(np.concatenate(deviations), np.concatenate(errors))


def _measurements(settings: Settings) -> list[tuple[int, bool, Sequence[int]]]:
    """Return (K, forecast?, steps): all steps at the K of the tables, the usual ones elsewhere."""
    other = [(k, False, (settings.inner_steps,)) for k in settings.test_supports]
    return [
        (settings.k_support, False, settings.test_steps),
        (settings.k_support, True, settings.test_steps),
        *(entry for entry in other if entry[0] != settings.k_support),
    ]


def orders_of(results: Results, forecast: bool) -> IntArray:
    """Return the order of time, or the random ones, ``[C, D, n]``."""
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
    errors = _errors_of(results.errors, (method, setting), *_shape(results, order))
    prediction = prediction.reshape(*shape, -1)
    errors.mse[fold.test] = query_mse(prediction, results.data.values[fold.test], order, setting.k)
    errors.diverged[fold.test] = diverged.reshape(shape)


def _record_calibration(
    results: Results, fold: Fold, method: str, setting: Setting, of_fold: Calibration
) -> None:
    countries = len(results.data.countries)
    whole = results.calibration.setdefault(
        (method, setting), Calibration.empty(countries, of_fold.nll.shape[1])
    )
    whole.coverage[fold.test], whole.nll[fold.test] = of_fold.coverage, of_fold.nll


def _shape(results: Results, order: IntArray) -> tuple[int, int]:
    """Return countries, of all folds, and draws."""
    return len(results.data.countries), order.shape[1]


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
