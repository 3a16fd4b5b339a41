"""Clipping of one task's inner gradient by its norm."""

from __future__ import annotations

import numpy as np

from oracle.activations import Array


def clip_by_norm(g: Array, limit: float | None) -> Array:
    """Scale by ``min(1, limit / ||g||)``; the norm is differentiated with the rest."""
    if limit is None:
        return g
    norm = np.sqrt(np.sum(g * g))  # not abs: it must stay analytic
    return g * (limit / norm) if norm.real > limit else g
