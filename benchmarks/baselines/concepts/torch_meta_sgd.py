"""Meta-SGD: gradients in the initialisation and in a rate per parameter, by ``torch.func``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from torch.func import grad

from benchmarks import concepts
from benchmarks.baselines import Case
from benchmarks.baselines.concepts.torch_common import case, differentiated, layers
from benchmarks.baselines.torch_func import loss_of
from benchmarks.workloads import Workload


def build(workload: Workload, compiled: bool = False, dtype: DTypeLike = np.float32) -> Case:
    loss = loss_of(workload)

    def task(params: Any, rates: Any, xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
        for _ in range(workload.steps):
            g = grad(loss)(params, xs, ys)
            params = layers(lambda p, r, g: p - r * g, params, rates, g)
        return loss(params, xq, yq)

    rates = concepts.rates(workload, dtype)
    return case(workload, differentiated(task, learned=2), compiled, dtype, rates)
