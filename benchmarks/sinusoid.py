"""A slice of the sinusoid training of the MAML paper (Finn et al., 2017, section 5.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.workloads import WORKLOADS, Array, Params, problem

WORKLOAD = WORKLOADS["sine-1"]
ITERATIONS = 70_000
SLICE = 50
"""Iterations in one timed call; a trainer goes on from where its last call ended."""
OUTER_RATE = 1e-3
BETAS = (0.9, 0.999)
EPS = 1e-8

Batches = Sequence[tuple[Array, Array, Array, Array]]


def batches() -> Batches:
    """`SLICE` meta-batches ``(x_support, y_support, x_query, y_query)``, each ``[T, n, 1]``."""
    rng = np.random.default_rng(1)
    shape = (SLICE, WORKLOAD.tasks, 1, 1)
    amplitude, phase = rng.uniform(0.1, 5.0, shape), rng.uniform(0.0, np.pi, shape)

    def rows(n: int) -> tuple[Array, Array]:
        x = rng.uniform(-5.0, 5.0, (SLICE, WORKLOAD.tasks, n, 1))
        return x.astype(np.float32), (amplitude * np.sin(x - phase)).astype(np.float32)

    return list(zip(*rows(WORKLOAD.support), *rows(WORKLOAD.query), strict=True))


def initial() -> Params:
    """The parameters everybody starts from."""
    return problem(WORKLOAD).params
