"""Waveforms of one kind: five bumps whose place, width and height vary from curve to curve."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

import fomaml_fast as ff

FloatArray = npt.NDArray[np.float32]

#: Mean centre, width and height of the bumps: an electrocardiogram's P, Q, R, S and T waves, in the
#: manner of McSharry et al. 2003, over one beat from -1 to 1.
CENTRES = np.array([-0.55, -0.12, 0.0, 0.1, 0.5])
WIDTHS = np.array([0.1, 0.03, 0.04, 0.03, 0.14])
HEIGHTS = np.array([0.2, -0.15, 1.0, -0.25, 0.35])
#: How they vary: centres by a normal of this spread, widths and heights by a log-normal.
SHIFT, STRETCH, SCALE = 0.04, 0.2, 0.3

#: Samples of a curve, evenly spaced.
SAMPLES = 65


def draw(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
    """Draw curves.

    Parameters
    ----------
    rng : numpy.random.Generator
    n : int
        How many.

    Returns
    -------
    x, y : ndarray, shape [n, SAMPLES, 1]
        Times from -1 to 1, and heights.

    Examples
    --------
    >>> x, y = draw(np.random.default_rng(0), 2)
    >>> x.shape, y.shape, bool(abs(y).max() < 4)
    ((2, 65, 1), (2, 65, 1), True)
    """
    centres = CENTRES + rng.normal(0, SHIFT, (n, 5))
    widths = WIDTHS * np.exp(rng.normal(0, STRETCH, (n, 5)))
    heights = HEIGHTS * np.exp(rng.normal(0, SCALE, (n, 5)))
    x = np.tile(np.linspace(-1, 1, SAMPLES), (n, 1))
    distance = (x[..., None] - centres[:, None]) / widths[:, None]
    y = (heights[:, None] * np.exp(-(distance**2) / 2)).sum(-1)
    return x[..., None].astype(np.float32), y[..., None].astype(np.float32)


def batch(rng: np.random.Generator, n: int, points: int) -> ff.TaskBatch:
    """Draw tasks: some points of a curve, in order, to adapt to; all of it to be drawn.

    Examples
    --------
    >>> tasks = batch(np.random.default_rng(0), 3, 16)
    >>> tasks.x_support.shape, tasks.x_query.shape
    ((3, 16, 1), (3, 65, 1))
    """
    x, y = draw(rng, n)
    chosen = np.sort([rng.permutation(SAMPLES)[:points] for _ in range(n)], axis=1)[..., None]
    x_support, y_support = (np.take_along_axis(array, chosen, axis=1) for array in (x, y))
    return ff.TaskBatch(x_support, y_support, x, y)
