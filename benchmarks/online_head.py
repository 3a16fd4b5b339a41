"""A posterior to which rows are added one at a time, and which predicts them with a deviation.

The core alone is measured by its own calls on one row and on `ROWS` rows: their difference holds
neither Python nor the binding. Features are given: they are the network's, not the head's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import fomaml_fast as ff
from benchmarks import concepts, ours, ours_concepts
from benchmarks.baselines import Answer
from benchmarks.harness import Run
from benchmarks.workloads import Array, Params, Workload, flatten, problem
from fomaml_fast._loader import core

ROWS = 1001
TOLERANCE = 1e-4
"""Of `ROWS` float32 updates beside all rows at once in float64, relative: measured 1e-5."""


@dataclass(frozen=True)
class Online:
    """What is timed, what it has found, and what it should have."""

    runs: dict[str, Run]
    answer: Answer
    expected: Answer


def build(workload: Workload) -> Online:
    """The posterior of one task's head, after `ROWS` rows in as many updates."""
    net, algorithm = ours.network(workload), ours_concepts.algorithm(workload, "head")
    params, rng = problem(workload).params, np.random.default_rng(4)
    x = rng.standard_normal((ROWS, workload.sizes[0]), np.float32)
    y = rng.standard_normal((ROWS, workload.sizes[-1]), np.float32)
    state = ff.init_state(net, algorithm, ff.outer.Adam(), theta=flatten(params))
    state = state._replace(rates=ours_concepts.learned(workload, "head"))
    found = ff.posterior(net, state, x[:0], y[:0], algorithm).update(x, y)
    mean, deviation = found.predict(x, return_std=True)

    def examples(n: int) -> Any:
        given = (x[None, :n], y[None, :n], None, None, None)
        return core.Examples("", *given, "float32", "theta", False, True)

    inside, phi, one = found._core, features(workload, params, x).astype(np.float32), slice(0, 1)
    first, every = examples(1), examples(ROWS)
    hidden = np.ascontiguousarray(phi[:, :-1])
    runs: dict[str, Run] = {
        "update, one row": lambda: inside.update(first, hidden[one], 1.0),
        "update, many rows": lambda: inside.update(every, hidden, 1.0),
        "update, from Python": lambda: found.update(x[one], y[one]),
        "predict with deviation, one row": lambda: inside.predict(hidden[one], True),
        "predict with deviation, many rows": lambda: inside.predict(hidden, True),
        "predict with deviation, from Python": lambda: found.predict(x[one], return_std=True),
    }
    answer = {"mean": mean, "deviation": deviation}
    return Online(runs, answer, at_once(workload, params, x, y))


def features(workload: Workload, params: Params, x: Array) -> Array:
    """Of the last hidden layer, and a 1, in float64: ``[n, m]``."""
    activation = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh}[workload.activation]
    hidden = x.astype(np.float64)
    for weights, bias in params[:-1]:
        hidden = activation(hidden @ weights + bias)
    return np.hstack([hidden, np.ones((len(x), 1))])


def at_once(workload: Workload, params: Params, x: Array, y: Array) -> Answer:
    """What all rows say of themselves, by one solve in float64."""
    ((triangle, log_noise),) = concepts.head_numbers(workload, np.float64)
    diagonal = np.diag_indices(len(triangle))
    triangle[diagonal] = np.exp(triangle[diagonal])
    phi, start = features(workload, params, x), np.vstack(params[-1]).astype(np.float64)
    precision = np.linalg.inv(triangle @ triangle.T) + phi.T @ phi
    mean = phi @ (start + np.linalg.solve(precision, phi.T @ (y - phi @ start)))
    spread = np.sum(phi * np.linalg.solve(precision, phi.T).T, axis=1, keepdims=True)
    return {"mean": mean, "deviation": np.exp(log_noise) * np.sqrt(1 + spread)}
