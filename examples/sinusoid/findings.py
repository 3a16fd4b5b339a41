"""What the figures say, in words. Every statement is chosen by the measured numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from examples.intervals import mean_and_half_width
from examples.sinusoid.diagnosis import GradientGap
from examples.sinusoid.scoring import Score, Tuning
from examples.sinusoid.settings import (
    PUBLISHED,
    PUBLISHED_SHOTS,
    PUBLISHED_STEPS,
    Settings,
)
from examples.sinusoid.training import Trained

Key = tuple[str, int]  #: name of a method, K of its training


def against_published(scores: Sequence[Score]) -> Iterator[str]:
    """Compare the one-step error of exact MAML with the paper's."""
    published = PUBLISHED["MAML"][0]
    for score in scores:
        if score.name != "MAML" or score.shots != PUBLISHED_SHOTS:
            continue
        column = score.result.steps.index(PUBLISHED_STEPS[0])
        mean, half = score.result.mean[column], score.result.interval[column]
        if abs(mean - published) <= half:
            verdict = "the published figure lies within the interval"
        elif mean < published:
            verdict = f"better than the published figure by {published - mean:.2f}"
        else:
            verdict = f"worse than the published figure by {mean - published:.2f}"
        yield (
            f"MAML trained at K = {score.trained.shots}: {mean:.2f} ± {half:.2f} after 1 step at "
            f"{score.shots}-shot against {published:.2f}: {verdict}."
        )


def summary(
    scores: Sequence[Score], runs: Sequence[Trained], settings: Settings, of_head: str
) -> tuple[str, str, str]:
    """Say in three sentences what came out: MAML and the head, the pretrained network, FOMAML."""
    shots = settings.train_shots[0]
    maml, pretrained, first = (
        next(
            s
            for s in scores
            if (s.name, s.shots, s.trained.shots) == (name, PUBLISHED_SHOTS, shots)
        )
        for name in ("MAML", "pretrained", "FOMAML")
    )
    column = maml.result.steps.index(PUBLISHED_STEPS[0])
    error, beside, fast = (float(s.result.mean[column]) for s in (maml, pretrained, first))
    mean, half = paired_difference(first, maml, PUBLISHED_STEPS[0])
    seconds = {r.method.name: r.seconds for r in runs if r.shots == shots}
    return (
        f"Shown {PUBLISHED_SHOTS} points of a curve that it never saw, the network meta-trained by "
        f"exact MAML has a mean squared error of {error:.2f} after one gradient step; the paper "
        f"reports {PUBLISHED['MAML'][0]:.2f}; {of_head}.",
        f"The same network pretrained on the same curves, without adaptation in mind, has "
        f"{beside:.2f} after its step: {beside / error:.1f} times as much.",
        f"FOMAML, which leaves out second derivatives, has {fast:.2f} (difference {mean:+.2f} ± "
        f"{half:.2f}) and took {seconds['FOMAML'] / seconds['MAML']:.0%} of MAML's training time.",
    )


def paired_difference(a: Score, b: Score, steps: int) -> tuple[float, float]:
    """Mean over tasks of a's error minus b's, and the half-width of its 95% interval.

    Both were tested on the same tasks; those on which either diverged are left out.
    """
    column = a.result.steps.index(steps)
    kept = ~(a.result.diverged[:, column] | b.result.diverged[:, column])
    gap = a.result.losses[kept, column].astype(float) - b.result.losses[kept, column].astype(float)
    return mean_and_half_width(gap)


def first_order_gap(scores: Sequence[Score], gaps: Mapping[Key, GradientGap]) -> Iterator[str]:
    """Compare FOMAML with MAML on the same tasks, and say what their gradients show."""
    found = {(s.name, s.trained.shots): s for s in scores if s.shots == PUBLISHED_SHOTS}
    for (name, shots), score in found.items():
        exact = found.get((name.replace("FOMAML", "MAML"), shots))
        if not name.startswith("FOMAML") or exact is None:
            continue
        mean, half = paired_difference(score, exact, 1)
        if not abs(mean) > half:
            verdict = "no difference beyond the interval"
        else:
            verdict = f"FOMAML is {'worse' if mean > 0 else 'better'}"
        yield (
            f"{name} (K = {shots}) minus {exact.name}, same tasks, 1 step at {score.shots}-shot: "
            f"{mean:+.2f} ± {half:.2f}: {verdict}."
        )
        if (name, shots) in gaps:
            yield "  " + _of_gradients(name, gaps[name, shots], gaps.get((exact.name, shots)))


