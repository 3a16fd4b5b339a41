"""Nobody is timed before they have given the right answer."""

from __future__ import annotations

import numpy as np

from benchmarks.baselines import Answer, Case, numpy_batched
from benchmarks.workloads import Workload

TOLERANCE = 1e-5
"""Relative to the float64 norm. Measured 1e-7 to 6e-7; a ReLU flipping sign near 0 costs ~8e-6."""


TOLERANCE64 = 1e-11
"""The same in float64."""


def reference(workload: Workload, order: str) -> Answer:
    """The answer in float64."""
    case = numpy_batched.build(workload, order, np.float64)
    return case.answer(case.run())


def check(who: str, answer: Answer, expected: Answer, tolerance: float = TOLERANCE) -> None:
    """Raise AssertionError unless `answer` is `expected` to rounding."""
    assert answer.keys() == expected.keys()
    for key, value in expected.items():
        assert answer[key].shape == value.shape, f"{who}: {key} has shape {answer[key].shape}"
        error = np.linalg.norm(answer[key] - value) / np.linalg.norm(value)
        assert error < tolerance, f"{who}: {key} is off by {error:.1e}, relative"


def check_case(who: str, case: Case, expected: Answer, tolerance: float = TOLERANCE) -> None:
    """Run `case` once and check what it returns."""
    check(who, case.answer(case.run()), expected, tolerance)
