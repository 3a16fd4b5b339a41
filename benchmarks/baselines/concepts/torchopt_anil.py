"""ANIL: the body's features once per task, ``torchopt.sgd`` on the head under ``vmap``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torchopt
from torch.func import grad

from benchmarks.baselines import Case
from benchmarks.baselines.concepts.torch_common import case, differentiated
from benchmarks.baselines.torch_func import features_of, head_loss_of
from benchmarks.workloads import INNER_RATE, Workload


def build(workload: Workload) -> Case:
    features, loss = features_of(workload), head_loss_of(workload)
    sgd = torchopt.sgd(INNER_RATE)

    def task(params: Any, xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
        *body, head = params
        support, state = features(body, xs), sgd.init(head)
        for _ in range(workload.steps):
            updates, state = sgd.update(grad(loss)(head, support, ys), state, inplace=False)
            head = torchopt.apply_updates(head, updates, inplace=False)
        return loss(head, features(body, xq), yq)

    return case(workload, differentiated(task), False, np.float32)
