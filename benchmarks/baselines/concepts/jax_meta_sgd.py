"""Meta-SGD: gradients in the initialisation and in a rate per parameter, by JAX."""

from __future__ import annotations

from typing import Any

import jax

from benchmarks.baselines import Case
from benchmarks.baselines.concepts.jax_common import case, differentiated
from benchmarks.baselines.jax_jit import loss_of
from benchmarks.concepts import rates
from benchmarks.workloads import Workload, problem


def build(workload: Workload) -> Case:
    loss = loss_of(workload)

    def task(learned: Any, xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
        params, rates = learned["gradient"], learned["rate_gradient"]
        for _ in range(workload.steps):
            g = jax.grad(loss)(params, xs, ys)
            params = jax.tree.map(lambda p, r, g: p - r * g, params, rates, g)
        return loss(params, xq, yq)

    learned = {"gradient": problem(workload).params, "rate_gradient": rates(workload)}
    return case(workload, differentiated(task), learned)
