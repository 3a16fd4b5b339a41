"""The same quadratic in the library: a linear network of one weight."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

import fomaml_fast as ff

#: The row's input; the curvature of (xw − xc)² in w is a = 2x².
X = 1.25
CURVATURE = 2 * X**2

ALGORITHMS = {"MAML": ff.maml, "FOMAML": ff.fomaml, "Reptile": ff.reptile}
NETWORK = ff.MLP((1, 1))


def task(c: float) -> ff.TaskBatch:
    """Return the one task whose best weight is `c`: a row at x, support and query alike."""
    x = np.full((1, 1, 1), X)
    return ff.TaskBatch(x, c * x, x, c * x)


def algorithm(method: str, alpha_a: float, steps: int) -> ff.Algorithm:
    """Return the algorithm with the inner rate αa/a for the weight, and 0 for the bias."""
    return ALGORITHMS[method](lr=np.array([alpha_a / CURVATURE, 0.0]), steps=steps)


def meta_gradient(method: str, alpha_a: float, steps: int, w: float, c: float) -> float:
    """Return the library's meta-gradient in the weight at `w`.

    Examples
    --------
    >>> round(meta_gradient("MAML", 0.5, 1, w=2.0, c=1.0), 12) == CURVATURE / 4
    True
    """
    found = ff.meta_grad(
        NETWORK, np.array([w, 0.0]), task(c), algorithm(method, alpha_a, steps), threads=1
    )
    return float(found.grad[0])


def descend(
    method: str, alpha_a: float, steps: int, *, w: float, c: float, outer_rate: float, count: int
) -> npt.NDArray[np.float64]:
    """Return the weight before and after each of `count` outer steps of gradient descent.

    The bias stays at 0: only the weight's component of the meta-gradient is followed.

    Examples
    --------
    >>> descend("MAML", 0.0, 1, w=2.0, c=1.0, outer_rate=1 / CURVATURE, count=2).round(12)
    array([2., 1., 1.])
    """
    way = [w]
    for _ in range(count):
        way.append(way[-1] - outer_rate * meta_gradient(method, alpha_a, steps, way[-1], c))
    return np.array(way)