def _of_gradients(name: str, gap: GradientGap, at_exact: GradientGap | None) -> str:
    """Say what is left of the exact meta-gradient where `name` ended, and where MAML did."""
    beside = "" if at_exact is None else f" ({at_exact.exact_norm:.2g} where MAML ended)"
    measured = (
        f"Where {name} ended, the exact meta-gradient has norm {gap.exact_norm:.2g}{beside}, the "
        f"first-order one {gap.first_norm:.2g}, cosine {gap.cosine:.2f}, sampling noise "
        f"{gap.noise:.2g}"
    )
    if gap.exact_norm <= 3 * gap.noise:
        return measured + ": nearly stationary for the exact objective too."
    if gap.exact_norm > 1.5 * gap.first_norm:
        ratio = gap.exact_norm / gap.first_norm
        return (
            f"{measured}: the exact objective still falls here, {ratio:.1f} times as steeply as "
            f"first order sees, and {1 - gap.cosine**2:.0%} of it (squared norm) in directions "
            "that first order does not see."
        )
    return measured + ": both still point downhill."


def initial_weights(scores: Sequence[Score]) -> Iterator[str]:
    """Say what the initial weights of training change, for either gradient."""
    found = {(s.name, s.trained.shots): s for s in scores if s.shots == PUBLISHED_SHOTS}
    effects = []
    for (name, shots), plain in found.items():
        small = found.get((f"{name}, small init", shots))
        if small is None:
            continue
        mean, half = paired_difference(small, plain, 1)
        word = "no difference" if not abs(mean) > half else "worse" if mean > 0 else "better"
        effects.append(f"{name} (K = {shots}) {mean:+.2f} ± {half:.2f}, {word}")
    if effects:
        yield (
            "Initial weights: training from σ = 0.01, as the paper's public code does, instead of "
            f"He's scheme changes the 1-step error at {PUBLISHED_SHOTS}-shot by: "
            f"{'; '.join(effects)}."
        )


def divergence(
    scores: Sequence[Score],
    curvatures: Mapping[Key, np.ndarray],
    halved: Mapping[Key, Score],
) -> Iterator[str]:
    """Where tasks diverged or got worse: how many, how sharp their supports are, half the rate."""
    for score in scores:
        key = score.name, score.trained.shots
        if score.shots != PUBLISHED_SHOTS or key not in curvatures or not score.n_worse.any():
            continue
        sharp = score.rate * curvatures[key]
        bad = score.ever_worse
        n_steps = " / ".join(str(s) for s in score.result.steps if s)
        yield (
            f"{score.name} (K = {score.trained.shots}), {score.shots}-shot, after {n_steps} steps: "
            f"diverged {_after(score, score.result.n_diverged)} of {len(bad)} tasks, worse than "
            f"before adaptation {_after(score, score.n_worse)}; with the diverged counted as far "
            f"as they are finite, the mean is {_after(score, _mean_of_finite(score), '.3g')}."
        )
        yield (
            f"  Rate × sharpest curvature of the support loss after one step: median "
            f"{np.median(sharp[bad]):.2f} for the {bad.sum()} tasks that ever got worse, "
            f"{np.median(sharp[~bad]) if not bad.all() else np.nan:.2f} for the others; above 2, "
            f"where descent expands, in {np.mean(sharp > 2):.0%} of all."
        )
        if key in halved:
            half = halved[key]
            means = _after(half, half.result.mean, ".2f")
            yield (
                f"  With half the rate ({half.rate:g}): mean {means}, diverged "
                f"{_after(half, half.result.n_diverged)}, worse {_after(half, half.n_worse)}."
            )


def _after(score: Score, values: Iterable[float], form: str = "d") -> str:
    """Format a value for every reported number of steps but 0."""
    return " / ".join(
        format(value, form) for s, value in zip(score.result.steps, values, strict=True) if s
    )


def _mean_of_finite(score: Score) -> list[float]:
    columns = score.result.losses.astype(float).T
    return [float(c[np.isfinite(c)].mean()) if np.isfinite(c).any() else np.nan for c in columns]


def dominated_means(scores: Sequence[Score], share: float = 0.2) -> Iterator[str]:
    """Say where a single task makes more than `share` of a mean: there the median tells more."""
    for score in scores:
        for column, steps in enumerate(score.result.steps):
            kept = score.result.losses[~score.result.diverged[:, column], column].astype(float)
            if len(kept) > 1 and kept.max() > share * kept.sum():
                rest = (kept.sum() - kept.max()) / (len(kept) - 1)
                yield (
                    f"{score.name} (K = {score.trained.shots}), {score.shots}-shot, {steps} steps: "
                    f"one task, of error {kept.max():.3g}, makes {kept.max() / kept.sum():.0%} of "
                    f"the mean; the mean of the others is {rest:.2f}."
                )


def fine_tuning(tunings: Mapping[tuple[int, int], Tuning], settings: Settings) -> Iterator[str]:
    """Say which fine-tuning rates were chosen for the pretrained networks."""
    chosen = [
        f"{tuning.best:g} at {test_shots}-shot (K = {train_shots})"
        + (", the edge of the grid" if tuning.best in (tuning.rates[0], tuning.rates[-1]) else "")
        for (train_shots, test_shots), tuning in tunings.items()
    ]
    candidates = ", ".join(f"{rate:g}" for rate in settings.tuning_rates)
    yield (
        f"Fine-tuning rates of the pretrained networks, chosen of {candidates} by the mean error "
        f"on {settings.validation_tasks} other curves: {'; '.join(chosen)}."
    )
