"""Derivatives by an imaginary step (Squire and Trapp, SIAM Review 1998): forward, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from oracle.activations import Array

# Small enough that its square never meets a number of interest, large enough to be squared.
STEP = 1e-100


def along(function: Callable[[Array], Any], at: Array, v: Array) -> Any:
    """The derivative of `function` at a point along v."""
    return np.imag(function(at + 1j * STEP * v)) / STEP


def columns(function: Callable[[Array], Any], at: Array) -> Array:
    """All partial derivatives: last axis is that of the flattened argument."""
    directions = np.eye(at.size).reshape(at.size, *at.shape)
    return np.stack([np.asarray(along(function, at, e)) for e in directions], axis=-1)
