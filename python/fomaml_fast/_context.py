"""Context parameters as inputs: the same numbers behind every row of a task."""

from __future__ import annotations

from typing import Any

import numpy as np

from fomaml_fast._arrays import FloatArray, as_floats, check_finite_array
from fomaml_fast._row_numbers import is_ragged


def with_context(
    x: Any, context: Any, inputs: int, dtype: np.dtype[Any], check_finite: bool
) -> Any:
    """`x` with the context, ``[k]`` or ``[T, k]``, behind its rows."""
    phi = as_floats(context, "context", dtype=dtype)
    if phi.ndim not in (1, 2) or not 0 < phi.shape[-1] < inputs or phi.size == 0:
        raise ValueError(
            f"context must have shape [k] or [tasks, k] with k from 1 to {inputs - 1}, "
            f"got {list(phi.shape)}"
        )
    if check_finite:
        check_finite_array(phi, "context")
    columns = inputs - phi.shape[-1]
    if not is_ragged(x):
        return _behind(as_floats(x, "x", dtype=dtype), phi, "x", columns)
    if phi.ndim == 2 and len(phi) not in (1, len(x)):
        raise ValueError(f"context must hold 1 or {len(x)} tasks as x does, got {len(phi)}")
    each = np.broadcast_to(phi, (len(x), phi.shape[-1]))
    arrays = [as_floats(item, f"x[{t}]", dtype=dtype) for t, item in enumerate(x)]
    for t, array in enumerate(arrays):
        if array.ndim != 2:
            raise ValueError(f"x[{t}] must have shape [rows, {columns}], got {list(array.shape)}")
    return [_behind(array, each[t], f"x[{t}]", columns) for t, array in enumerate(arrays)]


def _behind(x: FloatArray, phi: FloatArray, name: str, columns: int) -> FloatArray:
    if x.ndim not in (2, 3) or x.shape[-1] != columns:
        raise ValueError(
            f"{name} must have {columns} columns, the network's inputs without the context, "
            f"got shape {list(x.shape)}"
        )
    if phi.ndim == 2:
        tasks = len(x) if x.ndim == 3 else 1
        if 1 not in (tasks, len(phi)) and tasks != len(phi):
            raise ValueError(f"context must hold 1 or {tasks} tasks as x does, got {len(phi)}")
        lead: tuple[int, ...] = (max(tasks, len(phi)), x.shape[-2])
        phi = phi[:, None]
    else:
        lead = x.shape[:-1]
    parts = np.broadcast_to(x, (*lead, columns)), np.broadcast_to(phi, (*lead, phi.shape[-1]))
    return np.concatenate(parts, axis=-1)
