"""A head in closed form: ``jax.scipy.linalg.solve`` of the rows' system, differentiated by JAX.

Of the forms tried (``cho_factor`` with ``cho_solve``, ``cholesky`` with triangular solves, explicit
inverses; the rows' system and the features') none was faster on either workload. The derivative of
``solve`` is a solve with the factor that is there, that of ``cholesky`` is triangular solves more.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from threadpoolctl import ThreadpoolController

from benchmarks import concepts
from benchmarks.baselines import Case
from benchmarks.baselines.concepts.jax_common import case, differentiated
from benchmarks.baselines.jax_jit import features_of
from benchmarks.workloads import Workload, problem


def one_thread_per_system() -> None:
    """Let LAPACK, which JAX has from SciPy, solve with one thread.

    On systems of 10 to 32 rows its threads only wait for each other. XLA's products keep theirs,
    and so does NumPy, which has a library of its own.
    """
    for library in ThreadpoolController().lib_controllers:
        if "scipy.libs" in library.filepath:
            library.set_num_threads(1)


def build(workload: Workload) -> Case:
    one_thread_per_system()
    body_outputs = features_of(workload)

    def features(body: Any, x: Any) -> Any:
        return jnp.concatenate([body_outputs(body, x), jnp.ones((len(x), 1))], axis=1)

    def task(learned: Any, xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
        *body, last = learned["gradient"]
        ((triangle, log_noise),) = learned["rate_gradient"]
        diagonal = jnp.eye(len(triangle), dtype=bool)
        root = jnp.where(diagonal, jnp.exp(triangle), jnp.tril(triangle))
        start, support, query = jnp.vstack(last), features(body, xs), features(body, xq)
        f, g = support @ root, query @ root
        both = f @ g.T
        system = jnp.eye(len(f)) + f @ f.T
        right = jnp.concatenate([both, ys - support @ start], axis=1)
        solved = jax.scipy.linalg.solve(system, right, assume_a="pos")
        mean = query @ start + both.T @ solved[:, len(g) :]
        spread = jnp.sum(g * g, 1) - jnp.sum(both * solved[:, : len(g)], 0)
        variance = jnp.exp(2 * log_noise) * (1 + spread[:, None])
        square = (yq - mean) ** 2 / variance
        return jnp.mean(square + jnp.log(variance) + jnp.log(2 * jnp.pi)) / 2

    learned = {
        "gradient": problem(workload).params,
        "rate_gradient": concepts.head_numbers(workload),
    }
    return case(workload, differentiated(task), learned)
