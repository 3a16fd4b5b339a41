"""Meta-gradients: first order (FOMAML) and exact (MAML; Finn, Abbeel and Levine, ICML 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oracle.activations import Array
from oracle.inner import adapt
from oracle.network import Net, gradient, hvp, loss


class Task(NamedTuple):
    """One task: the support set it adapts to, the query set it is judged on."""

    x_support: NDArray[Any]
    y_support: NDArray[Any]
    x_query: NDArray[Any]
    y_query: NDArray[Any]


class MetaGradient(NamedTuple):
    """Per-task gradients ``[T, P]`` and losses ``[T]``: means and sums are left to the caller."""

    task_grads: Array
    losses: Array
    support_losses: Array
    losses_before: Array


def task_gradient(
    net: Net, theta: ArrayLike, task: Task, lr: float, steps: int, kind: str
) -> Array:
    """The meta-gradient of one task; `kind` is ``"first"`` or ``"exact"``."""
    thetas = adapt(net, theta, task.x_support, task.y_support, lr, steps)
    cotangent = gradient(net, thetas[-1], task.x_query, task.y_query)
    if kind == "exact":
        # The Jacobian of the step from theta_k is I - lr H(theta_k), H the support Hessian.
        for theta_k in reversed(thetas[:-1]):
            cotangent = cotangent - lr * hvp(
                net, theta_k, task.x_support, task.y_support, cotangent
            )
    return cotangent


def meta_gradient(
    net: Net, theta: ArrayLike, tasks: Sequence[Task], lr: float, steps: int, kind: str
) -> MetaGradient:
    """Every task's meta-gradient, its query loss after and before, its support loss before."""
    adapted = [adapt(net, theta, t.x_support, t.y_support, lr, steps)[-1] for t in tasks]
    return MetaGradient(
        np.stack([task_gradient(net, theta, t, lr, steps, kind) for t in tasks]),
        np.stack([loss(net, a, t.x_query, t.y_query) for a, t in zip(adapted, tasks, strict=True)]),
        np.stack([loss(net, theta, t.x_support, t.y_support) for t in tasks]),
        np.stack([loss(net, theta, t.x_query, t.y_query) for t in tasks]),
    )
