"""Exact meta-gradient through Adam: ``torchopt.adam`` under ``torch.func.vmap``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torchopt
from torch.func import grad

from benchmarks.baselines import Case
from benchmarks.baselines.concepts.torch_common import case, differentiated, layers
from benchmarks.baselines.torch_func import loss_of
from benchmarks.concepts import ADAM_BETAS, ADAM_EPS, ADAM_EPS_ROOT, ADAM_RATE
from benchmarks.workloads import Workload


def build(workload: Workload) -> Case:
    loss = loss_of(workload)
    adam = torchopt.adam(
        ADAM_RATE, ADAM_BETAS, ADAM_EPS, eps_root=ADAM_EPS_ROOT, moment_requires_grad=False
    )

    def task(params: Any, xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
        # Its state is written in place, so each task must own one: moments are made like `params`.
        params = layers(lambda p: p + 0 * xs[0, 0], params)
        state = adam.init(params)
        for _ in range(workload.steps):
            updates, state = adam.update(grad(loss)(params, xs, ys), state, inplace=False)
            params = torchopt.apply_updates(params, updates, inplace=False)
        return loss(params, xq, yq)

    return case(workload, differentiated(task), False, np.float32)
