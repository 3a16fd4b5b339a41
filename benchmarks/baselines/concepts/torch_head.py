"""A head in closed form: ``torch.linalg.solve`` of the rows' system, by ``torch.func``.

The derivative of ``solve`` uses its factor again, that of ``cholesky`` is triangular solves more,
and slower on both workloads. One thread is faster than two, which wait for each other on systems of
10 to 32 rows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike

from benchmarks import concepts, threads
from benchmarks.baselines import Case
from benchmarks.baselines.concepts.torch_common import case, differentiated
from benchmarks.baselines.torch_func import features_of
from benchmarks.workloads import Workload


def build(workload: Workload, compiled: bool = False, dtype: DTypeLike = np.float32) -> Case:
    body_outputs = features_of(workload)

    def features(body: Any, x: Any) -> Any:
        hidden = body_outputs(body, x)
        return torch.cat([hidden, torch.ones_like(hidden[:, :1])], 1)

    def task(params: Any, numbers: Any, xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
        *body, (weights, bias) = params
        ((triangle, log_noise),) = numbers
        diagonal = torch.eye(len(triangle), dtype=torch.bool)
        root = torch.where(diagonal, triangle.exp(), triangle.tril())
        start = torch.cat([weights, bias[None]])
        support, query = features(body, xs), features(body, xq)
        f, g = support @ root, query @ root
        both = f @ g.T
        system = torch.eye(len(f), dtype=f.dtype) + f @ f.T
        right = torch.cat([both, ys - support @ start], 1)
        solved = torch.linalg.solve(system, right)
        mean = query @ start + both.T @ solved[:, len(g) :]
        spread = (g * g).sum(1) - (both * solved[:, : len(g)]).sum(0)
        variance = (2 * log_noise).exp() * (1 + spread[:, None])
        square = (yq - mean) ** 2 / variance
        return (square + variance.log() + math.log(2 * math.pi)).mean() / 2

    numbers = concepts.head_numbers(workload, dtype)
    threaded = case(workload, differentiated(task, learned=2), compiled, dtype, numbers)

    def run() -> Any:
        torch.set_num_threads(1)
        try:
            return threaded.run()
        finally:
            torch.set_num_threads(threads.count())

    return Case(run, threaded.answer)
