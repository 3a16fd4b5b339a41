"""The rows that `adapt` is given, as the core's."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fomaml_fast._convert import convert
from fomaml_fast._loader import core


def support_rows(
    x: Any, y: Any, extras: tuple[Any, ...], of_dtype: Any, check_finite: bool
) -> tuple[Any, bool]:
    """The core's rows of all tasks, and whether one set was given, without an axis of tasks."""
    weights, mask, class_mask = extras
    x = convert(x, "x", "inputs", str(of_dtype), 2, False)
    one_set = not isinstance(x, list) and x.ndim == 2
    if one_set:
        roles = {"x": "inputs", "y": "targets", "weights": "numbers", "mask": "flags"}
        x, y, weights, mask = (
            None if given is None else _with_task_axis(given, name, role, of_dtype)
            for given, (name, role) in zip((x, y, weights, mask), roles.items(), strict=True)
        )
    rows = core.Examples(
        *("", x, y, weights, mask, class_mask, str(of_dtype), "theta", False, check_finite)
    )
    return rows, one_set


def _with_task_axis(value: Any, name: str, role: str, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    array = convert(value, name, role, str(dtype), 0, False)
    assert isinstance(array, np.ndarray)
    return array[None] if array.ndim < 4 else array  # more axes are refused as they are
