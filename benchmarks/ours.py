"""fomaml_fast on the same work, called as a user would call it."""

from __future__ import annotations

from typing import Any

import numpy as np

import fomaml_fast as ff
from benchmarks import sinusoid
from benchmarks.baselines import Case
from benchmarks.workloads import INNER_RATE, Workload, flatten, problem


def algorithm(workload: Workload, order: str) -> Any:
    preset = ff.fomaml if order == "first" else ff.maml
    return preset(lr=INNER_RATE, steps=workload.steps)


def network(workload: Workload) -> Any:
    return ff.MLP(workload.sizes, activation=workload.activation, loss=workload.loss)


def build(workload: Workload, order: str) -> Case:
    """Prepare `order` of `workload`."""
    d, net = problem(workload), network(workload)
    theta = flatten(d.params)
    if order == "hvp":
        v = flatten(d.tangents)
        return Case(lambda: net.hvp(theta, d.x_support, d.y_support, v), lambda out: {"hvp": out})
    batch = ff.TaskBatch(d.x_support, d.y_support, d.x_query, d.y_query)
    maml = algorithm(workload, order)
    return Case(
        lambda: ff.meta_grad(net, theta, batch, maml),
        lambda out: {"loss": np.atleast_1d(out.loss), "gradient": out.grad},
    )


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
