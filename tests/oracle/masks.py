"""What adapts: all parameters (MAML), the head (ANIL), the body (BOIL), any layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oracle.network import Net
from oracle.rates import layer_of


def adapted(net: Net, adapt: str | Sequence[int]) -> NDArray[np.bool_]:
    """True for the entries of the flat vector that the inner loop changes ``[P]``."""
    last = len(net.sizes) - 2
    named = {"all": range(last + 1), "head": [last], "body": range(last)}
    layers = named[adapt] if isinstance(adapt, str) else adapt
    return np.isin(layer_of(net), list(layers))
