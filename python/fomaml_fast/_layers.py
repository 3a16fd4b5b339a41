"""A network layer by layer: options per hidden layer, and parts of the flat parameter vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal, TypeVar

import numpy as np

from fomaml_fast import activations
from fomaml_fast._arrays import FloatArray, as_count, is_sequence, one_of
from fomaml_fast._convert import convert
from fomaml_fast._loader import core
from fomaml_fast._shown import shown

Choice = TypeVar("Choice")
NormName = Literal["layer", "batch"]
OneActivation = activations.ActivationName | activations.Activation

#: What a layer holds, in theta's order; the last two only where it is normalised.
PARTS = ("W", "b", "gamma", "beta")
#: Parameters beyond this could not be indexed by a stacked batch.
MOST_PARAMS = 2**40


def as_sizes(sizes: Any) -> tuple[int, ...]:
    """Units of all layers, inputs and outputs included."""
    if not is_sequence(sizes):
        raise TypeError(f"sizes must be a sequence of integers, got {shown(sizes)}")
    units = tuple(as_count(n, f"sizes[{i}]", least=1) for i, n in enumerate(sizes))
    if not 2 <= len(units) <= core.max_layers + 1:
        raise ValueError(
            f"sizes must name inputs and outputs, and at most {core.max_layers} layers, "
            f"got {list(units)}"
        )
    if sum(a * b + b for a, b in pairwise(units)) > MOST_PARAMS:
        raise ValueError(f"sizes give more than {MOST_PARAMS} parameters: {list(units)}")
    return units


def per_hidden_layer(
    value: Any, sizes: Sequence[int], name: str, choose: Callable[[Any, str], Choice]
) -> tuple[Choice, ...]:
    """One choice for each hidden layer: from one for all of them, or a sequence.

    ``choose(item, name)`` checks an item and returns what is chosen.
    """
    hidden = len(sizes) - 2
    if not is_sequence(value):
        return (choose(value, name),) * hidden
    if len(value) != hidden:
        raise ValueError(
            f"{name} must be one name or {hidden}, one per hidden layer, got {len(value)}"
        )
    return tuple(choose(item, f"{name}[{i}]") for i, item in enumerate(value))


def as_activations(value: Any, sizes: Sequence[int]) -> tuple[OneActivation, ...]:
    """The activation of each hidden layer: a name where all options are at their defaults."""

    def choose(item: Any, name: str) -> Any:
        chosen: Any = activations.get(item, name)
        return chosen.name if chosen == activations.get(chosen.name) else chosen

    return per_hidden_layer(value, sizes, "activation", choose)


def as_norms(value: Any, sizes: Sequence[int]) -> tuple[NormName | None, ...]:
    """The normalisation of each hidden layer, or None."""

    def choose(item: Any, name: str) -> Any:
        if item is not None and not isinstance(item, str):
            raise TypeError(f"{name} must be a name or a sequence of names, got {shown(item)}")
        return one_of(item, name, (None, *core.norm_names[1:]))

    return per_hidden_layer(value, sizes, "norm", choose)


def as_vectors(theta: Any, n_params: int) -> FloatArray:
    """Flat parameters ``[P]`` or ``[T, P]``, which need not be finite."""
    flat = convert(theta, "theta", "numbers", None, 0, False)
    if not isinstance(flat, np.ndarray) or flat.ndim not in (1, 2) or flat.shape[-1] != n_params:
        raise ValueError(
            f"theta must have shape [{n_params}] or [tasks, {n_params}], got {list(np.shape(flat))}"
        )
    return flat


def part_shapes(
    sizes: Sequence[int], norms: Sequence[str | None]
) -> list[tuple[tuple[int, ...], ...]]:
    """Shapes of the parts of each layer, in theta's order."""
    shapes: list[tuple[tuple[int, ...], ...]] = []
    for (n_in, n_out), norm in zip(pairwise(sizes), (*norms, None), strict=True):
        vectors = 1 if norm is None else 3
        shapes.append(((n_in, n_out), *((n_out,),) * vectors))
    return shapes


def split(
    flat: FloatArray, starts: Sequence[Sequence[int]], shapes: list[tuple[tuple[int, ...], ...]]
) -> list[tuple[FloatArray, ...]]:
    """Views of the parts of each layer; `starts` are their offsets."""
    layers = []
    for offsets, parts in zip(starts, shapes, strict=True):
        views = [
            flat[..., first : first + int(np.prod(shape))].reshape(*flat.shape[:-1], *shape)
            for first, shape in zip(offsets, parts, strict=False)
        ]
        layers.append(tuple(views))
    return layers


def _as_part(part: Any, name: str, dtype: np.dtype[Any] | None) -> FloatArray:
    array = convert(part, name, "numbers", None if dtype is None else str(dtype), 0, False)
    assert isinstance(array, np.ndarray)
    if dtype is not None and array.dtype != dtype:
        raise TypeError(f"{name} is {array.dtype} but layers[0][0] is {dtype}; convert one of them")
    return array


def join(
    layers: Sequence[Sequence[Any]],
    shapes: list[tuple[tuple[int, ...], ...]],
    out: FloatArray | None,
) -> FloatArray:
    """One flat vector of the parts of each layer, which are checked against `shapes`."""
    if not is_sequence(layers):
        raise TypeError(f"layers must be a sequence of (W, b, ...), got {shown(layers)}")
    if len(layers) != len(shapes):
        raise ValueError(f"layers must hold {len(shapes)} tuples (W, b, ...), got {len(layers)}")
    flat: list[FloatArray] = []
    lead: tuple[int, ...] | None = None
    for i, (layer, wanted) in enumerate(zip(layers, shapes, strict=True)):
        if not is_sequence(layer):
            raise TypeError(f"layers[{i}] must be a tuple (W, b, ...), got {shown(layer)}")
        if len(layer) != len(wanted):
            names = ", ".join(PARTS[: len(wanted)])
            raise ValueError(f"layers[{i}] must hold ({names}), got {len(layer)} arrays")
        for j, (part, shape) in enumerate(zip(layer, wanted, strict=True)):
            dtype = flat[0].dtype if flat else None
            array = _as_part(part, f"layers[{i}][{j}]", dtype)
            lead = array.shape[: -len(shape)] if lead is None else lead
            if array.shape != (*lead, *shape):
                raise ValueError(
                    f"layers[{i}][{j}] must have shape {[*lead, *shape]}, got {list(array.shape)}"
                )
            flat.append(array.reshape(*lead, -1))
    if out is None:
        return np.concatenate(flat, axis=-1)
    length = sum(part.shape[-1] for part in flat)
    wanted_shape = (*flat[0].shape[:-1], length)
    if not isinstance(out, np.ndarray) or out.dtype != flat[0].dtype or out.shape != wanted_shape:
        raise TypeError(
            f"out must be an array of {flat[0].dtype} and shape {list(wanted_shape)}, got "
            + (f"{out.dtype} {list(out.shape)}" if isinstance(out, np.ndarray) else shown(out))
        )
    if not out.flags.writeable:
        raise ValueError("out must be writeable")
    return np.concatenate(flat, axis=-1, out=out)
