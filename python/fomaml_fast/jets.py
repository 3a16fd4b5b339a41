"""Jets: outputs of a network with their derivatives along directions of its inputs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fomaml_fast._arrays import FloatArray
from fomaml_fast._convert import as_array
from fomaml_fast._shown import shown


class Jet(NamedTuple):
    """Outputs and their derivatives along D directions of the inputs, or vectors on them.

    A part of a vector, such as a gradient, may be None: all its numbers are 0.
    """

    value: Any = None  #: ``[..., n, n_L]``
    first: Any = None  #: ``[..., n, D, n_L]``: along each direction
    second: Any = None  #: ``[..., n, D, n_L]``: twice along each direction

    def __repr__(self) -> str:
        """Shapes of the parts."""
        parts = (
            f"{name}={list(part.shape) if isinstance(part, np.ndarray) else shown(part)}"
            for name, part in zip(self._fields, self, strict=True)
        )
        return f"Jet({', '.join(parts)})"


class JetForm(NamedTuple):
    """How the core holds jets: a row's value, first and second derivatives behind each other."""

    outputs: int
    directions: int
    order: int

    @classmethod
    def of(cls, columns: int, outputs: int, order: int) -> JetForm:
        """The form of rows of so many numbers."""
        return cls(outputs, (columns // outputs - 1) // order, order)

    @property
    def streams(self) -> int:
        """Outputs and derivatives, of each of the network's outputs."""
        return 1 + self.order * self.directions

    def unpack(self, rows: FloatArray) -> Jet:
        """Views of rows ``[..., n, streams * n_L]``."""
        streams = rows.reshape(*rows.shape[:-1], self.streams, self.outputs)
        second = 1 + self.directions
        return Jet(
            streams[..., 0, :],
            streams[..., 1:second, :],
            streams[..., second:, :] if self.order == 2 else None,
        )

    def pack(self, jet: Any, name: str, of: str, dtype: Any, lead: Any = None) -> FloatArray:
        """Rows of a jet of these shapes; `lead` are the axes before the outputs', where known.

        `name` and `of` tell errors whose part it is.
        """
        if not isinstance(jet, Jet):
            raise TypeError(f"{name}{of} must be a Jet, got {shown(jet)}")
        parts = {
            field: as_array(part, f"{name}.{field}")
            for field, part in zip(jet._fields, jet, strict=True)
            if part is not None
        }
        if not parts:
            raise ValueError(f"{name}{of} must have a part that is not None")
        if "second" in parts and self.order == 1:
            raise ValueError(f"{name}.second{of} must be None for order=1")
        beside = ""
        if lead is None:
            field, array = next(iter(parts.items()))
            lead = array.shape[: -1 if field == "value" else -2]
            beside = f" beside {name}.{field} {list(array.shape)}"
            beside += f" and {self.directions} directions"
        for field, array in parts.items():
            axes = () if field == "value" else (self.directions,)
            wanted = (*lead, *axes, self.outputs)
            if array.dtype.kind not in "fiu":
                raise TypeError(f"{name}.{field}{of} must hold real numbers, got {array.dtype}")
            if array.shape != wanted:
                raise ValueError(
                    f"{name}.{field}{of} must have shape {list(wanted)}{beside}, got "
                    f"{list(array.shape)}"
                )
        packed = np.zeros((*lead, self.streams * self.outputs), dtype)
        for field, into in zip(jet._fields, self.unpack(packed), strict=True):
            if field in parts:
                into[...] = parts[field]
        return packed
