"""Row numbers drawn for tasks, and the batch that they make."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fomaml_fast.batch import TaskBatch
from fomaml_fast.samplers.random import IntArray
from fomaml_fast.samplers.reading import Array, as_dtype
from fomaml_fast.samplers.tables import Table, common_dtype


class DrawnRows(NamedTuple):
    """Rows of T tasks: support ``[T, (S,) K]``; query ``[T, Q]``, or flat with T + 1 offsets."""

    support: IntArray
    query: IntArray
    offsets: list[int] | None = None

    def query_lists(self) -> list[IntArray]:
        """Return the query's rows of each task, as views."""
        return list(self.query) if self.offsets is None else _cut(self.query, self.offsets)


def others(start: IntArray, size: IntArray, taken: IntArray) -> tuple[IntArray, IntArray]:
    """Return what is left of ranges: flat numbers in order, and how many of each range.

    Range t is ``start[t] … start[t] + size[t] − 1``; ``taken [T, K]`` counts from its start.
    """
    ends = np.cumsum(size)
    first = ends - size
    left = np.ones(int(ends[-1]), dtype=np.bool_)
    left[first[:, None] + taken] = False
    numbers = np.flatnonzero(left)
    rest = size - taken.shape[1]
    numbers += np.repeat(start - first, rest)
    return numbers, rest


def gather(
    rows: Sequence[IntArray], tables: Sequence[Table], dtype: npt.DTypeLike | None
) -> list[list[Array]]:
    """Return, for each array of rows, these rows of each table: contiguous, in the tasks' dtype."""
    kind = as_dtype(dtype, common_dtype(*tables))
    if kind == np.float32:
        for table in tables:
            for numbers in rows:
                table.check_rows(numbers, kind)
    return [[table.gather(numbers, kind) for table in tables] for numbers in rows]


def batch_of(x: Table, y: Table, rows: DrawnRows, dtype: npt.DTypeLike | None) -> TaskBatch:
    """Gather rows into a batch: time and memory follow the rows, not the tables."""
    sets = gather((rows.support, rows.query), (x, y), dtype)
    masks: list[Array | None] = [None, None]
    if y.gaps:
        known = [~np.isnan(numbers[1]) for numbers in sets]
        masks = [None if mask.all() else mask for mask in known]
    offsets = rows.offsets
    if offsets is None:
        return TaskBatch(*sets[0], *sets[1], mask_support=masks[0], mask_query=masks[1])
    return TaskBatch(
        *sets[0],
        *(_cut(part, offsets) for part in sets[1]),
        mask_support=masks[0],
        mask_query=None if masks[1] is None else _cut(masks[1], offsets),
    )


def _cut(flat: Array, offsets: list[int]) -> list[Array]:
    return [flat[first:last] for first, last in pairwise(offsets)]
