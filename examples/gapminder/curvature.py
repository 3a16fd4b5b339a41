r"""How large an inner rate the curvature allows.

Gradient descent on a quadratic with largest Hessian eigenvalue λ_max shrinks every component of
the error when α < α_max = 2/λ_max; above it the steepest one grows with each step. λ_max of the
support loss comes from Lanczos iteration on Hessian-vector products (Golub & Van Loan, Matrix
Computations, ch. 10), for all countries at once and in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from examples.gapminder.data import FloatArray, IntArray
from examples.gapminder.network import AdaptedNetwork

LANCZOS_STEPS = 16
#: Below this share of ‖Hv‖ what is left after orthogonalisation is rounding.
BREAKDOWN = 1e-10


@dataclass(frozen=True)
class Uphill:
    """What many adaptations at one rate came to.

    Attributes
    ----------
    n_adaptations : int
    n_uphill : int
        Whose support loss ended higher than it began, or not finite: gradient descent diverges.
    n_not_finite : int
        Of those, not finite.
    """

    n_adaptations: int
    n_uphill: int
    n_not_finite: int

    def __add__(self, other: Uphill) -> Uphill:
        """Pool two counts."""
        return Uphill(
            self.n_adaptations + other.n_adaptations,
            self.n_uphill + other.n_uphill,
            self.n_not_finite + other.n_not_finite,
        )


def count_uphill(
    network: AdaptedNetwork, columns: IntArray, given: FloatArray, steps: int
) -> Uphill:
    """Adapt M countries by ``steps`` steps and count those whose support loss rose."""
    before, after = network.support_loss(columns, given, (0, steps))
    return Uphill(len(columns), int((after > before).sum()), int(np.isinf(after).sum()))


def largest_rates(network: AdaptedNetwork, columns: IntArray, given: FloatArray) -> FloatArray:
    """Return α_max = 2/λ_max of the support loss at the unadapted parameters, per country ``[M]``.

    Infinite where no eigenvalue is positive.
    """
    x, y = (a.astype(np.float64) for a in network.support(columns, given))
    theta = network.theta.astype(np.float64)
    rng = np.random.default_rng(0)
    v = rng.standard_normal((len(columns), len(theta)))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    basis = [v]
    diagonal, off_diagonal = [], []
    for _ in range(LANCZOS_STEPS):
        w = np.asarray(network.net.hvp(theta, x, y, basis[-1]))
        size = np.linalg.norm(w, axis=1)
        diagonal.append((w * basis[-1]).sum(axis=1))
        for _ in range(2):  # twice is enough (Parlett): full orthogonality to rounding
            for q in basis:
                w = w - (w * q).sum(axis=1, keepdims=True) * q
        beta = np.linalg.norm(w, axis=1)
        # An invariant subspace is exhausted: the tridiagonal matrix splits there.
        beta = np.where(beta > BREAKDOWN * size, beta, 0.0)
        off_diagonal.append(beta)
        basis.append(np.divide(w, beta[:, None], out=np.zeros_like(w), where=beta[:, None] > 0))
    tridiagonal = np.zeros((len(columns), LANCZOS_STEPS, LANCZOS_STEPS))
    i = np.arange(LANCZOS_STEPS)
    tridiagonal[:, i, i] = np.stack(diagonal, axis=1)
    below = np.stack(off_diagonal[:-1], axis=1)
    tridiagonal[:, i[1:], i[:-1]] = tridiagonal[:, i[:-1], i[1:]] = below
    largest = np.linalg.eigvalsh(tridiagonal)[:, -1]
    rates = np.full(len(largest), np.inf)
    return np.asarray(np.divide(2.0, largest, out=rates, where=largest > 0))
