"""Learning rates of the inner loop: one, per layer, per step and layer, per parameter."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oracle.activations import Array
from oracle.network import Net, unflatten

KINDS = ("scalar", "layer", "step_layer", "parameter")


def layer_of(net: Net) -> NDArray[np.int64]:
    """The layer that each entry of the flat vector belongs to ``[P]``."""
    layers = unflatten(net, np.zeros(net.n_params))
    return np.repeat(np.arange(len(layers)), [sum(part.size for part in la) for la in layers])


def at_step(kind: str, rates: Array, k: int, layers: NDArray[np.int64]) -> Array:
    """The rate of every parameter at step k = 0, 1, ...; steps beyond the last row repeat it."""
    if kind == "layer":
        return rates[layers]
    if kind == "step_layer":
        return rates[min(k, len(rates) - 1)][layers]
    return rates  # one number, or one for each parameter


def spread(rates: ArrayLike, kind: str, net: Net, steps: int) -> NDArray[np.float64]:
    """One number, or one per layer, in the shape of a finer kind of rates."""
    layers = layer_of(net)
    if np.ndim(rates) == 1 and kind == "parameter":
        return np.asarray(rates, np.float64)[layers]
    n_layers = len(net.sizes) - 1
    shape: tuple[int, ...] = {
        "scalar": (),
        "layer": (n_layers,),
        "step_layer": (steps, n_layers),
        "parameter": (net.n_params,),
    }[kind]
    return np.broadcast_to(np.asarray(rates, np.float64), shape).copy()
