"""The one tolerance table, by dtype and quantity, and the one comparison that uses it.

A tolerance bounds ``max |actual - expected| / max |expected|``, the maxima over one task.  The
expected values come from the float64 oracle fed with the very numbers the package was given, so
a float32 tolerance is rounding alone: some tens of units in the last place (6e-8), growing with
the number of products behind the quantity.  Never loosen a row to make a test pass.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

TOLERANCES: dict[str, dict[str, float]] = {
    # quantity: the network's outputs, a loss, a first derivative, a Hessian-vector product,
    # parameters after inner steps, a meta-gradient, parameters after outer steps
    "predict": {"float64": 1e-13, "float32": 2e-6},
    "loss": {"float64": 1e-13, "float32": 3e-6},
    "gradient": {"float64": 1e-12, "float32": 5e-6},
    "hvp": {"float64": 1e-12, "float32": 1e-5},
    # Second derivatives of a normalisation divide by the spread of a few rows three times.
    "normalised_hvp": {"float64": 1e-12, "float32": 1e-4},
    "adapt": {"float64": 1e-12, "float32": 5e-6},
    "meta_gradient": {"float64": 1e-12, "float32": 1e-5},
    # Any of these over 10^2 to 10^6 rows, tasks or parameters whose terms have one sign: rounding
    # of the terms, and of blocks of equal ones, which all round the same way.
    "long_sum": {"float64": 5e-15, "float32": 2e-6},
    "outer": {"float64": 1e-12, "float32": 2e-6},
    # Every combination of options.  Adam and its kin divide by small numbers, several steps in a
    # row, and normalisation by the spread of a few rows: both multiply rounding errors.
    "combination": {"float64": 1e-9, "float32": 2e-3},
}


def relative_error(actual: ArrayLike, expected: ArrayLike) -> float:
    """``max |actual - expected| / max |expected|`` of two arrays of one shape; NaN stays NaN."""
    actual = np.asarray(actual, dtype=np.float64)
    expected = np.asarray(expected, dtype=np.float64)
    assert actual.shape == expected.shape
    scale = float(np.max(np.abs(expected), initial=0))
    error = float(np.max(np.abs(actual - expected), initial=0))
    return error / scale if scale > 0 else error


def assert_close(
    actual: ArrayLike, expected: ArrayLike, quantity: str, dtype: DTypeLike, *, tasks: bool = False
) -> None:
    """Compare within the table; with `tasks` the first axis is tasks and each has its own scale."""
    actual = np.asarray(actual, dtype=np.float64)
    expected = np.asarray(expected, dtype=np.float64)
    assert actual.shape == expected.shape
    assert np.all(np.isfinite(expected)), "the expected values are not finite"
    axes = tuple(range(int(tasks), expected.ndim))
    scale = np.max(np.abs(expected), axis=axes)
    error = np.max(np.abs(actual - expected), axis=axes)  # NaN stays NaN and fails below
    limit = TOLERANCES[quantity][np.dtype(dtype).name] * scale
    worst = np.max(error / np.where(scale > 0, scale, 1))
    assert np.all(error <= limit), f"{quantity}: relative error {worst:.3g}"
