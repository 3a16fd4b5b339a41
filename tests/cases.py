"""Random networks, parameters and tasks that the tests share.

A `Case` is plain data drawn from a seed, without any help of the package under test: ``spec``
builds the package's network, ``net`` the oracle's, ``arrays`` the package's batch, ``tasks`` the
oracle's.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

import oracle

# A float32 pre-activation this close to the corner of a rectifier may fall on its other side.
_KINK = 3e-6

# Below 2 over the largest curvature of the cases: steps that overshoot multiply rounding errors.
LR = 0.01
DTYPES = ("float32", "float64")
GRADIENTS = ("first", "exact")
WIDTHS = (1, 7, 8, 9, 15, 16, 17, 31, 33)  # both sides of every vector width
TASK_COUNTS = (1, 2, 15, 16, 17, 33)


@dataclass(frozen=True)
class Case:
    """A network specification, its parameters and some tasks."""

    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    loss: str
    norms: tuple[str | None, ...]
    dtype: np.dtype[Any]
    theta: NDArray[Any]
    tasks: tuple[oracle.Task, ...]

    @property
    def spec(self) -> tuple[tuple[int, ...], tuple[str, ...], str, tuple[str | None, ...]]:
        """Arguments of the package's `MLP`."""
        return self.sizes, self.activations, self.loss, self.norms

    @property
    def net(self) -> oracle.Net:
        """The oracle's network."""
        return oracle.Net(*self.spec)

    def arrays(self, *, ragged: bool = False) -> tuple[Any, Any, Any, Any]:
        """Arguments of the package's `TaskBatch`: stacked arrays, or lists of them."""
        columns: list[Any] = [list(column) for column in zip(*self.tasks, strict=True)]
        if not ragged:
            columns = [np.stack(column) for column in columns]
        x_support, y_support, x_query, y_query = columns
        return x_support, y_support, x_query, y_query

    def expected(self, lr: float, steps: int, gradient: str) -> oracle.MetaGradient:
        """What the oracle says the per-task meta-gradients and losses are."""
        return oracle.meta_gradient(self.net, self.theta, self.tasks, lr, steps, gradient)

    def kink_distance(self, lr: float, steps: int) -> float:
        """How near a ReLU's corner adaptation comes, over all tasks, steps and rows."""
        distance = np.inf
        for task in self.tasks:
            thetas = oracle.adapt(self.net, self.theta, task.x_support, task.y_support, lr, steps)
            for theta in thetas:
                distance = min(distance, oracle.kink_distance(self.net, theta, task.x_support))
            for theta in (thetas[0], thetas[-1]):
                distance = min(distance, oracle.kink_distance(self.net, theta, task.x_query))
        return distance


def parameters(
    sizes: Sequence[int], rng: np.random.Generator, norms: Sequence[str | None] = ()
) -> NDArray[np.float64]:
    """Weights of variance 1 / n_in, biases and shifts that are not zero, gains around one."""
    parts = []
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        parts.append(rng.normal(0, n_in**-0.5, n_in * n_out))
        parts.append(rng.normal(0, 0.3, n_out))
        if layer < len(norms) and norms[layer]:
            parts.append(rng.normal(1, 0.3, n_out))
            parts.append(rng.normal(0, 0.3, n_out))
    return np.concatenate(parts)


def targets(
    loss: str, n: int, n_out: int, dtype: DTypeLike, rng: np.random.Generator
) -> NDArray[Any]:
    """Targets that suit the loss; numbers keep away from what a fresh network predicts.

    Where a prediction nearly equals its target, the gradient is a small difference of rounded
    numbers, and a relative tolerance would measure that and not the package.
    """
    if loss == "cross_entropy":
        return rng.integers(0, n_out, n)
    if loss in ("soft_cross_entropy", "binary_cross_entropy"):
        return rng.random((n, n_out)).astype(dtype)
    signs = rng.choice([-1.0, 1.0], (n, n_out))
    return (signs * rng.uniform(2, 4, (n, n_out))).astype(dtype)


def _draw(
    sizes: tuple[int, ...],
    activations: tuple[str, ...],
    loss: str,
    dtype: np.dtype[Any],
    rows: Sequence[tuple[int, int]],
    norms: tuple[str | None, ...],
    rng: np.random.Generator,
) -> Case:
    tasks = []
    for sets in rows:
        arrays: list[NDArray[Any]] = []
        for n in sets:
            arrays.append(rng.normal(size=(n, sizes[0])).astype(dtype))
            arrays.append(targets(loss, n, sizes[-1], dtype, rng))
        tasks.append(oracle.Task(*arrays))
    theta = parameters(sizes, rng, norms).astype(dtype)
    return Case(sizes, activations, loss, norms, dtype, theta, tuple(tasks))


def build(
    sizes: Sequence[int],
    activation: str | Sequence[str] = "tanh",
    loss: str = "mse",
    dtype: DTypeLike = np.float64,
    *,
    norm: str | Sequence[str | None] | None = None,
    n_tasks: int = 3,
    support: int = 5,
    query: int = 7,
    rows: Sequence[tuple[int, int]] | None = None,
    steps: int = 5,
    lr: float = LR,
    seed: int = 0,
) -> Case:
    """Draw a case; `rows` lists ``(K, Q)`` per task where tasks are ragged.

    Draws that come within rounding of a rectifier's corner during `steps` steps are rejected: there
    the package and the oracle may rightly disagree.
    """
    sizes = tuple(sizes)
    hidden = len(sizes) - 2
    activations = (activation,) * hidden if isinstance(activation, str) else tuple(activation)
    norms = (norm,) * hidden if norm is None or isinstance(norm, str) else tuple(norm)
    rows = [(support, query)] * n_tasks if rows is None else rows
    key = zlib.crc32(repr((sizes, activations, loss, rows, seed)).encode())
    rng = np.random.default_rng(key)
    for _ in range(50):
        case = _draw(sizes, activations, loss, np.dtype(dtype), rows, norms, rng)
        if case.kink_distance(lr, steps) > _KINK:
            return case
    raise AssertionError("no draw keeps away from the corners of the rectifiers")


def ragged_rows(n_tasks: int, seed: int = 0) -> list[tuple[int, int]]:
    """Row counts ``(K, Q)`` that differ from task to task, from 1 to 20."""
    rng = np.random.default_rng(seed)
    return [(int(k), int(q)) for k, q in rng.integers(1, 21, (n_tasks, 2))]


def pairs(first: Sequence[Any], second: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Each element of both sequences at least once, without their whole product."""
    count = max(len(first), len(second))
    return [(first[i % len(first)], second[i % len(second)]) for i in range(count)]
