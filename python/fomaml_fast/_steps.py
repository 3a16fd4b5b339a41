"""Support rows of their own at every inner step: which axis is that of steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from fomaml_fast._convert import as_array


def rows_of_steps(given: dict[str, Any]) -> tuple[int, list[Any]]:
    """Return the steps S that ``x_support [T, S, K, n_0]`` has rows for, and the arguments.

    S is 0 where x has no axis of steps: the arguments then stay as they came.
    """
    x = next(iter(given.values()))
    if isinstance(x, list) or getattr(x, "ndim", 0) != 4:
        return 0, list(given.values())
    arrays = {
        name: None if value is None else np.ascontiguousarray(as_array(value, name))
        for name, value in given.items()
    }
    lead = arrays["x_support"].shape[:3]
    for name, array in arrays.items():
        if array is None:
            continue
        # Labels, masks and weights have one entry a row, or one for each of its outputs.
        if array.ndim not in (3, 4) or array.shape[:3] != lead:
            wanted = ", ".join(map(str, lead)) + ", ..."
            raise ValueError(
                f"{name} must have shape [{wanted}], as x_support has rows of its own at every "
                f"step, got {list(array.shape)}"
            )
    if 0 in lead:
        raise ValueError(
            "x_support must have at least one task, step and row, got shape "
            f"{list(arrays['x_support'].shape)}"
        )
    return lead[1], list(arrays.values())
