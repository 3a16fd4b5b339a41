"""All that is trained in a fold, on its training countries alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from examples.gapminder import meta
from examples.gapminder.data import FloatArray, LifeExpectancy
from examples.gapminder.heads import HeadModel
from examples.gapminder.heads import algorithm as head
from examples.gapminder.methods import (
    FOMAML,
    FORECAST_FOMAML,
    FORECAST_HEAD,
    FORECAST_MAML,
    HEAD,
    HEAD_VARIED,
    MAML,
    POOLED,
    POOLED_TUNED,
    UNTRAINED,
    large,
)
from examples.gapminder.network import AdaptedNetwork
from examples.gapminder.protocol import Fold, Standardiser, support_orders
from examples.gapminder.settings import Settings
from fomaml_fast import TaskBatch

#: Networks trained in each fold: two meta-learners in three ways, the pooled one, three heads.
TRAININGS_PER_FOLD = 10


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


def train_heads(
    data: LifeExpectancy,
    fold: Fold,
    settings: Settings,
    *,
    seed: int,
    threads: int | None = None,
    advance: meta.Advance = lambda n: None,
) -> dict[str, HeadModel]:
    """Train the heads of a fold: on the meta-learners' tasks, with K drawn, and on forecasts."""
    scale = Standardiser.fit(data.years, data.values[fold.train])
    tasks = {
        HEAD: meta.draw_batches(data, fold, scale, settings, seed=seed),
        HEAD_VARIED: meta.draw_varied_batches(data, fold, scale, settings, seed=seed),
        FORECAST_HEAD: meta.draw_batches(data, fold, scale, settings, seed=seed, support="first"),
    }
    found = {}
    for name, batches in tasks.items():
        trained = meta.train(
            batches, head(), settings.outer_rate, seed=seed, threads=threads, advance=advance
        )
        found[name] = HeadModel(meta.network(), trained.state, scale, data.years, threads)
    return found
