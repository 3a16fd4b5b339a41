"""iMAML: proximal gradient steps, then CG written out; reverse over reverse, which compiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch.func import grad, grad_and_value, vmap

from benchmarks.baselines import Case
from benchmarks.baselines.concepts.torch_common import case, layers, mean_over_tasks
from benchmarks.baselines.torch_func import loss_of
from benchmarks.concepts import CG_ITERATIONS, PROXIMAL
from benchmarks.workloads import INNER_RATE, Workload


def dot(a: Any, b: Any) -> Any:
    pairs = (pair for parts in zip(a, b, strict=True) for pair in zip(*parts, strict=True))
    return sum((p * q).sum() for p, q in pairs)


def axpy(scale: Any, x: Any, y: Any) -> Any:
    return layers(lambda x, y: y + scale * x, x, y)


def conjugate_gradients(matvec: Any, b: Any) -> Any:
    """Solve from 0; a fixed number of iterations, since neither vmap nor the compiler loops."""
    x, r, p, rr = layers(torch.zeros_like, b), b, b, dot(b, b)
    for _ in range(CG_ITERATIONS):
        ap = matvec(p)
        alpha = rr / dot(p, ap)
        x, r = axpy(alpha, p, x), axpy(-alpha, ap, r)
        rr, before = dot(r, r), rr
        p = axpy(rr / before, p, r)
    return x


def build(workload: Workload, compiled: bool = False, dtype: DTypeLike = np.float32) -> Case:
    loss = loss_of(workload)

    def task(params: Any, xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
        phi = params
        for _ in range(workload.steps):
            g = grad(loss)(phi, xs, ys)
            phi = layers(
                lambda a, d, start: a - INNER_RATE * (d + PROXIMAL * (a - start)), phi, g, params
            )
        g, value = grad_and_value(loss)(phi, xq, yq)

        def matvec(v: Any) -> Any:
            return axpy(1 / PROXIMAL, grad(lambda p: dot(grad(loss)(p, xs, ys), v))(phi), v)

        return conjugate_gradients(matvec, g), value

    def meta_gradient(params: Any, *data: Any) -> Any:
        gradients, values = vmap(task, (None, 0, 0, 0, 0))(params, *data)
        return mean_over_tasks(gradients), values.mean()

    return case(workload, meta_gradient, compiled, dtype)
