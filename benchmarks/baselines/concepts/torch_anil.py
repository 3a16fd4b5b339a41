"""ANIL: the body's features once per task, gradient descent on the head, by ``torch.func``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from torch.func import grad

from benchmarks.baselines import Case
from benchmarks.baselines.concepts.torch_common import case, differentiated
from benchmarks.baselines.torch_func import features_of, head_loss_of
from benchmarks.workloads import INNER_RATE, Workload


def build(workload: Workload, compiled: bool = False, dtype: DTypeLike = np.float32) -> Case:
    features, loss = features_of(workload), head_loss_of(workload)

    def task(params: Any, xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
        *body, head = params
        support = features(body, xs)
        for _ in range(workload.steps):
            g = grad(loss)(head, support, ys)
            head = tuple(p - INNER_RATE * d for p, d in zip(head, g, strict=True))
        return loss(head, features(body, xq), yq)

    return case(workload, differentiated(task), compiled, dtype)
