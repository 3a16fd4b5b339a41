"""Training the network: FOMAML, exact MAML, and the same network on the pooled countries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from examples.gapminder.data import FloatArray, IntArray, LifeExpectancy
from examples.gapminder.network import AdaptedNetwork
from examples.gapminder.protocol import Fold, Standardiser
from examples.gapminder.scores import query_mse
from examples.gapminder.settings import ACTIVATION, SIZES, Settings
from fomaml_fast import (
    MLP,
    Algorithm,
    DivergenceError,
    State,
    TaskBatch,
    init_state,
    inner,
    meta_step,
    outer,
)
from fomaml_fast.samplers import Groups

#: Moves a progress bar on by a number of iterations.
Advance = Callable[[int], None]
ADVANCE_EVERY = 100


@dataclass(frozen=True)
class Trained:
    """The state after training, and the iteration at which it diverged, if any."""

    state: State
    diverged_at: int | None

    @property
    def theta(self) -> FloatArray:
        """Parameters ``[P]``."""
        return self.state.theta


def network() -> MLP:
    """Return the network of the experiment, 1-40-40-1 tanh with the mean squared error."""
    return MLP(SIZES, activation=ACTIVATION, loss="mse")


def algorithm(rate: float, steps: int, gradient: str) -> Algorithm:
    """Return FOMAML (``gradient="first"``) or exact MAML (``"exact"``)."""
    return Algorithm(inner.SGD(rate), steps=steps, gradient=gradient)


def draw_batches(
    data: LifeExpectancy,
    fold: Fold,
    scale: Standardiser,
    settings: Settings,
    *,
    seed: int,
    support: Literal["random", "first"] = "random",
) -> list[TaskBatch]:
    """Draw the meta-batches of a whole training run from the training countries alone.

    The tasks are drawn in one call and cut up once, for all networks trained on them. With
    ``support="first"`` each task is a forecast: support first in time, query what follows.
    """
    n_years = len(data.years)
    country = np.array(data.countries)[fold.train]
    sampler = Groups(
        np.tile(scale.x(data.years), len(fold.train)),
        scale.y(data.values[fold.train]).ravel(),
        np.repeat(country, n_years),
        settings.k_support,
        support=support,
    )
    n_tasks = settings.iterations * settings.countries_per_batch
    tasks = sampler.sample(seed, n_tasks, dtype=np.float32)
    parts = np.arange(n_tasks).reshape(settings.iterations, -1)
    return [tasks.take(part) for part in parts]


def draw_varied_batches(
    data: LifeExpectancy, fold: Fold, scale: Standardiser, settings: Settings, *, seed: int
) -> list[TaskBatch]:
    """Draw the same number of meta-batches, each with a K of its own out of `varied_supports`."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(settings.varied_supports, settings.iterations)
    drawn = {
        int(k): iter(
            draw_batches(
                data,
                fold,
                scale,
                replace(settings, k_support=int(k), iterations=int(np.sum(chosen == k))),
                seed=int(rng.integers(2**31)),
            )
        )
        for k in np.unique(chosen)
    }
    return [next(drawn[int(k)]) for k in chosen]


def train(
    batches: Sequence[TaskBatch],
    algorithm: Algorithm,
    outer_rate: float,
    *,
    seed: int,
    threads: int | None = None,
    advance: Advance = lambda n: None,
) -> Trained:
    """Meta-train with Adam, one step a meta-batch; stop where training diverges."""
    net = network()
    adam = outer.Adam(outer_rate)
    state = init_state(net, algorithm, adam, seed=seed, dtype=np.float32)
    for iteration, batch in enumerate(batches):
        try:
            state, _ = meta_step(net, state, batch, algorithm, adam, threads=threads)
        except DivergenceError:
            return Trained(state, iteration)
        if (iteration + 1) % ADVANCE_EVERY == 0:
            advance(ADVANCE_EVERY)
    advance(len(batches) % ADVANCE_EVERY)
    return Trained(state, None)


def pool(batch: TaskBatch) -> TaskBatch:
    """Return the same tasks with all observations in the query, for training without adaptation.

    The pooled network so sees, per iteration, the very observations the meta-learners see.
    """
    x = np.concatenate([batch.x_support, batch.x_query], axis=1)
    y = np.concatenate([batch.y_support, batch.y_query], axis=1)
    return TaskBatch(batch.x_support, batch.y_support, x, y)


def tune_rate(
    pooled: AdaptedNetwork,
    values: FloatArray,
    orders: IntArray,
    rates: Sequence[float],
    k: int,
    steps: int,
) -> float:
    """Choose the fine-tuning rate of the pooled network on the training countries.

    Parameters
    ----------
    pooled : AdaptedNetwork
    values : ndarray, shape [N, n]
        The training countries.
    orders : ndarray of int, shape [N, D, n]
        Orders of their observations; the first ``k`` are the support.
    rates : sequence of float
    k, steps : int

    Returns
    -------
    float
        The rate with the smallest mean RMSE after ``steps`` steps; rates at which any adaptation
        is not finite are out.
    """
    columns = orders[..., :k]
    given = np.take_along_axis(values[:, None, :], columns, axis=-1)
    errors = []
    for rate in rates:
        predicted, diverged = pooled.with_rate(rate).predict(
            columns.reshape(-1, k), given.reshape(-1, k), (steps,)
        )
        mse = query_mse(predicted[0].reshape(orders.shape), values, orders, k)
        errors.append(np.inf if diverged.any() else float(np.sqrt(mse).mean()))
    return rates[int(np.argmin(errors))]
