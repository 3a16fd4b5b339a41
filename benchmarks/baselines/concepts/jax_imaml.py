"""iMAML: proximal gradient steps, then ``jaxopt.linear_solve.solve_cg`` on forward-over-reverse."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxopt.linear_solve import solve_cg

from benchmarks.baselines import Case
from benchmarks.baselines.concepts.jax_common import case
from benchmarks.baselines.jax_jit import loss_of
from benchmarks.concepts import CG_ITERATIONS, CG_TOLERANCE, PROXIMAL
from benchmarks.workloads import INNER_RATE, Workload


def build(workload: Workload) -> Case:
    loss = loss_of(workload)

    def task(params: Any, xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
        phi = params
        for _ in range(workload.steps):
            g = jax.grad(loss)(phi, xs, ys)
            phi = jax.tree.map(
                lambda a, d, start: a - INNER_RATE * (d + PROXIMAL * (a - start)), phi, g, params
            )
        value, g = jax.value_and_grad(loss)(phi, xq, yq)

        def matvec(v: Any) -> Any:
            hv = jax.jvp(lambda p: jax.grad(loss)(p, xs, ys), (phi,), (v,))[1]
            return jax.tree.map(lambda v, hv: v + hv / PROXIMAL, v, hv)

        return value, solve_cg(matvec, g, maxiter=CG_ITERATIONS, tol=CG_TOLERANCE)

    def meta_gradient(params: Any, *data: Any) -> Any:
        values, gradients = jax.vmap(task, (None, 0, 0, 0, 0))(params, *data)
        return jnp.mean(values), jax.tree.map(lambda g: jnp.mean(g, 0), gradients)

    return case(workload, meta_gradient)
