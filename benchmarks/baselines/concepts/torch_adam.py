"""Exact meta-gradient through Adam, written out: torch.optim has no pure form."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch.func import grad

from benchmarks.baselines import Case
from benchmarks.baselines.concepts.torch_common import case, differentiated, layers
from benchmarks.baselines.torch_func import loss_of
from benchmarks.concepts import ADAM_BETAS, ADAM_EPS, ADAM_EPS_ROOT, ADAM_RATE
from benchmarks.workloads import Workload


def build(workload: Workload, compiled: bool = False, dtype: DTypeLike = np.float32) -> Case:
    loss, (beta1, beta2) = loss_of(workload), ADAM_BETAS

    def task(params: Any, xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
        m = v = layers(torch.zeros_like, params)
        for t in range(1, workload.steps + 1):
            g = grad(loss)(params, xs, ys)
            m = layers(lambda m, g: beta1 * m + (1 - beta1) * g, m, g)
            v = layers(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, g)
            rate, spread = ADAM_RATE / (1 - beta1**t), 1 - beta2**t
            params = layers(
                lambda p, m, v, rate=rate, spread=spread: (
                    p - rate * m / (torch.sqrt(v / spread + ADAM_EPS_ROOT) + ADAM_EPS)
                ),
                params,
                m,
                v,
            )
        return loss(params, xq, yq)

    return case(workload, differentiated(task), compiled, dtype)
