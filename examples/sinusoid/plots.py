"""Figures: adaptation to unseen curves, error by steps, and the training curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import fomaml_fast as ff
from examples.report import COLOURS, new_figure, save_figure
from examples.sinusoid.scoring import Score, TestSet
from examples.sinusoid.settings import (
    PUBLISHED,
    PUBLISHED_SHOTS,
    PUBLISHED_STEPS,
    Settings,
)
from examples.sinusoid.training import Trained

_COLOURS = {
    "MAML": COLOURS["MAML"],
    "FOMAML": COLOURS["FOMAML"],
    "pretrained": COLOURS["pooled"],
    "MAML, small init": COLOURS["other 4"],
    "FOMAML, small init": COLOURS["other 3"],
}
_LOSS_TICKS = (0.3, 0.5, 1, 2, 3, 5)
_STEP_SHADES = ("#9ecae1", "#4292c6", "#08519c", "#08204a")


def plot_adaptation(
    net: ff.MLP,
    scores: Sequence[Score],
    test: TestSet,
    settings: Settings,
    path: Path,
    n_curves: int = 3,
) -> Path:
    """Draw unseen curves (columns) as each network (rows) sees them after 0, 1, 5, 10 steps."""
    fig, axes = new_figure(len(scores), n_curves, sharex=True, sharey=True)
    low, high = ff.samplers.Sinusoid().x_range
    grid = np.linspace(low, high, 200, dtype=np.float32)[:, None]
    truth = test.curves(grid[:, 0])
    for row, score in zip(axes, scores, strict=True):
        batch = test.by_shots[score.shots]
        x, y = batch.x_support[:n_curves], batch.y_support[:n_curves]
        way = ff.adapt(
            net,
            score.trained.theta,
            x,
            y,
            ff.fomaml(score.rate),
            steps=max(settings.test_steps),
            trace=True,
            on_divergence="mask",
        )
        for i, ax in enumerate(row):
            ax.plot(
                grid, truth[i], color=COLOURS["truth"], linewidth=1.2, linestyle="--", label="truth"
            )
            for step, shade in zip(settings.test_steps, _STEP_SHADES, strict=True):
                theta = way.thetas[i, step]
                label = f"{step} step{'s' if step != 1 else ''}"
                if np.isfinite(theta).all():
                    ax.plot(grid, net.predict(theta, grid), color=shade, linewidth=1.6, label=label)
            ax.plot(
                x[i],
                y[i],
                linestyle="none",
                marker="o",
                markersize=6,
                zorder=5,
                color=COLOURS["FOMAML"],
                label="support",
            )
        row[0].set_ylabel(f"{score.name}\n(rate {score.rate:g})")
    limit = 1.25 * float(np.abs(truth[:n_curves]).max())
    axes[0, 0].set_ylim(-limit, limit)
    for ax in axes[-1]:
        ax.set_xlabel("x")
    fig.suptitle(
        f"Adapting to unseen sinusoids from {scores[0].shots} points "
        f"(trained at K = {scores[0].trained.shots}){_label(settings)}"
    )
    _legend_below(fig, axes)
    return save_figure(fig, path)


def plot_errors(scores: Sequence[Score], settings: Settings, path: Path) -> Path:
    """Draw the error against adaptation steps for every test and training K."""
    shots = [(test, train) for test in settings.test_shots for train in settings.train_shots]
    fig, axes = new_figure(1, len(shots), width=13, height=4.2, sharey=True)
    for ax, (test_k, train_k) in zip(axes[0], shots, strict=True):
        for score in scores:
            if (score.shots, score.trained.shots) != (test_k, train_k):
                continue
            result, colour = score.every_step, _COLOURS[score.name]
            mean, half = result.mean, result.interval
            ax.plot(result.steps, mean, color=colour, label=score.name)
            ax.fill_between(
                result.steps,
                np.maximum(mean - half, 1e-3),
                mean + half,
                color=colour,
                alpha=0.15,
                linewidth=0,
            )
            ax.plot(result.steps, result.median, color=colour, linestyle=":")
        if test_k == PUBLISHED_SHOTS:
            for name, figures in PUBLISHED.items():
                ax.plot(
                    PUBLISHED_STEPS,
                    figures,
                    linestyle="none",
                    marker="D",
                    markersize=5,
                    color=_COLOURS[name],
                    markeredgecolor="white",
                    label=f"{name}, published",
                )
        ax.set(
            yscale="log",
            xlabel="adaptation steps",
            ylim=(0.03, 10),
            title=f"{test_k} points, trained at K = {train_k}",
        )
    axes[0, 0].set_ylabel(
        f"mean squared error on {settings.test_tasks} new curves\n"
        "mean with 95% interval; dotted: median\n(diverged tasks left out)"
    )
    fig.suptitle(f"Error against adaptation steps{_label(settings)}")
    _legend_below(fig, axes)
    return save_figure(fig, path)


def plot_training(runs: Sequence[Trained], settings: Settings, path: Path) -> Path:
    """Draw the query loss during meta-training, a panel for each K."""
    fig, axes = new_figure(1, len(settings.train_shots), height=4.2, sharey=True)
    for ax, shots in zip(axes[0], settings.train_shots, strict=True):
        for run in runs:
            if run.shots == shots:
                steps = np.minimum(
                    (np.arange(len(run.curve)) + 1) * settings.chunk, settings.iterations
                )
                name = run.method.name
                ax.plot(steps, run.curve, color=_COLOURS[name], linewidth=1.2, label=name)
        ax.set(yscale="log", xlabel="meta-steps", title=f"trained at K = {shots}")
        ax.set_yticks(_LOSS_TICKS, [f"{tick:g}" for tick in _LOSS_TICKS])
        ax.minorticks_off()
    _legend_below(fig, axes)
    axes[0, 0].set_ylabel(f"query loss, mean of {settings.chunk} meta-batches")
    fig.suptitle(
        f"Meta-training: loss after {settings.inner_steps} inner step (pretrained: after none)"
        + _label(settings)
    )
    return save_figure(fig, path)


def _legend_below(fig: Figure, axes: Any) -> None:
    """Put one legend under all panels, with whatever any of them shows."""
    shown: dict[str, Any] = {}
    for ax in axes.flat:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            shown.setdefault(label, handle)
    handles = list(shown.values())
    fig.legend(handles, list(shown), loc="outside lower center", ncols=len(handles), frameon=False)


def _label(settings: Settings) -> str:
    return " — SHORTENED RUN" if settings.shortened else ""
