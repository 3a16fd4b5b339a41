"""iMAML: proximal steps under ``vmap``, then ``torchopt.linear_solve.solve_cg`` task by task.

Its solver stops on data, which ``vmap`` cannot; so its users' loop over tasks is what it gets.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torchopt
from torch.func import grad, grad_and_value, jvp, vmap

from benchmarks.baselines import Case
from benchmarks.baselines.concepts.torch_common import case, layers, mean_over_tasks
from benchmarks.baselines.torch_func import loss_of
from benchmarks.concepts import CG_ITERATIONS, CG_TOLERANCE, PROXIMAL
from benchmarks.workloads import INNER_RATE, Workload


def build(workload: Workload) -> Case:
    loss, sgd = loss_of(workload), torchopt.sgd(INNER_RATE)
    solve = torchopt.linear_solve.solve_cg(maxiter=CG_ITERATIONS, rtol=CG_TOLERANCE)

    def proximal_loss(phi: Any, params: Any, x: Any, y: Any) -> Any:
        pulls = zip(phi, params, strict=True)
        distance = sum(((w - u) ** 2).sum() + ((b - c) ** 2).sum() for (w, b), (u, c) in pulls)
        return loss(phi, x, y) + PROXIMAL / 2 * distance

    def inner(params: Any, xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
        phi, state = params, sgd.init(params)
        for _ in range(workload.steps):
            g = grad(proximal_loss)(phi, params, xs, ys)
            updates, state = sgd.update(g, state, inplace=False)
            phi = torchopt.apply_updates(phi, updates, inplace=False)
        g, value = grad_and_value(loss)(phi, xq, yq)
        return phi, g, value

    def implicit(phi: Any, g: Any, x: Any, y: Any) -> Any:
        def matvec(v: Any) -> Any:
            hv = jvp(lambda p: grad(loss)(p, x, y), (phi,), (v,))[1]
            return layers(lambda v, hv: v + hv / PROXIMAL, v, hv)

        return solve(matvec, g)

    def meta_gradient(params: Any, *data: Any) -> Any:
        phi, g, values = vmap(inner, (None, 0, 0, 0, 0))(params, *data)
        solutions = [
            implicit(layers(lambda a: a[t], phi), layers(lambda a: a[t], g), data[0][t], data[1][t])  # noqa: B023
            for t in range(workload.tasks)
        ]
        stacked = layers(lambda *task: torch.stack(task), *solutions)
        return mean_over_tasks(stacked), values.mean()

    return case(workload, meta_gradient, False, np.float32)
