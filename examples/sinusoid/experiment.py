"""The sinusoid experiment from end to end."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

import fomaml_fast as ff
from examples import report
from examples.sinusoid import findings, head_tables, plots
from examples.sinusoid.bands import plot_bands
from examples.sinusoid.diagnosis import gradient_gap, sharpest_curvature
from examples.sinusoid.head import Scores, TrainedHead, score_head, train_head
from examples.sinusoid.scoring import Score, TestSet, Tuning, score, tune
from examples.sinusoid.settings import PUBLISHED_SHOTS, Settings
from examples.sinusoid.tables import (
    explain_terms,
    print_scores,
    print_training,
    save_numbers,
)
from examples.sinusoid.training import (
    SAMPLER,
    Trained,
    make_network,
    methods,
    train,
)
from examples.sinusoid.trust import Line, study

TITLE = "Sinusoids: the experiment of the MAML paper"

#: Files written, in this order.
OUTPUTS = (
    "sinusoid_adaptation.png",
    "sinusoid_overview.png",
    "sinusoid_errors.png",
    "sinusoid_training.png",
    "sinusoid_bands.png",
    "sinusoid.json",
)

#: Streams of random numbers beside those of training, which are seeded by K.
_TEST, _VALIDATION, _GRADIENTS, _TRUST = 1001, 1002, 1003, 1004


@dataclass(frozen=True)
class SinusoidReport:
    """All that the experiment found.

    `findings` are the printed lines, `summary` is three sentences, `numbers` a JSON file.
    """

    settings: Settings
    runs: list[Trained]
    scores: list[Score]
    tunings: dict[tuple[int, int], Tuning]
    head: TrainedHead
    head_scores: Scores
    trust: list[Line]
    findings: list[str]
    summary: tuple[str, ...]
    figures: list[Path]
    numbers: Path
    seconds: float


def run(
    out_dir: Path,
    *,
    quick: bool = False,
    seed: int = 0,
    threads: int | None = None,
    settings: Settings | None = None,
) -> SinusoidReport:
    """Train, test, print the table and the findings, draw the figures.

    Parameters
    ----------
    out_dir : Path
        Folder of the figures; made if absent.
    quick : bool, default False
        Cut the protocol down; everything shown is labelled as such.
    seed : int, default 0
        Of everything random; the same seed gives the same figures for any number of threads.
    threads : int, optional
        Processor cores to use; all by default.
    settings : Settings, optional
        Another protocol.

    Returns
    -------
    SinusoidReport
    """
    start = time.perf_counter()
    protocol = settings or (Settings.quick() if quick else Settings())
    net = make_network(protocol)
    report.say(_headline(protocol))
    runs, head = train_all(protocol, seed=seed, threads=threads)
    test = TestSet.draw(protocol, protocol.test_tasks, np.random.default_rng([seed, _TEST]))
    scores, tunings = _score_all(net, runs, test, protocol, seed, threads)
    lines = _find(net, runs, scores, tunings, test, protocol, seed, threads)
    head_scores = score_head(head, test, threads)
    trust = study(head, protocol, np.random.default_rng([seed, _TRUST]))
    lines += head_tables.findings(head_scores, scores, trust, protocol)
    figures = _draw(net, runs, scores, test, protocol, out_dir)
    figures.append(plot_bands(head, protocol, out_dir / OUTPUTS[4], seed))
    summary = findings.summary(scores, runs, protocol, head_tables.sentence(head_scores))
    of_head = head_tables.as_numbers(head, head_scores, trust)
    numbers = save_numbers(scores, runs, of_head, lines, protocol, seed, out_dir / OUTPUTS[-1])
    seconds = time.perf_counter() - start
    explain_terms(protocol)
    print_scores(scores, protocol)
    print_training(runs, protocol)
    head_tables.explain_terms(protocol)
    head_tables.print_head(head, head_scores, scores, protocol)
    head_tables.print_trust(trust, protocol)
    report.say("")
    for line in lines:
        report.say(line if line.startswith(" ") else f"• {line}")
    report.say(f"Sinusoid experiment: {seconds:.1f} s in all.")
    return SinusoidReport(
        protocol,
        runs,
        scores,
        tunings,
        head,
        head_scores,
        trust,
        lines,
        summary,
        figures,
        numbers,
        seconds,
    )


def train_all(
    settings: Settings, *, seed: int, threads: int | None = None
) -> tuple[list[Trained], TrainedHead]:
    """Train at every K, and the head, side by side where there are cores for it.

    A meta-step of so small a network is too short to share: two trainings on a core each are
    faster than one after the other on two. Results do not depend on it.
    """
    cores = threads or os.cpu_count() or 1
    workers = min(len(settings.train_shots) + 1, cores)
    stop = threading.Event()
    bars = {
        f"training at K = {k}": settings.iterations * len(methods(settings, k))
        for k in settings.train_shots
    }
    bars["training the head"] = settings.head_iterations
    with report.progress(bars) as advance, ThreadPoolExecutor(workers) as pool:
        jobs = [
            pool.submit(
                train,
                settings,
                k,
                seed=seed,
                threads=max(1, cores // workers),
                advance=partial(advance, f"training at K = {k}"),
                stop=stop,
            )
            for k in settings.train_shots
        ]
        head = pool.submit(
            train_head,
            settings,
            seed=seed,
            threads=max(1, cores // workers),
            advance=partial(advance, "training the head"),
            stop=stop,
        )
        try:
            return [run for job in jobs for run in job.result()], head.result()
        finally:
            stop.set()  # after Ctrl-C or an error, the other training ends with its chunk


def _score_all(
    net: ff.MLP,
    runs: list[Trained],
    test: TestSet,
    settings: Settings,
    seed: int,
    threads: int | None,
) -> tuple[list[Score], dict[tuple[int, int], Tuning]]:
    """Test every network at every K; the pretrained ones with the rate that validation chose."""
    rng = np.random.default_rng([seed, _VALIDATION])
    validation = TestSet.draw(settings, settings.validation_tasks, rng)
    scores, tunings = [], {}
    for shots in settings.test_shots:
        for trained in runs:
            rate = settings.inner_rate
            if trained.method.name == "pretrained":
                tuning = tune(net, trained.theta, validation.by_shots[shots], settings, threads)
                tunings[trained.shots, shots] = tuning
                rate = tuning.best
            scores.append(score(net, trained, test, shots, rate, settings, threads))
    return scores, tunings


def _find(
    net: ff.MLP,
    runs: list[Trained],
    scores: list[Score],
    tunings: dict[tuple[int, int], Tuning],
    test: TestSet,
    settings: Settings,
    seed: int,
    threads: int | None,
) -> list[str]:
    """Measure what explains the figures, and put it into words."""
    batch = test.by_shots[PUBLISHED_SHOTS]
    gaps, curvatures, halved = {}, {}, {}
    for trained in runs:
        key = trained.method.name, trained.shots
        if trained.method.name != "pretrained":
            tasks = SAMPLER.sample(
                np.random.default_rng([seed, _GRADIENTS]), settings.gradient_tasks, trained.shots
            )
            gaps[key] = gradient_gap(
                net, trained.theta, tasks, settings.inner_rate, settings.inner_steps, threads
            )
        if trained.method.name in ("MAML", "FOMAML"):
            once, _ = ff.adapt(
                net,
                trained.theta,
                batch.x_support,
                batch.y_support,
                ff.fomaml(settings.inner_rate),
                threads=threads,
                on_divergence="mask",
            )
            curvatures[key] = sharpest_curvature(net, once, batch)
            halved[key] = score(
                net, trained, test, PUBLISHED_SHOTS, settings.inner_rate / 2, settings, threads
            )
    return [
        *findings.against_published(scores),
        *findings.first_order_gap(scores, gaps),
        *findings.initial_weights(scores),
        *findings.divergence(scores, curvatures, halved),
        *findings.dominated_means(scores),
        *findings.fine_tuning(tunings, settings),
    ]


def _draw(
    net: ff.MLP,
    runs: list[Trained],
    scores: list[Score],
    test: TestSet,
    settings: Settings,
    out_dir: Path,
) -> list[Path]:
    shown = [
        s
        for s in scores
        if s.shots == PUBLISHED_SHOTS
        and s.trained.shots == settings.train_shots[0]
        and s.name in ("MAML", "FOMAML", "pretrained")
    ]
    extremes = [s for s in shown if s.name != "FOMAML"]
    adaptation, overview, errors, training = (out_dir / name for name in OUTPUTS[:4])
    return [
        plots.plot_adaptation(net, shown, test, settings, adaptation),
        plots.plot_adaptation(net, extremes, test, settings, overview),
        plots.plot_errors(scores, settings, errors),
        plots.plot_training(runs, settings, training),
    ]


def _headline(settings: Settings) -> str:
    sizes = "-".join(map(str, settings.sizes))
    text = (
        f"Sinusoid regression (Finn et al. 2017): {sizes} {settings.activation}, "
        f"{settings.iterations:,} meta-steps of {settings.tasks_per_batch} tasks, "
        f"{settings.inner_steps} inner step at rate {settings.inner_rate:g}, "
        f"Adam {settings.outer_rate:g}."
    )
    if settings.shortened:
        text = "SHORTENED RUN: figures are not comparable with the published ones.\n" + text
    return text
