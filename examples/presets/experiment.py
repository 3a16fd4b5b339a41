"""Train every protocol, test on new curves, and set the figures beside the published ones."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

import fomaml_fast as ff
from examples import report
from examples.presets.protocols import Protocol, protocols
from examples.sinusoid.scoring import TestSet
from examples.sinusoid.training import Method, Trained, make_network, train

#: Stream of random numbers of the test, beside those of training, which are seeded by K.
_TEST = 1004

TITLE = "Presets against their published figures"

#: Files written.
OUTPUTS = ("presets.md",)

COLUMNS = ("paper", "preset", "K", "steps", "published", "here, 95% interval", "diverged", "")


@dataclass(frozen=True)
class Row:
    """One figure: a preset tested at K after some steps.

    Attributes
    ----------
    paper, preset, shots, steps
        What was tested.
    published : float or None
        The published mean squared error.
    mean, half : float
        Of the error over new curves, and half the width of its 95% interval over curves.
    diverged : int
        Curves left out of both, their error not finite or above the protocol's limit.
    """

    paper: str
    preset: str
    shots: int
    steps: int
    published: float | None
    mean: float
    half: float
    diverged: int

    @property
    def verdict(self) -> str:
        """How the interval lies to the published figure.

        Examples
        --------
        >>> Row("a paper", "maml", 5, 1, published=0.67, mean=0.6, half=0.05, diverged=0).verdict
        'better'
        """
        if self.published is None:
            return ""
        if not np.isfinite(self.mean):
            return "not reached"
        # To the digits that are shown, so that a reader can check it.
        low, high = round(self.mean - self.half, 2), round(self.mean + self.half, 2)
        if self.published > high:
            return "better"
        return "reproduced" if self.published >= low else "not reached"

    def cells(self) -> tuple[str, ...]:
        """Return what a table shows of it."""
        return (
            self.paper,
            self.preset,
            str(self.shots),
            str(self.steps),
            "" if self.published is None else f"{self.published:.2f}",
            f"{self.mean:.2f} ± {self.half:.2f}",
            str(self.diverged),
            self.verdict,
        )


@dataclass(frozen=True)
class PresetReport:
    """All that the experiment found; `table` is a Markdown file of the rows.

    `summary` is three sentences.
    """

    rows: list[Row]
    summary: tuple[str, ...]
    table: Path
    figures: list[Path]
    seconds: float


def run(
    out_dir: Path,
    *,
    quick: bool = False,
    seed: int = 0,
    threads: int | None = None,
    todo: tuple[Protocol, ...] | None = None,
) -> PresetReport:
    """Reproduce the published figures; print the protocols and the table, and write it down.

    Parameters
    ----------
    out_dir : Path
        Folder of ``presets.md``; made if absent.
    quick : bool, default False
        Cut the protocols down; everything shown is labelled as such.
    seed : int, default 0
        Of everything random; the same seed gives the same figures for any number of threads.
    threads : int, optional
        Processor cores to use; all by default.
    todo : tuple of Protocol, optional
        Other protocols.

    Returns
    -------
    PresetReport
    """
    start = time.perf_counter()
    chosen = protocols() if todo is None else todo
    if quick:
        chosen = tuple(protocol.quick() for protocol in chosen)
    for protocol in chosen:
        report.say(describe(protocol, seed))
    trained = train_all(chosen, seed=seed, threads=threads)
    rows = [
        row
        for protocol, runs in zip(chosen, trained, strict=True)
        for row in score(protocol, runs, seed=seed, threads=threads)
    ]
    seconds = time.perf_counter() - start
    explain_terms()
    for protocol in chosen:
        own = [row.cells()[1:] for row in rows if row.paper == protocol.paper]
        report.print_table(protocol.paper, COLUMNS[1:], own)
    report.say("")
    report.say(f"Presets: {seconds:.1f} s in all.")
    out_dir.mkdir(parents=True, exist_ok=True)
    table = out_dir / OUTPUTS[0]
    text = [describe(protocol, seed) for protocol in chosen]
    table.write_text("\n\n".join([*text, markdown(rows)]) + "\n", encoding="utf-8")
    return PresetReport(rows, summary(rows), table, [table], seconds)


def explain_terms() -> None:
    """Print what the words of the tables mean."""
    report.explain(
        {
            "K": "points of a new curve that the network is shown",
            "steps": "gradient steps on them, from the trained start",
            "published, here": "mean squared error on the new curves after these steps; ± is half "
            "the 95% interval over curves",
            "diverged": "curves whose error is not finite or too large; left out of the mean",
            "reproduced": "the published figure lies within the interval; better: above it; "
            "not reached: below it",
        }
    )


def summary(rows: list[Row]) -> tuple[str, str, str]:
    """Say in three sentences what came out: how many, which not, what was left out."""
    compared = [row for row in rows if row.published is not None]
    missed = [row for row in compared if row.verdict == "not reached"]
    names = "; ".join(f"{r.paper}, {r.preset}, K = {r.shots}, after {r.steps}" for r in missed)
    return (
        f"{len(compared) - len(missed)} of {len(compared)} published figures are reproduced or "
        "bettered.",
        f"Not reached (after so many steps): {names}." if missed else "None is missed.",
        f"{sum(row.diverged for row in rows)} adaptations to new curves diverged.",
    )


def describe(protocol: Protocol, seed: int) -> str:
    """Return the protocol in words.

    Examples
    --------
    >>> from examples.presets.protocols import protocols
    >>> describe(protocols()[0].quick(), 0).split(": ")[0]
    'SHORTENED RUN, Finn et al. 2017'
    """
    s, tasks = protocol.settings, protocol.sampler
    return (
        f"{'SHORTENED RUN, ' if s.shortened else ''}{protocol.paper}: y = A sin(ωx − φ), "
        f"A in {_interval(tasks.amplitude)}, φ in {_interval(tasks.phase)}, ω in "
        f"{_interval(tasks.frequency)}, x in {_interval(tasks.x_range)}; network "
        f"{'-'.join(map(str, s.sizes))} {s.activation}; {s.iterations:,} meta-steps of "
        f"{s.tasks_per_batch} tasks, Adam {s.outer_rate:g}; trained at K = "
        f"{', '.join(map(str, s.train_shots))}; "
        + "; ".join(
            f"{m.name}: inner rate {cast(ff.inner.Inner, m.algorithm.inner).lr:g}, "
            f"{m.algorithm.steps} step"
            for m in protocol.methods
        )
        + f"; tested on {s.test_tasks:,} new curves at {s.grid_points} grid points; seed {seed}."
    )


def train_all(
    chosen: tuple[Protocol, ...], *, seed: int, threads: int | None = None
) -> list[list[Trained]]:
    """Train everything, one training a core; results do not depend on the number of cores.

    Returns
    -------
    list of list of Trained
        For each protocol its trainings: by K, then by method.
    """
    cores = threads or os.cpu_count() or 1
    stop = threading.Event()
    bars = {p.paper: p.settings.iterations * len(_trainings(p)) for p in chosen}
    with report.progress(bars) as advance, ThreadPoolExecutor(cores) as pool:
        jobs = [
            [
                pool.submit(
                    train,
                    protocol.settings,
                    shots,
                    seed=seed,
                    todo=[method],
                    sampler=protocol.sampler,
                    threads=1,
                    advance=partial(advance, protocol.paper),
                    stop=stop,
                )
                for shots, method in _trainings(protocol)
            ]
            for protocol in chosen
        ]
        try:
            return [[run for job in group for run in job.result()] for group in jobs]
        finally:
            stop.set()  # after Ctrl-C or an error, the other trainings end with their chunk


def score(
    protocol: Protocol, runs: list[Trained], *, seed: int, threads: int | None = None
) -> list[Row]:
    """Adapt the networks of a protocol to new curves, and return a row for each figure."""
    settings, found = protocol.settings, []
    draws = np.random.default_rng([seed, _TEST])
    unseen = TestSet.draw(settings, settings.test_tasks, draws, protocol.sampler)
    for trained in runs:
        algorithm = trained.method.algorithm
        net = make_network(settings, algorithm.context)
        for shots in protocol.test_shots(trained.shots):
            full = ff.evaluate(
                net,
                trained.theta,
                unseen.by_shots[shots],
                algorithm,
                steps=settings.test_steps,
                rates=trained.rates,
                threads=threads,
            )
            lost = full.diverged | (full.losses > settings.error_limit)
            result = ff.Evaluation(full.steps, full.losses, lost)
            name = trained.method.name
            found += [
                Row(
                    protocol.paper,
                    name,
                    shots,
                    steps,
                    protocol.published.get((name, shots, steps)),
                    float(result.mean[i]),
                    float(result.interval[i]),
                    int(result.n_diverged[i]),
                )
                for i, steps in enumerate(settings.test_steps)
            ]
    return found


def markdown(rows: list[Row]) -> str:
    """Return the rows as a Markdown table.

    Examples
    --------
    >>> print(markdown([Row("Paper", "maml", 5, 1, 0.67, 0.64, 0.06, 0)]).splitlines()[-1])
    | Paper | maml | 5 | 1 | 0.67 | 0.64 ± 0.06 | 0 | reproduced |
    """
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _trainings(protocol: Protocol) -> list[tuple[int, Method]]:
    return [(k, m) for k in protocol.settings.train_shots for m in protocol.methods]


def _interval(ends: tuple[float, float]) -> str:
    return f"{ends[0]:g}" if ends[0] == ends[1] else f"[{ends[0]:.3g}, {ends[1]:.3g}]"
