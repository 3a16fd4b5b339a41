"""Meta-gradients beyond MAML: what is measured, the bars, and the numbers that everybody shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import DTypeLike

from benchmarks.workloads import Params, Workload

BARS = {"sine-5": 4.0, "robot-5": 3.0, "tab-3": 1.7}
"""Least ratio to the best peer, by workload, of whatever descends."""
HEAD_BARS = {"sine-1": 6.0, "robot-5": 4.0}
"""The same of a head in closed form, whose cost knows no inner steps."""

ADAM_RATE = 1e-2
ADAM_BETAS = (0.9, 0.999)
ADAM_EPS = 1e-2
"""Large, so that everybody agrees: at 1e-8 the derivative of the direction, eps/(|g| + eps)²,
amplifies float32's rounding; at 1e-3 optax and TorchOpt, which form 1 - 0.999^t in float32, are off
by 3e-3 on tab-3 (ours by 3e-6). What a call costs does not depend on it."""
ADAM_EPS_ROOT = 1e-16
"""For the peers: without it their derivative of √v is infinite where a dead ReLU leaves v = 0."""

PROXIMAL = 10.0
"""mu of iMAML: large enough that every task's H + mu I is positive definite here."""
CG_ITERATIONS = 5
"""Conjugate-gradient iterations, as in the paper's few-shot experiments; all run all of them."""
CG_TOLERANCE = 1e-12
"""Below what float32 reaches in `CG_ITERATIONS`, so that none stops early."""


@dataclass(frozen=True)
class Concept:
    """A point in the space of algorithms."""

    name: str
    meaning: str
    answers: tuple[str, ...] = ("loss", "gradient")
    bars: Mapping[str, float] = field(default_factory=lambda: BARS)
    """Where it is measured, and the least ratio to the best peer there."""


CONCEPTS = {
    c.name: c
    for c in (
        Concept("adam", "exact meta-gradient through Adam's steps and state"),
        Concept("anil", "only the last layer adapts; exact (Raghu et al., 2020)"),
        Concept(
            "meta_sgd",
            "a rate per parameter, and its exact gradient (Li et al., 2017)",
            ("loss", "gradient", "rate_gradient"),
        ),
        Concept("imaml", "proximal inner steps, implicit gradient by CG (Rajeswaran et al., 2019)"),
        Concept(
            "head",
            "Bayesian regression on the features, exact through its solve (Harrison et al., 2018)",
            ("loss", "gradient", "rate_gradient"),
            HEAD_BARS,
        ),
    )
}


def rates(workload: Workload, dtype: DTypeLike = np.float32) -> Params:
    """Meta-SGD's rates, one per parameter, in the shape of the parameters."""
    rng = np.random.default_rng(2)

    def draw(*shape: int) -> np.ndarray:
        return rng.uniform(0.005, 0.015, shape).astype(np.float32).astype(dtype)

    return [(draw(i, o), draw(o)) for i, o in pairwise(workload.sizes)]


def head_numbers(workload: Workload, dtype: DTypeLike = np.float32) -> Params:
    """A head's prior and noise in the shape of a layer: ``(lower triangle [m, m], log s [n_L])``.

    V is ``R R'``. The triangle holds R, with the logarithms of its diagonal: 1 there and little
    beside it, as after some training.
    """
    rng, m = np.random.default_rng(3), workload.sizes[-2] + 1
    triangle = 0.05 * np.tril(rng.standard_normal((m, m), np.float32))
    log_noise = rng.standard_normal(workload.sizes[-1], np.float32) * np.float32(0.1) - 1
    return [(triangle.astype(np.float32).astype(dtype), log_noise.astype(dtype))]


TOLERANCES = {"adam": 5e-5, "anil": 1e-5, "meta_sgd": 1e-5, "imaml": 1e-5, "head": 1e-5}
"""Relative to the float64 norm. optax and TorchOpt form 1 - 0.999^t in float32, which alone costs
them 2e-5; without Adam everybody is within 5e-7."""
