"""Layer and batch normalisation of one affine result ``z`` ``[n, units]``, group by group.

A group is normalised together: the units of a row ("layer"), or the rows of a unit ("batch").  The
variance is the biased one.
"""

from __future__ import annotations

import numpy as np

from oracle.activations import Array

EPSILON = 1e-5


def normalize(kind: str, z: Array) -> Array:
    """``(z - mean) / sqrt(variance + eps)``."""
    axis = {"layer": 1, "batch": 0}[kind]
    centred = z - np.mean(z, axis=axis, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, axis=axis, keepdims=True) + EPSILON)


def jacobian(z: Array) -> Array:
    """The matrix of the normalisation of one group ``z`` ``[n]``."""
    n = len(z)
    centring = np.eye(n) - np.ones((n, n)) / n
    centred = centring @ z
    variance = np.mean(centred**2) + EPSILON
    # d(c v^-1/2) = (I v^-1/2 - c (dv/dc)' v^-3/2 / 2) dc with dv/dc = 2 c / n.
    return (np.eye(n) / variance**0.5 - np.outer(centred, centred) / (n * variance**1.5)) @ centring


def pull_back(kind: str, z: Array, g: Array) -> Array:
    """The gradient on ``z`` from that on its normalisation."""
    groups = zip(z, g, strict=True) if kind == "layer" else zip(z.T, g.T, strict=True)
    back = np.stack([jacobian(group).T @ of_group for group, of_group in groups])
    return back if kind == "layer" else back.T
