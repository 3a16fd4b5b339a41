"""How initial weights are drawn: standard schemes, named as in the literature."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Place(NamedTuple):
    """Where in a network weights stand."""

    layer: int  #: from the inputs
    frequency: float | None  #: of the sine behind them, or before the outputs; None: another


Shape = tuple[int, int]
Weights = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, Shape, Place], Weights]

#: Standard deviation of the MAML paper's public code, weights beyond two of it drawn again.
MAML_STD = 0.01


def _he_normal(rng: np.random.Generator, shape: Shape, _: Place) -> Weights:
    """He et al. 2015: variance 2 / fan_in, for rectifiers."""
    return rng.normal(0.0, math.sqrt(2.0 / shape[0]), shape)


def _lecun_normal(rng: np.random.Generator, shape: Shape, _: Place) -> Weights:
    """LeCun et al. 1998: variance 1 / fan_in."""
    return rng.normal(0.0, math.sqrt(1.0 / shape[0]), shape)


def _glorot_uniform(rng: np.random.Generator, shape: Shape, _: Place) -> Weights:
    """Glorot & Bengio 2010: variance 2 / (fan_in + fan_out)."""
    bound = math.sqrt(6.0 / (shape[0] + shape[1]))
    return rng.uniform(-bound, bound, shape)


def _maml(rng: np.random.Generator, shape: Shape, _: Place) -> Weights:
    """Finn et al. 2017, public code: normal truncated at two standard deviations."""
    draws = rng.standard_normal(shape)
    while (outside := np.abs(draws) > 2).any():
        draws[outside] = rng.standard_normal(int(outside.sum()))
    return draws * MAML_STD


def _siren(rng: np.random.Generator, shape: Shape, place: Place) -> Weights:
    """Sitzmann et al. 2020, section 3.2: phases of hidden layers have variance 1."""
    if place.frequency is None:
        raise ValueError(
            "scheme='siren' needs activation 'sin' in every hidden layer, and behind layer "
            f"{place.layer} stands another"
        )
    first = place.layer == 0
    bound = 1 / shape[0] if first else math.sqrt(6.0 / shape[0]) / place.frequency
    return rng.uniform(-bound, bound, shape)


SCHEMES: dict[str, Draw] = {
    "he_normal": _he_normal,
    "lecun_normal": _lecun_normal,
    "glorot_uniform": _glorot_uniform,
    "maml": _maml,
    "siren": _siren,
}


def draw_weights(
    rng: np.random.Generator, shape: Shape, scheme: str, place: Place
) -> npt.NDArray[Any]:
    """Weights ``[fan_in, fan_out]``."""
    return SCHEMES[scheme](rng, shape, place)
