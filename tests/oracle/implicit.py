"""The implicit meta-gradient (iMAML) at a point: by a dense solve, and by replayed iterations.

``L_s(phi) + mu/2 ||phi - start||^2`` is taken as solved by phi.  Its condition, differentiated,
gives ``(I + H_aa / mu) x = g_a`` for what adapts and ``g_f - H_fa x / mu`` for what does not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from oracle.activations import Array
from oracle.complex_step import columns
from oracle.objective import Objective


class Solution(NamedTuple):
    """What a solver found: the vector, its relative residual, iterations, and the flag."""

    x: Array
    residual: float
    iterations: int
    indefinite: bool


def matrix(objective: Objective, fast: Array, theta: Array, mu: float) -> Array:
    """``I + H_aa / mu`` over the fast variable; identity outside the mask."""
    hessian = columns(lambda phi: objective.support_gradient(phi, theta), fast)
    hessian[:, ~objective.mask] = 0
    return np.eye(fast.size) + hessian / mu


def residual(a: Array, x: Array, b: Array) -> float:
    """``||b - A x|| / ||b||``, and 0 where b is 0."""
    size = float(np.linalg.norm(b))
    return float(np.linalg.norm(b - a @ x)) / size if size > 0 else 0.0


def conjugate_gradients(a: Array, b: Array, tol: float, max_iter: int) -> Solution:
    """Hestenes and Stiefel (1952) from 0, to the letter of the pinned stopping rules."""
    x, r = np.zeros_like(b), b.copy()
    p = r.copy()
    iterations, indefinite = 0, False
    while iterations < max_iter and np.linalg.norm(r) > tol * np.linalg.norm(b):
        if p @ a @ p <= 0:
            indefinite = True
            if iterations == 0:
                x = b.copy()
            break
        step = (r @ r) / (p @ a @ p)
        x = x + step * p
        new = r - step * (a @ p)
        p = new + (new @ new) / (r @ r) * p
        r = new
        iterations += 1
    return Solution(x, residual(a, x, b), iterations, indefinite)


def dense(a: Array, b: Array) -> Solution:
    """The solution itself."""
    x = np.linalg.solve(a, b)
    return Solution(x, residual(a, x, b), 0, False)


def implicit_gradient(
    objective: Objective, fast: Array, theta: Array, mu: float, solution: Solution
) -> Array:
    """The meta-gradient over theta from the solution x of the fast part."""
    mixed = columns(lambda phi: objective.support_slow_gradient(phi, theta), fast)
    slow = objective.query_slow_gradient(fast, theta) - mixed[:, objective.mask] @ (
        solution.x[objective.mask] / mu
    )
    return objective.join(solution.x, slow)
