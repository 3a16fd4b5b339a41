"""Learn a start, adapt it to points of new curves, and compare it with what it replaces."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

import fomaml_fast as ff
from examples import report
from examples.curves import plots, waves
from examples.intervals import mean_and_half_width

TITLE = "A curve a task: learned starts of implicit representations"

#: Files written.
OUTPUTS = ("curves.png",)

#: Streams of random numbers beside that of training.
_TUNING, _TEST = 1, 2

#: Root mean squared error of every curve, [T].
Errors = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """What is trained and tested, and on how much."""

    sizes: tuple[int, ...] = (1, 32, 32, 1)
    frequency: float = 30.0
    points: int = 16  #: given of a curve
    inner_rate: float = 0.01
    inner_steps: int = 2
    outer_rate: float = 1e-3
    iterations: int = 3000
    tasks_per_batch: int = 16
    test_curves: int = 300
    test_steps: tuple[int, ...] = (1, 2, 5, 10)
    #: Of fresh networks: every pair is tried on other curves, and the best is tested.
    fresh_rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    fresh_steps: tuple[int, ...] = (30, 100, 300, 1000)

    def quick(self) -> Settings:
        """Return settings that only show that all works."""
        return replace(self, sizes=(1, 8, 1), iterations=20, test_curves=12, fresh_steps=(2, 4))

    def network(self) -> ff.MLP:
        """Return the network."""
        return ff.MLP(self.sizes, activation=ff.activations.Sin(self.frequency))


@dataclass(frozen=True)
class Row:
    """The error of one way to draw new curves, over curves: mean and half its 95% interval."""

    name: str
    steps: int
    mean: float
    half: float

    @classmethod
    def of(cls, name: str, steps: int, errors: Errors) -> Row:
        """Return the row of these errors."""
        return cls(name, steps, *mean_and_half_width(errors))

    def cells(self) -> tuple[str, ...]:
        """Return what a table shows of it.

        Examples
        --------
        >>> Row("learned start", 2, 0.0833, 0.0021).cells()
        ('learned start', '2', '0.083 ± 0.002')
        """
        steps = str(self.steps) if self.steps else ""
        return self.name, steps, f"{self.mean:.3f} ± {self.half:.3f}"


@dataclass(frozen=True)
class CurvesReport:
    """All that the experiment found; `summary` is three sentences."""

    rows: list[Row]
    summary: tuple[str, ...]
    figures: list[Path]
    seconds: float


def run(
    out_dir: Path,
    *,
    quick: bool = False,
    seed: int = 0,
    threads: int | None = None,
    settings: Settings | None = None,
) -> CurvesReport:
    """Train, test, print the table and draw the figure.

    Parameters
    ----------
    out_dir : Path
        Folder of the figure; made if absent.
    quick : bool, default False
        Cut everything down; what is shown is labelled as such.
    seed : int, default 0
        Of everything random; the same seed gives the same figures for any number of threads.
    threads : int, optional
        Processor cores to use; all by default.
    settings : Settings, optional
        Others.

    Returns
    -------
    CurvesReport
    """
    start = time.perf_counter()
    chosen = settings or Settings()
    chosen = chosen.quick() if quick else chosen
    report.say(describe(chosen, seed, shortened=quick))
    theta = train(chosen, seed=seed, threads=threads)
    tasks = waves.batch(np.random.default_rng([seed, _TEST]), chosen.test_curves, chosen.points)
    net, algorithm = chosen.network(), ff.maml(chosen.inner_rate, steps=chosen.inner_steps)
    learned = errors_after(net, theta, tasks, algorithm, chosen.test_steps, threads)
    fresh, rate, steps = best_fresh(chosen, seed, threads)
    slow = ff.maml(rate)
    scratch = errors_after(net, fresh, tasks, slow, (steps,), threads)
    lines = straight_lines(tasks)
    rows = [
        *(Row.of("learned start", s, learned[s]) for s in chosen.test_steps),
        Row.of("fresh network", steps, scratch[steps]),
        Row.of("straight lines", 0, lines_error(tasks, lines)),
    ]
    drawn = {
        "learned start": _drawn(net, theta, tasks, algorithm, chosen.inner_steps),
        "fresh network": _drawn(net, fresh, tasks, slow, steps),
        "straight lines": lines,
    }
    figure = plots.draw(out_dir / OUTPUTS[0], tasks, drawn)
    explain_terms()
    report.print_table(
        f"New curves from {chosen.points} points",
        ("drawn by", "steps", "error"),
        [row.cells() for row in rows],
    )
    seconds = time.perf_counter() - start
    report.say("")
    report.say(f"Curves: {seconds:.1f} s in all.")
    return CurvesReport(rows, summary(chosen, rows), [figure], seconds)


def describe(settings: Settings, seed: int, *, shortened: bool) -> str:
    """Return the settings in words.

    Examples
    --------
    >>> describe(Settings(), 0, shortened=True).split(":")[0]
    'SHORTENED RUN, network 1-32-32-1 of sin(30 z)'
    """
    s = settings
    return (
        f"{'SHORTENED RUN, n' if shortened else 'N'}etwork {'-'.join(map(str, s.sizes))} of "
        f"sin({s.frequency:g} z): {s.iterations:,} meta-steps of {s.tasks_per_batch} curves, exact "
        f"MAML through {s.inner_steps} steps of rate {s.inner_rate:g}, Adam {s.outer_rate:g} with "
        f"a cosine; tested on {s.test_curves} new curves; seed {seed}."
    )


def train(settings: Settings, *, seed: int, threads: int | None = None) -> npt.NDArray[np.float32]:
    """Return the learned start."""
    net, rng = settings.network(), np.random.default_rng(seed)
    algorithm = ff.maml(settings.inner_rate, steps=settings.inner_steps)
    rate = ff.schedules.cosine(settings.outer_rate, settings.iterations)
    outer = ff.outer.Adam(rate, clip_norm=1.0)
    state = ff.init_state(net, algorithm, outer, theta=net.init(seed, scheme="siren"))
    with report.progress({"curves": settings.iterations}) as advance:
        for _ in range(settings.iterations):
            batch = waves.batch(rng, settings.tasks_per_batch, settings.points)
            state, _ = ff.meta_step(net, state, batch, algorithm, outer, threads=threads)
            advance("curves")
    return np.asarray(state.theta, np.float32)


def errors_after(
    net: ff.MLP,
    theta: npt.NDArray[np.float32],
    tasks: ff.TaskBatch,
    algorithm: ff.Algorithm,
    steps: tuple[int, ...],
    threads: int | None,
) -> dict[int, Errors]:
    """Return the error of every curve after each number of steps on its points."""
    found = ff.evaluate(
        net, theta, tasks, algorithm, steps=steps, metrics="rmse", threads=threads
    ).metrics["rmse"]
    return {s: found.values[:, i] for i, s in enumerate(steps)}


def best_fresh(
    settings: Settings, seed: int, threads: int | None
) -> tuple[npt.NDArray[np.float32], float, int]:
    """Return a fresh network, and the rate and number of steps that serve it best elsewhere."""
    net = settings.network()
    theta = net.init(seed, scheme="siren")
    tasks = waves.batch(np.random.default_rng([seed, _TUNING]), 100, settings.points)
    tried = {
        (float(errors.mean()), rate, steps)
        for rate in settings.fresh_rates
        for steps, errors in errors_after(
            net, theta, tasks, ff.maml(rate), settings.fresh_steps, threads
        ).items()
    }
    _, rate, steps = min(tried)
    return theta, rate, steps


def straight_lines(tasks: ff.TaskBatch) -> npt.NDArray[np.float32]:
    """Return lines between the points of every curve, [T, n, 1]; level beyond the outermost."""
    arrays = tasks.x_query, tasks.x_support, tasks.y_support
    lines = [np.interp(*(a[:, 0] for a in of_curve)) for of_curve in zip(*arrays, strict=True)]
    return np.stack(lines).astype(np.float32)[..., None]


def lines_error(tasks: ff.TaskBatch, lines: npt.NDArray[np.float32]) -> Errors:
    """Return their root mean squared error, [T]."""
    error = lines.astype(np.float64) - np.asarray(tasks.y_query)
    return np.asarray(np.sqrt(np.mean(error**2, axis=(1, 2))))


def explain_terms() -> None:
    """Print what the words of the table mean."""
    report.explain(
        {
            "error": "root mean squared error of a whole curve, mean over new curves; ± is half "
            "the 95% interval over curves",
            "learned start": "the meta-learned network, after so many gradient steps on the points",
            "fresh network": "the same network as it is initialised (SIREN), at the rate and "
            "number of steps that were best on other curves",
            "straight lines": "linear interpolation of the points",
        }
    )


def summary(settings: Settings, rows: list[Row]) -> tuple[str, str, str]:
    """Say in three sentences what came out."""
    by_name = {(row.name, row.steps): row for row in rows}
    own = by_name["learned start", settings.inner_steps]
    fresh, lines = rows[-2], rows[-1]
    return (
        f"From {settings.points} points of a new curve the learned start draws it with an error of "
        f"{own.mean:.3f} after {own.steps} steps; a fresh network needs {fresh.steps} steps and "
        f"ends at {fresh.mean:.3f}.",
        f"Straight lines between the points have {lines.mean:.3f}.",
        f"Beyond its {settings.inner_steps} steps of training the start goes on to "
        f"{min(row.mean for row in rows[:-2]):.3f}.",
    )


def _drawn(
    net: ff.MLP,
    theta: npt.NDArray[np.float32],
    tasks: ff.TaskBatch,
    algorithm: ff.Algorithm,
    steps: int,
) -> npt.NDArray[np.float32]:
    adapted = ff.adapt(net, theta, tasks.x_support, tasks.y_support, algorithm, steps=steps)
    return np.asarray(net.predict(adapted, tasks.x_query), np.float32)
