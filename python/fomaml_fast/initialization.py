"""How initial weights are drawn: standard schemes, named as in the literature."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Draw = Callable[[np.random.Generator, tuple[int, int]], npt.NDArray[np.float64]]

#: Standard deviation of the MAML paper's public code, weights beyond two of it drawn again.
MAML_STD = 0.01


def _he_normal(rng: np.random.Generator, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """He et al. 2015: variance 2 / fan_in, for rectifiers."""
    return rng.normal(0.0, math.sqrt(2.0 / shape[0]), shape)


def _lecun_normal(rng: np.random.Generator, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """LeCun et al. 1998: variance 1 / fan_in."""
    return rng.normal(0.0, math.sqrt(1.0 / shape[0]), shape)


def _glorot_uniform(rng: np.random.Generator, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Glorot & Bengio 2010: variance 2 / (fan_in + fan_out)."""
    bound = math.sqrt(6.0 / (shape[0] + shape[1]))
    return rng.uniform(-bound, bound, shape)


def _maml(rng: np.random.Generator, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Finn et al. 2017, public code: normal truncated at two standard deviations."""
    draws = rng.standard_normal(shape)
    while (outside := np.abs(draws) > 2).any():
        draws[outside] = rng.standard_normal(int(outside.sum()))
    return draws * MAML_STD


SCHEMES: dict[str, Draw] = {
    "he_normal": _he_normal,
    "lecun_normal": _lecun_normal,
    "glorot_uniform": _glorot_uniform,
    "maml": _maml,
}


def draw_weights(rng: np.random.Generator, shape: tuple[int, int], scheme: str) -> npt.NDArray[Any]:
    """Weights ``[fan_in, fan_out]``."""
    return SCHEMES[scheme](rng, shape)
