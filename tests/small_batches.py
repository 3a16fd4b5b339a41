"""One small regression and one small classification batch, by argument name, for tests to spoil."""

from __future__ import annotations

from cases import build

ARGUMENTS = ("x_support", "y_support", "x_query", "y_query")
K, Q, T = 5, 7, 3


def regression(dtype="float64"):
    """Stacked arrays by name, T = 3, K = 5, Q = 7, two inputs and two outputs."""
    case = build((2, 6, 2), "tanh", "mse", dtype, n_tasks=T, support=K, query=Q)
    return case, dict(zip(ARGUMENTS, case.arrays(), strict=True))


def classes(dtype="float64"):
    case = build((2, 6, 4), "tanh", "cross_entropy", dtype, n_tasks=T, support=K, query=Q)
    return case, dict(zip(ARGUMENTS, case.arrays(), strict=True))


def ragged(case, **changes):
    arrays = dict(zip(ARGUMENTS, case.arrays(ragged=True), strict=True))
    return {**arrays, **changes}
