"""Meta-SGD: ``torchopt.sgd`` of rate 1 on scaled gradients; it has no rate per parameter."""

from __future__ import annotations

from typing import Any

import numpy as np
import torchopt
from torch.func import grad

from benchmarks import concepts
from benchmarks.baselines import Case
from benchmarks.baselines.concepts.torch_common import case, differentiated, layers
from benchmarks.baselines.torch_func import loss_of
from benchmarks.workloads import Workload


def build(workload: Workload) -> Case:
    loss, sgd = loss_of(workload), torchopt.sgd(1.0)

    def task(params: Any, rates: Any, xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
        state = sgd.init(params)
        for _ in range(workload.steps):
            scaled = layers(lambda r, g: r * g, rates, grad(loss)(params, xs, ys))
            updates, state = sgd.update(scaled, state, inplace=False)
            params = torchopt.apply_updates(params, updates, inplace=False)
        return loss(params, xq, yq)

    rates = concepts.rates(workload)
    return case(workload, differentiated(task, learned=2), False, np.float32, rates)
