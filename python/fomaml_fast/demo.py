"""``fomaml-fast demo``: a network meta-learns sinusoids, and adapts to unseen ones, in seconds."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import fomaml_fast as ff

META_STEPS = 10_000
TASKS = 25  # curves a meta-step
SHOTS = 10  # points a curve
UNSEEN = 600
STEPS = (0, 1, 5, 10)
INNER_RATE, OUTER_RATE = 0.01, 1e-3
TUNED_RATES = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02)  # candidates for the pretrained network
SHOW_EVERY = 50  # meta-steps

#: Characters a line, and width and height of the plot in characters.
WIDTH = 80
PLOT = (70, 15)

NETWORK = ff.MLP([1, 40, 40, 1], activation="relu", loss="mse")
CURVES = ff.samplers.Sinusoid()

INTRODUCTION = """\
A task is a curve y = A sin(x - phase). A small network (1-40-40-1) first
learns from {meta_steps:,} batches of {tasks} curves, in two ways:

  pretrained    to fit all curves at once
  meta-trained  to fit each curve after one gradient step on {shots} points (MAML)

Then both adapt to {unseen} curves they never saw, by gradient steps on {shots} points
of each; the pretrained one at the rate that suits it best.
"""


@dataclass(frozen=True)
class Outcome:
    """What a run found.

    Attributes
    ----------
    pretrained, meta_trained : Evaluation
        Errors on the unseen curves after `STEPS`.
    seconds : float
        Of the meta-training by exact MAML, sampling included.
    """

    pretrained: ff.Evaluation
    meta_trained: ff.Evaluation
    seconds: float


def run(*, seed: int = 0, threads: int = 1, meta_steps: int = META_STEPS) -> Outcome:
    """Train, adapt and tell.

    Parameters
    ----------
    seed : int, default 0
        Of the initial weights and the curves.
    threads : int, default 1
        So small a network gains little by a second, and on a busy machine it loses.
    meta_steps : int
        Length of each training.

    Returns
    -------
    Outcome
    """
    console = Console(highlight=False)
    told = INTRODUCTION.format(meta_steps=meta_steps, tasks=TASKS, shots=SHOTS, unseen=UNSEEN)
    console.print(told, markup=False)
    ways = {
        "pretrained": ff.fomaml(INNER_RATE, steps=0),
        "meta-trained": ff.maml(INNER_RATE),
    }
    thetas, seconds = {}, 0.0
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:>6,} of {task.total:,}  loss {task.fields[loss]:.2f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as display:
        for name, algorithm in ways.items():
            bar = display.add_task(name, total=meta_steps, loss=float("nan"))

            def show(done: int, loss: float, bar: Any = bar) -> None:
                display.update(bar, completed=done, loss=loss)

            start = time.perf_counter()
            thetas[name] = _train(algorithm, seed, threads, meta_steps, show)
            seconds = time.perf_counter() - start
    others, unseen = (
        CURVES.sample(np.random.default_rng([seed, stream]), UNSEEN, SHOTS, 100)
        for stream in (1, 2)
    )
    rates = {"pretrained": _best_rate(thetas["pretrained"], others), "meta-trained": INNER_RATE}
    scores = {name: _score(thetas[name], unseen, rate) for name, rate in rates.items()}
    outcome = Outcome(scores["pretrained"], scores["meta-trained"], seconds)
    # In a narrower terminal the lines of the table wrap: no digit is lost.
    wide = Console(width=max(console.width, WIDTH), highlight=False)
    _print_scores(wide, scores)
    _print_curve(wide, thetas["meta-trained"], unseen)
    for sentence in sentences(outcome):
        console.print(textwrap.fill(sentence, min(console.width, WIDTH)), markup=False)
    return outcome


def sentences(outcome: Outcome) -> tuple[str, str, str]:
    """Say what happened: after one step, beside pretraining, and what it took."""
    before, after, *_, last = outcome.meta_trained.mean
    beside = outcome.pretrained.mean[STEPS.index(1)]
    return (
        f"One gradient step on {SHOTS} points takes the meta-trained network's error on a curve "
        f"that it never saw from {before:.2f} to {after:.2f}, and ten steps take it to {last:.2f}.",
        f"The same step leaves the pretrained network at {beside:.2f}, {beside / after:.1f} times "
        "as much: it fits the average curve and has to learn each one anew.",
        f"The meta-training took {outcome.seconds:.1f} s, exact second derivatives included.",
    )


def _train(
    algorithm: ff.Algorithm,
    seed: int,
    threads: int,
    meta_steps: int,
    show: Callable[[int, float], None],
) -> npt.NDArray[Any]:
    """Return theta after training; `show` is told of the steps done and of their mean loss."""
    outer = ff.outer.Adam(OUTER_RATE)
    state = ff.init_state(NETWORK, algorithm, outer, seed=seed)
    rng = np.random.default_rng([seed, 0])
    total = 0.0
    for step in range(1, meta_steps + 1):
        batch = CURVES.sample(rng, TASKS, SHOTS)
        state, metrics = ff.meta_step(
            NETWORK, state, batch, algorithm, outer, threads=threads, on_divergence="drop"
        )
        total += metrics.loss
        if step % SHOW_EVERY == 0 or step == meta_steps:
            show(step, total / ((step - 1) % SHOW_EVERY + 1))
            total = 0.0
    return state.theta


def _score(theta: npt.NDArray[Any], curves: ff.TaskBatch, rate: float) -> ff.Evaluation:
    return ff.evaluate(NETWORK, theta, curves, ff.fomaml(rate), steps=STEPS)


def _best_rate(theta: npt.NDArray[Any], curves: ff.TaskBatch) -> float:
    """Return the rate of the smallest mean error over all `STEPS`; one that diverges is out."""
    found = {rate: _score(theta, curves, rate) for rate in TUNED_RATES}
    errors = {r: np.inf if s.diverged.any() else float(s.mean.mean()) for r, s in found.items()}
    return min(errors, key=lambda rate: errors[rate])


def _number(value: float) -> str:
    """Format an error; one that has exploded is shown by its magnitude."""
    return f"{value:.2f}" if value < 1000 else f"{value:.0e}"


def _print_scores(console: Console, scores: dict[str, ff.Evaluation]) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("mean squared error", no_wrap=True)
    for steps in STEPS:
        heading = f"{steps} step{'s' if steps != 1 else ''}" if steps else "before"
        table.add_column(heading, justify="right", no_wrap=True)
    for name, score in scores.items():
        cells = zip(score.mean, score.interval, strict=True)
        table.add_row(name, *(f"{_number(mean)} ± {_number(half)}" for mean, half in cells))
    console.print()
    console.print(table)
    console.print(f"(mean over {UNSEEN} curves ± half its 95% interval)\n")


def _print_curve(console: Console, theta: npt.NDArray[Any], unseen: ff.TaskBatch) -> None:
    """Draw the first unseen curve and the network before and after one step, in characters."""
    width, height = PLOT
    x, y = unseen.x_support[0], unseen.y_support[0]
    adapted = ff.adapt(NETWORK, theta, x, y, ff.fomaml(INNER_RATE))
    grid = np.linspace(*CURVES.x_range, width, dtype=np.float32)[:, None]
    lines = {
        ".": NETWORK.predict(theta, grid)[:, 0],
        "#": NETWORK.predict(adapted, grid)[:, 0],
    }
    low, high = min(map(np.min, [y, *lines.values()])), max(map(np.max, [y, *lines.values()]))
    rows = [[" "] * width for _ in range(height)]

    def mark(column: int, value: float, sign: str) -> None:
        rows[round((height - 1) * float((high - value) / (high - low)))][column] = sign

    for sign, line in lines.items():
        for column, value in enumerate(line):
            mark(column, value, sign)
    first, last = CURVES.x_range
    for at, value in zip(x[:, 0], y[:, 0], strict=True):
        mark(round((width - 1) * float((at - first) / (last - first))), value, "O")
    console.print("One of the unseen curves:\n")
    for row in rows:
        console.print("  |" + "".join(row).rstrip(), markup=False)
    console.print(f"  O its {SHOTS} points   . meta-trained network   # the same after one step\n")
