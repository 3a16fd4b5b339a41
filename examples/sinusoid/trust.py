"""When not to trust five points: what the head's error bars know, and what they cannot know.

Error bars are those of curves like the ones in training. Four kinds of question put them to the
test: such curves; such curves from fewer points than in training, or beyond its range of x; and
curves of another frequency.
Whether a curve is like the others shows in its points themselves: how likely the head finds them,
each given those before (the logarithm of their marginal likelihood). A curve is *flagged* where
that falls below what 99% of curves like those of training reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from examples.intervals import Z95
from examples.sinusoid.head import TrainedHead
from examples.sinusoid.settings import Settings
from examples.sinusoid.training import SAMPLER
from fomaml_fast.samplers import Sinusoid

FloatArray = npt.NDArray[np.floating[Any]]

#: Share of the curves like those of training that a flag may strike.
FALSE_ALARMS = 0.01
#: x in the part of the question that training never saw, and frequencies that it never saw.
BEYOND = (5.0, 10.0)
OTHER_FREQUENCIES = (1.5, 2.0)


@dataclass(frozen=True)
class Question:
    """Curves, how many points are shown (None: as in training), where they are asked for."""

    name: str
    sampler: Sinusoid = SAMPLER
    shown: int | None = None
    x_range: tuple[float, float] = SAMPLER.x_range


QUESTIONS = (
    Question("as in training"),
    Question("shown 2 points", shown=2),
    Question("shown 1 point", shown=1),
    Question(f"asked at x of {BEYOND[0]:g} to {BEYOND[1]:g}", x_range=BEYOND),
    Question(
        f"of frequency {OTHER_FREQUENCIES[0]:g} to {OTHER_FREQUENCIES[1]:g}",
        Sinusoid(frequency=OTHER_FREQUENCIES),
    ),
)


@dataclass(frozen=True)
class Answers:
    """What the head said about T curves at n points each.

    Attributes
    ----------
    error, deviation : ndarray, shape [T, n]
        Of the mean, and the standard deviation it was given with.
    evidence : ndarray, shape [T]
        Logarithm of the density of the points shown.
    """

    error: FloatArray
    deviation: FloatArray
    evidence: FloatArray


@dataclass(frozen=True)
class Line:
    """A row of the table.

    Attributes
    ----------
    predicted, actual : float
        Root of the mean predicted variance, and RMSE.
    coverage : float
        Share of the truth inside 95% intervals.
    flagged : float
        Share of the curves that are flagged; NaN where a row is no set of curves seen at as many
        points as in training.
    """

    name: str
    predicted: float
    actual: float
    coverage: float
    flagged: float


def ask(
    head: TrainedHead, question: Question, settings: Settings, rng: np.random.Generator
) -> Answers:
    """Show the head points of new curves and ask for others."""
    curves = question.sampler.draw(rng, settings.trust_tasks)
    shown = question.sampler.observe(rng, curves, question.shown or settings.head_shots, 1)
    grid = np.linspace(*question.x_range, settings.grid_points, dtype=np.float32)
    truth = curves(grid)
    found = [
        answer(head, shown.x_support[t], shown.y_support[t], grid[:, None])
        for t in range(settings.trust_tasks)
    ]
    mean, deviation, evidence = (np.array(part, np.float64) for part in zip(*found, strict=True))
    return Answers(mean - truth, deviation, evidence)


def answer(
    head: TrainedHead, x: FloatArray, y: FloatArray, grid: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Return mean, deviation and evidence of one curve, seen at ``x``, ``y`` and asked for."""
    known = head.posterior(x[:0], y[:0])
    evidence = 0.0
    for i in range(len(x)):
        evidence += float(known.log_prob(x[i : i + 1], y[i : i + 1])[0])
        known.update(x[i : i + 1], y[i : i + 1])
    mean, deviation = known.predict(grid, return_std=True)
    return mean[:, 0], deviation[:, 0], evidence


def study(head: TrainedHead, settings: Settings, rng: np.random.Generator) -> list[Line]:
    """Return a row for each kind of question, the first also cut in fifths by its deviation."""
    answers = {question.name: ask(head, question, settings, rng) for question in QUESTIONS}
    usual, *_ = answers.values()
    least = float(np.quantile(usual.evidence, FALSE_ALARMS))
    lines = []
    for question in QUESTIONS:
        a = answers[question.name]
        # The evidence of fewer points is another quantity.
        flagged = float(np.mean(a.evidence < least)) if question.shown is None else np.nan
        lines.append(_line(question.name, a.error, a.deviation, flagged))
    return [lines[0], *_fifths(usual), *lines[1:]]


def _fifths(answers: Answers, parts: int = 5) -> list[Line]:
    by_deviation = np.array_split(np.argsort(answers.deviation, axis=None), parts)
    names = ["  surest fifth", *[""] * (parts - 2), "  least sure fifth"]
    return [
        _line(name, answers.error.ravel()[part], answers.deviation.ravel()[part], np.nan)
        for name, part in zip(names, by_deviation, strict=True)
    ]


def _line(name: str, error: FloatArray, deviation: FloatArray, flagged: float) -> Line:
    return Line(
        name,
        float(np.sqrt(np.mean(deviation**2))),
        float(np.sqrt(np.mean(error**2))),
        float(np.mean(np.abs(error) <= Z95 * deviation)),
        flagged,
    )
