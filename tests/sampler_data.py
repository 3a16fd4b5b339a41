"""Data from which the samplers' tests draw, and the threshold of their statistical checks.

The checks use fixed seeds: a correct sampler passes with a margin of many standard errors, and one
that is biased where it matters does not.
"""

import numpy as np

DTYPES = (np.float32, np.float64)
TINY_P = 1e-4


def labelled(n_classes=6, per_class=12, n_features=3, seed=0):
    """Rows whose first feature is their own number, classes shuffled among the rows."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(n_classes), per_class))
    x = rng.standard_normal((len(y), n_features))
    x[:, 0] = np.arange(len(y))
    return x, y


def grouped(sizes=(4, 7, 5), seed=0):
    """Rows of groups of several sizes, mixed up; x is the row number, time is decreasing in it."""
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.repeat([f"g{i}" for i in range(len(sizes))], sizes))
    x = np.arange(len(group), dtype=np.float64)
    return x, 10 * x, group, -x
