"""The 95% interval of a mean, normal over independent values."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

#: Two-sided 95% quantile of the normal distribution.
Z95 = NormalDist().inv_cdf(0.975)


def mean_and_half_width(sample: npt.NDArray[Any]) -> tuple[float, float]:
    """Return the mean of a sample and half the width of its 95% interval.

    Parameters
    ----------
    sample : ndarray, shape [n]

    Returns
    -------
    mean, half : float
        NaN where there is nothing to take them of: n = 0, and n = 1 for the interval.

    Examples
    --------
    >>> import numpy as np
    >>> mean, half = mean_and_half_width(np.array([1.0, 3.0]))
    >>> mean, round(half, 3)
    (2.0, 1.96)
    """
    values = np.asarray(sample, dtype=np.float64)
    if len(values) == 0:
        return float("nan"), float("nan")
    if len(values) == 1:
        return float(values[0]), float("nan")
    return float(values.mean()), float(Z95 * values.std(ddof=1) / np.sqrt(len(values)))
