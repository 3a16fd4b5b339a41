"""Some layers of a network, by name or by index."""

from __future__ import annotations

from typing import Any

from fomaml_fast._arrays import is_integer, is_sequence, one_of
from fomaml_fast._loader import core
from fomaml_fast._shown import shown

#: Names of choices; or layers by their indices, negative ones from the end.
NAMES = ("all", "head", "body")

LayerChoice = str | tuple[int, ...]


def as_layers(value: Any, argument: str) -> LayerChoice:
    """A name, or the indices as a tuple; whether a network has them shows at the call."""
    if isinstance(value, str):
        return str(one_of(value, argument, NAMES))
    if not is_sequence(value) or len(value) == 0:
        raise TypeError(
            f"{argument} must be one of {NAMES} or indices of layers, got {shown(value)}"
        )
    most = core.max_layers
    for i, layer in enumerate(value):
        if not is_integer(layer):
            raise TypeError(f"{argument}[{i}] must be an integer, got {shown(layer)}")
        if not -most <= layer < most:
            raise ValueError(
                f"{argument}[{i}] must be the index of a layer, of which a network has at most "
                f"{most}, got {shown(int(layer))}"
            )
    return tuple(int(layer) for layer in value)


def to_core(layers: LayerChoice) -> tuple[str, list[int]]:
    """The same as the core takes it: a name, and the indices where they are listed."""
    return (layers, []) if isinstance(layers, str) else ("listed", list(layers))
