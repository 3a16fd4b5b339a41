"""fomaml_fast on the same work, called as a user would call it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import fomaml_fast as ff
from benchmarks import sinusoid
from benchmarks.baselines import Case
from benchmarks.workloads import INNER_RATE, Workload, flatten, problem
from fomaml_fast._debug import force_engine


def algorithm(workload: Workload, order: str) -> Any:
    preset = ff.fomaml if order == "first" else ff.maml
    return preset(lr=INNER_RATE, steps=workload.steps)


def network(workload: Workload) -> Any:
    return ff.MLP(workload.sizes, activation=workload.activation, loss=workload.loss)


def build(
    workload: Workload,
    order: str,
    dtype: DTypeLike = np.float32,
    threads: int | None = None,
) -> Case:
    """Prepare `order` of `workload`; without `threads`, as many as everybody has."""
    d, net = problem(workload, dtype), network(workload)
    theta = flatten(d.params)
    if order == "hvp":
        x, y, v = d.x_support, d.y_support, flatten(d.tangents)
        return Case(lambda: net.hvp(theta, x, y, v, threads=threads), lambda out: {"hvp": out})
    batch = ff.TaskBatch(d.x_support, d.y_support, d.x_query, d.y_query)
    maml = algorithm(workload, order)
    return Case(
        lambda: ff.meta_grad(net, theta, batch, maml, threads=threads),
        lambda out: {"loss": np.atleast_1d(out.loss), "gradient": out.grad},
    )


def lanes(dtype: DTypeLike) -> int:
    """Numbers in a vector of the core in use."""
    vector_bytes: int = ff.build_info()["vector_bytes"]
    return vector_bytes // np.dtype(dtype).itemsize


def chosen_engine(workload: Workload, order: str, dtype: DTypeLike = np.float32) -> str:
    """The engine that the planner takes, found by its bits: forcing it changes none of them.

    Engines add in different orders, so two that agree to the last bit ("rows|lanes") are rare.
    """
    case = build(workload, order, dtype)
    free = case.answer(case.run())
    same = []
    for engine in ff.build_info()["engines"]:
        with force_engine(engine):
            try:
                forced = case.answer(case.run())
            except (ValueError, RuntimeError, NotImplementedError):
                continue  # it does not support this
        if all(np.array_equal(free[key], forced[key]) for key in free):
            same.append(engine)
    return "|".join(same) or "unknown"


def train(order: str) -> Case:
    """The sinusoid slice with ``meta_step``; every meta-batch is new and is checked."""
    net, maml = network(sinusoid.WORKLOAD), algorithm(sinusoid.WORKLOAD, order)
    adam = ff.outer.Adam(sinusoid.OUTER_RATE, sinusoid.BETAS, sinusoid.EPS)
    state = ff.init_state(net, maml, adam, theta=flatten(sinusoid.initial()))
    data = sinusoid.batches()

    def run() -> list[float]:
        nonlocal state
        losses = []
        for arrays in data:
            state, metrics = ff.meta_step(net, state, ff.TaskBatch(*arrays), maml, adam)
            losses.append(metrics.loss)
        return losses

    return Case(run, lambda out: {"losses": np.array(out)})
