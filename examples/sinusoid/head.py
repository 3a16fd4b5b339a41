"""The last layer in closed form: Bayesian regression on meta-learned features, with error bars."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import fomaml_fast as ff
from examples.sinusoid.scoring import TestSet
from examples.sinusoid.settings import Settings
from examples.sinusoid.training import SAMPLER, chunks

#: What is measured of every curve: squared error, and how honest the error bars are.
METRICS = ("mse", "coverage_95", "coverage_50", "nll")

#: K -> name in `METRICS` -> values of the test curves.
Scores = Mapping[int, Mapping[str, ff.MetricValues]]


@dataclass(frozen=True)
class TrainedHead:
    """The network, what was learned, and the seconds in `meta_step` alone."""

    net: ff.MLP
    algorithm: ff.Algorithm
    state: ff.State
    seconds: float

    @property
    def noise(self) -> float:
        """Learned standard deviation of a measurement."""
        return float(np.exp(self.state.rates[-1]))

    def posterior(self, x: npt.ArrayLike, y: npt.ArrayLike) -> ff.Posterior:
        """Return what points of one curve say, ``[K, 1]`` each."""
        return ff.posterior(self.net, self.state, x, y, self.algorithm)


def train_head(
    settings: Settings,
    *,
    seed: int,
    threads: int | None = None,
    advance: Callable[[int], None] = lambda n: None,
    stop: threading.Event | None = None,
) -> TrainedHead:
    """Meta-train features, prior and noise by the likelihood of the query rows (ALPaCA).

    Parameters
    ----------
    settings : Settings
    seed : int
        Of the initial weights and the tasks.
    threads : int or None
        For each meta-step.
    advance : callable
        Told after every chunk how many meta-steps were taken.
    stop : threading.Event, optional
        Ends the training early when set.
    """
    net = ff.MLP(settings.sizes, activation=settings.head_activation)
    algorithm, iterations = ff.alpaca(), settings.head_iterations
    first, last = settings.head_rates
    outer = ff.outer.Adam(ff.schedules.exponential(first, last / first, every=iterations))
    state = ff.init_state(net, algorithm, outer, seed=seed, dtype=np.float32)
    rng = np.random.default_rng([seed, settings.head_shots])
    seconds = 0.0
    for batches in chunks(
        settings, SAMPLER, rng, iterations, settings.head_shots, settings.head_queries
    ):
        if stop is not None and stop.is_set():
            break
        start = time.perf_counter()
        for batch in batches:
            state, _ = ff.meta_step(net, state, batch, algorithm, outer, threads=threads)
        seconds += time.perf_counter() - start
        advance(len(batches))
    return TrainedHead(net, algorithm, state, seconds)


def score_head(head: TrainedHead, test: TestSet, threads: int | None = None) -> Scores:
    """Adapt to every test curve and score on the grid."""
    return {shots: judge(head, batch, threads) for shots, batch in test.by_shots.items()}


def judge(
    head: TrainedHead, batch: ff.TaskBatch, threads: int | None = None
) -> dict[str, ff.MetricValues]:
    """Return each of `METRICS` for the tasks of a batch."""

    def mse(outputs: npt.NDArray[np.floating], targets: npt.NDArray[np.floating]) -> float:
        return float(np.square(outputs - targets).mean(dtype=np.float64))

    named = [name for name in METRICS if name != "mse"]
    found = ff.evaluate(
        head.net,
        head.state.theta,
        batch,
        head.algorithm,
        steps=(1,),
        rates=head.state.rates,
        threads=threads,
        metrics=[mse, *named],
        on_divergence="raise",
    )
    return {name: found.metrics[name] for name in METRICS}
