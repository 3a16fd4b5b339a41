"""What a Gaussian vector is, given some of its entries: the closed form that three models share."""

from __future__ import annotations

import numpy as np

from examples.gapminder.data import FloatArray, IntArray


def condition(
    mean: FloatArray, covariance: FloatArray, noise: float, columns: IntArray, given: FloatArray
) -> tuple[FloatArray, FloatArray]:
    r"""Return mean and standard deviation of new observations, given others.

    Observations are y = f + ε with f ~ N(μ, Σ) and ε ~ N(0, τ² I); of those not given,

        E = μ + Σ_{·s} (Σ_ss + τ² I)⁻¹ (y_s − μ_s),
        Var = diag(Σ − Σ_{·s} (Σ_ss + τ² I)⁻¹ Σ_{s·}) + τ².

    Parameters
    ----------
    mean, covariance : ndarray, shapes [n] and [n, n]
        μ and Σ.
    noise : float
        τ².
    columns, given : ndarray, shape [M, K]
        Which entries are given, and their values, for M vectors.

    Returns
    -------
    mean, deviation : ndarray, shape [M, n]

    Examples
    --------
    >>> import numpy as np
    >>> from examples.gapminder.baselines.conditioning import condition
    >>> covariance = np.array([[3.0, 2.0], [2.0, 3.0]])
    >>> condition(np.array([50.0, 60.0]), covariance, 1.0, np.array([[0]]), np.array([[54.0]]))
    (array([[53., 62.]]), array([[1.32287566, 1.73205081]]))
    """
    within = covariance[columns[:, :, None], columns[:, None, :]]
    within = within + noise * np.eye(columns.shape[1])
    residual = given - mean[columns]
    weights = np.linalg.solve(within, residual[..., None])[..., 0]
    # Σ_{·s} of each vector: the given columns of Σ, [M, n, K].
    across = np.moveaxis(covariance[:, columns], 0, 1)
    gain = np.linalg.solve(within, across.swapaxes(-1, -2)).swapaxes(-1, -2)
    variance = np.diag(covariance) - (gain * across).sum(axis=-1) + noise
    return mean + (across @ weights[..., None])[..., 0], np.sqrt(variance)
