"""Measurements that explain a gap: the two meta-gradients compared, and the curvature of tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import fomaml_fast as ff


@dataclass(frozen=True)
class GradientGap:
    """First-order and exact meta-gradient at one theta, over the same tasks.

    ``noise`` is the standard error of the exact mean gradient (root of the summed variances of its
    components over the number of tasks): a norm of that size is what a stationary point shows.
    """

    first_norm: float
    exact_norm: float
    cosine: float
    noise: float


def gradient_gap(
    net: ff.MLP,
    theta: npt.NDArray[Any],
    batch: ff.TaskBatch,
    rate: float,
    steps: int,
    threads: int | None = None,
) -> GradientGap:
    """Compare the two meta-gradients at `theta`.

    Examples
    --------
    With rate 0 nothing adapts, and the two are one:

    >>> import fomaml_fast as ff
    >>> from examples.sinusoid.diagnosis import gradient_gap
    >>> net, tasks = ff.MLP([1, 8, 1]), ff.samplers.Sinusoid().sample(0, 20)
    >>> round(gradient_gap(net, net.init(0), tasks, rate=0.0, steps=1).cosine, 6)
    1.0
    """
    first, exact = (
        ff.meta_grad(
            net, theta, batch, algorithm, per_task=True, threads=threads, on_divergence="drop"
        )
        for algorithm in (ff.fomaml(rate, steps), ff.maml(rate, steps))
    )
    a, b = first.grad.astype(np.float64), exact.grad.astype(np.float64)
    norms = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if exact.task_grads is None:
        raise RuntimeError("per_task=True gave no gradients of tasks")
    kept = exact.task_grads[~exact.diverged].astype(np.float64)
    noise = float(np.sqrt(kept.var(axis=0, ddof=1).sum() / len(kept)))
    return GradientGap(*norms, float(a @ b) / (norms[0] * norms[1]), noise)


def sharpest_curvature(
    net: ff.MLP,
    theta: npt.NDArray[Any],
    batch: ff.TaskBatch,
    *,
    iterations: int = 40,
    seed: int = 0,
) -> npt.NDArray[np.float64]:
    """Return the largest eigenvalue (by size) of every task's support Hessian, ``[T]``.

    `theta` is ``[P]``, or ``[T, P]`` for a point of its own in every task. Power iteration on
    Hessian-vector products. Gradient descent with rate α on a quadratic expands a direction of
    curvature λ when αλ > 2.

    Examples
    --------
    For o = wx + b and rows at x = 1 the Hessian is [[2, 2], [2, 2]]:

    >>> import numpy as np
    >>> import fomaml_fast as ff
    >>> from examples.sinusoid.diagnosis import sharpest_curvature
    >>> x = np.ones((3, 5, 1))
    >>> sharpest_curvature(ff.MLP([1, 1]), np.zeros(2), ff.TaskBatch(x, x, x, x)).round(6)
    array([4., 4., 4.])
    """
    rng = np.random.default_rng(seed)
    v = rng.standard_normal((len(batch), net.n_params)).astype(theta.dtype)
    curvature = np.zeros(len(batch))
    for _ in range(iterations):
        v /= np.linalg.norm(v, axis=1, keepdims=True) + np.finfo(theta.dtype).tiny
        hv = net.hvp(theta, batch.x_support, batch.y_support, v)
        curvature = np.einsum("tp,tp->t", v, hv, dtype=np.float64)
        v = hv
    return curvature
