"""The one table of what is measured, the bars to clear, and the data and operation counts of each.

A bar is the least ratio (best peer's time / our time) asked of first order, exact and
Hessian-vector product; ``None`` where none is set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[np.floating]
Labels = NDArray[np.int32]
Params = list[tuple[Array, Array]]
"""One ``(W [n_in, n_out], b [n_out])`` per layer; with a leading ``T`` when per task."""

F = TypeVar("F", bound=Callable[..., None])

ORDERS = ("first", "exact", "hvp")
INNER_RATE = 0.01


@dataclass(frozen=True)
class Workload:
    """A network, a batch of tasks and a number of inner steps."""

    name: str
    sizes: tuple[int, ...]
    activation: str
    loss: str
    tasks: int
    support: int
    query: int
    steps: int
    first: float | None = None
    exact: float | None = None
    hvp: float | None = None
    has_tangents: bool = True
    """Whether vectors for Hessian-vector products are drawn: T × P numbers."""

    def bar(self, order: str) -> float | None:
        """Least ratio to the best peer asked of `order`."""
        bars: dict[str, float | None] = dict(
            zip(ORDERS, (self.first, self.exact, self.hvp), strict=True)
        )
        return bars[order]

    def flops(self, order: str) -> int:
        """Nominal operations (a multiply-add is two) of one call.

        A gradient costs a forward product, a weight gradient and an input gradient (none to the
        data); the R-operator doubles each on activations that are kept (Pearlmutter, 1994).
        """
        weights = [a * b for a, b in pairwise(self.sizes)]
        row = 2 * (3 * sum(weights) - weights[0])
        support, query = self.support * row, self.query * row
        per_task = {
            "first": self.steps * support + query,
            "exact": self.steps * 3 * support + query,
            "hvp": 3 * support,
        }
        return self.tasks * per_task[order]


def only_on(*names: str) -> Callable[[F], F]:
    """Run a test that has a `workload` on these alone."""

    def mark(test: F) -> F:
        test.workloads = names  # type: ignore[attr-defined]
        return test

    return mark


def _w(name: str, sizes: str, sigma: str, loss: str, counts: str, *bars: float) -> Workload:
    shape = tuple(map(int, sizes.split("-")))
    tasks, support, query, steps = map(int, counts.split())
    return Workload(name, shape, sigma, loss, tasks, support, query, steps, *bars)


# fmt: off
WORKLOADS = {w.name: w for w in (
    #                                                              T    K  Q  S    first exact hvp
    _w("sine-1",  "1-40-40-1",           "relu", "mse",           "25   10 10 1",  5.3, 5.4,  4.6),
    _w("sine-5",  "1-40-40-1",           "relu", "mse",           "25   10 10 5",  4.8, 4.7),
    _w("robot-5", "24-64-64-12",         "tanh", "mse",           "16   32 32 5",  2.9, 2.6,  3.2),
    _w("omni-1",  "784-256-128-64-64-5", "relu", "cross_entropy", "32   5  75 1",  1.2, 1.4,  2.0),
    _w("omni-5",  "784-256-128-64-64-5", "relu", "cross_entropy", "32   5  75 5",  3.4, 6.0),
    _w("tab-3",   "64-128-128-5",        "relu", "cross_entropy", "32   25 75 3",  1.5, 1.75, 1.3),
    _w("edge-1",  "6-16-16-3",           "tanh", "mse",           "1    5  5  5",  21., 19.),
    _w("wide-1",  "16-32-32-1",          "tanh", "mse",           "1024 10 10 1",  3.6, 3.1,  2.2),
)}
# fmt: on


@dataclass(frozen=True)
class Problem:
    """The numbers of one workload: everybody computes on these."""

    params: Params
    x_support: Array
    y_support: Array | Labels
    x_query: Array
    y_query: Array | Labels

    tangents: Params
    """The vectors of the Hessian-vector product, one per task; empty if it has none."""


def problem(workload: Workload, dtype: DTypeLike = np.float32) -> Problem:
    """Draw the data of `workload`; the values are float32 numbers whatever `dtype` holds them."""
    rng = np.random.default_rng(0)
    sizes, tasks = workload.sizes, workload.tasks
    shapes = list(pairwise(sizes))

    def normal(*shape: int) -> Array:
        return rng.standard_normal(shape, np.float32).astype(dtype)

    def rows(n: int) -> tuple[Array, Array | Labels]:
        x = normal(tasks, n, sizes[0])
        if workload.loss == "mse":
            return x, normal(tasks, n, sizes[-1])
        return x, rng.integers(0, sizes[-1], (tasks, n), np.int32)

    # He-scaled weights; biases off zero, so that no two ReLUs share their kink.
    weights = [(normal(i, o) * np.float32(i**-0.5), normal(o) * np.float32(0.1)) for i, o in shapes]
    params = [(w.astype(dtype), b.astype(dtype)) for w, b in weights]
    vectors = shapes if workload.has_tangents else []
    tangents = [(normal(tasks, i, o), normal(tasks, o)) for i, o in vectors]
    return Problem(params, *rows(workload.support), *rows(workload.query), tangents)


def flatten(params: Params) -> Array:
    """Concatenate to ``[P]`` (or ``[T, P]``) in the order of fomaml_fast: W row-major, then b."""
    lead = params[0][1].shape[:-1]
    return np.concatenate([a.reshape(*lead, -1) for layer in params for a in layer], axis=-1)
