"""What several learners predict together: the mean over them, and their spread.

The learners are the equally weighted parts of a mixture (Lakshminarayanan et al. 2017, "Simple and
scalable predictive uncertainty estimation using deep ensembles"): the variance of the mixture is
the variance of the means over learners and, where learners have variances, the mean of these.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


def mean_and_deviation(means: Any, deviations: Any = None) -> tuple[Numbers, Numbers]:
    """Of numbers ``[R, ...]``, and of the learners' own standard deviations if they have some."""
    means = np.asarray(means, np.float64)
    variance = means.var(axis=0)
    if deviations is not None:
        variance = variance + np.mean(np.square(np.asarray(deviations, np.float64)), axis=0)
    return means.mean(axis=0), np.sqrt(variance)


def probabilities_of(logits: Any, flags: bool) -> Numbers:
    """Of classes by softmax, where -inf is a class that there is not; of flags by the sigmoid."""
    logits = np.asarray(logits, np.float64)
    if flags:
        sigmoid: Numbers = np.exp(-np.logaddexp(0, -logits))
        return sigmoid
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    found: Numbers = shifted / shifted.sum(axis=-1, keepdims=True)
    return found


def logits_of(probabilities: Numbers, flags: bool) -> Numbers:
    """The way back: of classes up to a constant a row."""
    with np.errstate(divide="ignore"):  # certainty is an infinite logit
        logits: Numbers = np.log(probabilities)
        return logits - np.log1p(-probabilities) if flags else logits
