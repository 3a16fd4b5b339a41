"""Exact meta-gradient through Adam: ``optax.adam``, differentiated by JAX."""

from __future__ import annotations

from typing import Any

import jax
import optax

from benchmarks.baselines import Case
from benchmarks.baselines.concepts.jax_common import case, differentiated
from benchmarks.baselines.jax_jit import loss_of
from benchmarks.concepts import ADAM_BETAS, ADAM_EPS, ADAM_EPS_ROOT, ADAM_RATE
from benchmarks.workloads import Workload


def build(workload: Workload) -> Case:
    loss = loss_of(workload)
    adam = optax.adam(ADAM_RATE, *ADAM_BETAS, eps=ADAM_EPS, eps_root=ADAM_EPS_ROOT)

    def task(params: Any, xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
        state = adam.init(params)
        for _ in range(workload.steps):
            updates, state = adam.update(jax.grad(loss)(params, xs, ys), state)
            params = optax.apply_updates(params, updates)
        return loss(params, xq, yq)

    return case(workload, differentiated(task))
