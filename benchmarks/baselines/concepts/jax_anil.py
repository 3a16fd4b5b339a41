"""ANIL: the body's features once per task, ``optax.sgd`` on the head, differentiated by JAX."""

from __future__ import annotations

from typing import Any

import jax
import optax

from benchmarks.baselines import Case
from benchmarks.baselines.concepts.jax_common import case, differentiated
from benchmarks.baselines.jax_jit import features_of, head_loss_of
from benchmarks.workloads import INNER_RATE, Workload


def build(workload: Workload) -> Case:
    features, loss = features_of(workload), head_loss_of(workload)
    sgd = optax.sgd(INNER_RATE)

    def task(params: Any, xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
        *body, head = params
        support, state = features(body, xs), sgd.init(head)
        for _ in range(workload.steps):
            updates, state = sgd.update(jax.grad(loss)(head, support, ys), state)
            head = optax.apply_updates(head, updates)
        return loss(head, features(body, xq), yq)

    return case(workload, differentiated(task))
