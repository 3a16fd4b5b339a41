"""What the JAX files share: ``jit`` of ``vmap`` over tasks, the answers as flat arrays."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.baselines import Case
from benchmarks.baselines.jax_jit import to_numpy, wait
from benchmarks.workloads import Workload, flatten, problem


def differentiated(task: Any) -> Any:
    """``(params, *data) -> (loss, gradient)`` of the mean of ``task(params, *one task's data)``."""

    def objective(params: Any, *data: Any) -> Any:
        return jnp.mean(jax.vmap(task, (None, 0, 0, 0, 0))(params, *data))

    return jax.value_and_grad(objective)


def case(workload: Workload, meta_gradient: Any, params: Any = None) -> Case:
    """Time ``jit(meta_gradient)(params, *data)``; gradients named as in a dict, if it is one."""
    d = problem(workload)
    theta = d.params if params is None else params
    arguments = jax.tree.map(jnp.asarray, (theta, d.x_support, d.y_support, d.x_query, d.y_query))
    compiled = jax.jit(meta_gradient)

    def answer(out: Any) -> dict[str, Any]:
        loss, gradient = out
        named = gradient if isinstance(gradient, dict) else {"gradient": gradient}
        arrays = {name: flatten(to_numpy(value)) for name, value in named.items()}
        return {"loss": np.atleast_1d(loss), **arrays}

    return Case(lambda: wait(compiled(*arguments)), answer)
