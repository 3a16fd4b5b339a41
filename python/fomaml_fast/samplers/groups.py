"""One task per group: a country, a subject, a sensor.

Every group of rows is a task; the support is a few of its rows, chosen at random or the first in
time, and the query is what remains.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import INT32_MAX, as_array, as_count, float_dtype
from fomaml_fast.batch import TaskBatch
from fomaml_fast.samplers.arrays import Array, column, common_dtype, features, members, shown
from fomaml_fast.samplers.random import IntArray, Seed, as_generator, deal, shuffled


class GroupRows(NamedTuple):
    """Which rows of the data make up T tasks.

    ``groups [T]`` names the groups; ``support [T, K]`` holds row numbers, and ``query`` an array
    of them per task (as long as the group has rows to offer).
    """

    groups: Array
    support: IntArray
    query: list[IntArray]


class Groups:
    """Tasks by group.

    Parameters
    ----------
    x : array_like, shape [rows, ...]
        Inputs of any real dtype; axes after the first are flattened.
    y : array_like, shape [rows] or [rows, outputs]
        Targets. A vector of integers or booleans is kept as class labels; anything else becomes
        float targets ``[rows, outputs]``.
    groups : array_like, shape [rows]
        Group of each row, of any dtype that sorts.
    k_support : int
        Support rows per task.
    n_query : int, optional
        Query rows per task; by default all the other rows of the group, which makes the batch
        ragged where groups differ in size.
    order : array_like, shape [rows], optional
        Time of each row; by default rows are in time order as they stand.
    support : {"random", "first"}, default "random"
        Support rows at random, with the query drawn from the others; or the first in time, with
        the rows that follow as the query: a forecast.
    among : array_like, optional
        Use only these groups (see `split_groups`); all by default.

    Raises
    ------
    TypeError, ValueError
        For arrays of the wrong shape, or a group with too few rows: named, never dropped silently.

    Examples
    --------
    >>> import numpy as np
    >>> from fomaml_fast.samplers import Groups
    >>> year = np.tile([1952.0, 1957.0, 1962.0, 1967.0], 2)
    >>> country = np.repeat(["Chad", "Peru"], 4)
    >>> forecast = Groups(year, year + 1, country, k_support=3, support="first")
    >>> batch = forecast.all(0)
    >>> batch.x_support[1].ravel().tolist(), batch.y_query[1].ravel().tolist()
    ([1952.0, 1957.0, 1962.0], [1968.0])
    """

    def __init__(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        groups: npt.ArrayLike,
        k_support: int,
        n_query: int | None = None,
        *,
        order: npt.ArrayLike | None = None,
        support: Literal["random", "first"] = "random",
        among: npt.ArrayLike | None = None,
    ) -> None:
        self.k_support = as_count(k_support, "k_support", least=1)
        self.n_query = None if n_query is None else as_count(n_query, "n_query", least=1)
        if support not in ("random", "first"):
            raise ValueError(f"support must be 'random' or 'first', got {support!r}")
        self.support = support
        self._x = features("x", x)
        self._y, self._labelled = _targets(y, len(self._x))
        known, group_of = np.unique(column("groups", groups, len(self._x)), return_inverse=True)
        wanted = members("among", among, known, "group")
        time = np.arange(len(self._x)) if order is None else column("order", order, len(self._x))

        kept = np.flatnonzero(np.isin(group_of, wanted))
        # Rows by group, and by time within a group (stable: ties stay as they stand).
        self._order = kept[np.lexsort((time[kept], group_of[kept]))]
        _, self._start, self._size = np.unique(
            group_of[self._order], return_index=True, return_counts=True
        )
        self.groups = known[wanted]
        needed = self.k_support + (self.n_query or 1)
        small = np.flatnonzero(self._size < needed)
        if len(small):
            raise ValueError(
                f"groups must hold at least {needed} rows of each ({self.k_support} of support, "
                f"{self.n_query or 1} of query), but {shown(self.groups[small[0]])} has "
                f"{self._size[small[0]]}"
            )

    def draw(self, rng: Seed, n_tasks: int) -> GroupRows:
        """Draw the row numbers of ``n_tasks`` tasks.

        Groups are dealt like cards: each comes once before any comes again, so meta-batches cut
        from one large draw seldom hold a group twice.

        Parameters
        ----------
        rng : numpy.random.Generator or int
            A generator, which advances, or a seed: the same seed gives the same rows.
        n_tasks : int
            At least 1; may exceed the number of groups.

        Returns
        -------
        GroupRows
            groups ``[n_tasks]``, support ``[n_tasks, k_support]`` and, per task, an array of the
            query's rows: ``n_query`` of them, or all the others of the group.

        Raises
        ------
        TypeError
            For an rng that is neither a generator nor an integer, or a number of tasks that
            is no integer.
        ValueError
            For a negative seed or fewer than one task.

        Examples
        --------
        >>> from fomaml_fast.samplers import Groups
        >>> x, country = [[0.0]] * 7, ["Chad"] * 3 + ["Peru"] * 4
        >>> rows = Groups(x, x, country, k_support=2).draw(0, 2)
        >>> sorted(zip(rows.groups.tolist(), map(len, rows.query)))
        [('Chad', 1), ('Peru', 2)]
        """
        generator = as_generator(rng)
        return self._rows(
            generator, deal(generator, len(self.groups), as_count(n_tasks, "n_tasks", least=1))
        )

    def sample(self, rng: Seed, n_tasks: int, dtype: npt.DTypeLike | None = None) -> TaskBatch:
        """Draw ``n_tasks`` tasks.

        Parameters
        ----------
        rng : numpy.random.Generator or int
            A generator, or a seed: the same seed gives the same tasks.
        n_tasks : int
        dtype : float32 or float64, optional
            By default float64 where x or y is, float32 otherwise.

        Returns
        -------
        TaskBatch
            Stacked where all tasks have as many rows, ragged otherwise.
        """
        return self._batch(self.draw(rng, n_tasks), dtype)

    def all(self, rng: Seed, dtype: npt.DTypeLike | None = None) -> TaskBatch:
        """Make one task of every group, in the order of the attribute ``groups``.

        Parameters
        ----------
        rng : numpy.random.Generator or int
            Draws the rows of each group; nothing is random with ``support="first"``.
        dtype : float32 or float64, optional
            By default float64 where x or y is, float32 otherwise.

        Returns
        -------
        TaskBatch
            As many tasks as groups: stacked where all have as many rows, ragged otherwise.

        Raises
        ------
        TypeError
            For an rng that is neither a generator nor an integer, or another dtype.
        ValueError
            For a negative seed, or data that are not finite.

        Examples
        --------
        >>> from fomaml_fast.samplers import Groups
        >>> x, country = [[0.0]] * 6, ["Chad"] * 3 + ["Peru"] * 3
        >>> batch = Groups(x, x, country, k_support=1).all(0)
        >>> batch.x_support.shape, batch.x_query.shape
        ((2, 1, 1), (2, 2, 1))
        """
        return self._batch(self._rows(as_generator(rng), np.arange(len(self.groups))), dtype)

    def _rows(self, rng: np.random.Generator, group: IntArray) -> GroupRows:
        size, start = self._size[group], self._start[group]
        if self.support == "random":
            position = shuffled(rng, size)
        else:
            position = np.broadcast_to(np.arange(size.max()), (len(group), size.max()))
        ends = size if self.n_query is None else np.full(len(group), self.k_support + self.n_query)
        width = int(ends.max())
        # Columns beyond a group's own rows are clipped here and never handed out below.
        rows = self._order[np.minimum(start[:, None] + position[:, :width], len(self._order) - 1)]
        k = self.k_support
        query = [row[k:end] for row, end in zip(rows, ends, strict=True)]
        return GroupRows(self.groups[group], rows[:, :k], query)

    def _batch(self, rows: GroupRows, dtype: npt.DTypeLike | None) -> TaskBatch:
        data = (self._x,) if self._labelled else (self._x, self._y)
        kind = common_dtype(*data) if dtype is None else float_dtype(dtype)
        x = self._x.astype(kind, copy=False)
        y = self._y if self._labelled else self._y.astype(kind, copy=False)
        if len({len(q) for q in rows.query}) == 1:
            query = np.stack(rows.query)
            return TaskBatch(*(a.take(r, axis=0) for r in (rows.support, query) for a in (x, y)))
        return TaskBatch(
            [x[s] for s in rows.support],
            [y[s] for s in rows.support],
            [x[q] for q in rows.query],
            [y[q] for q in rows.query],
        )


def _targets(y: npt.ArrayLike, n_rows: int) -> tuple[Array, bool]:
    """Return float targets ``[rows, outputs]``, or int32 labels ``[rows]`` and True."""
    array = as_array(y, "y")
    if array.ndim == 1 and array.dtype.kind in "iub":
        labels = column("y", array, n_rows)
        if labels.min() < 0 or labels.max() > INT32_MAX:
            raise ValueError(
                f"y must hold labels from 0 on, got {labels.min()} … {labels.max()}; targets of "
                "a regression must be floats"
            )
        return labels.astype(np.int32), True
    targets = features("y", array)
    if len(targets) != n_rows:
        raise ValueError(f"y must have {n_rows} rows as x has, got {len(targets)}")
    return targets, False


def split_groups(groups: npt.ArrayLike, n_folds: int, rng: Seed) -> list[tuple[Array, Array]]:
    """Split groups into folds for cross-validation: no group is on both sides of a fold.

    Parameters
    ----------
    groups : array_like, shape [rows]
        Group of each row.
    n_folds : int
        At least 2, at most the number of groups.
    rng : numpy.random.Generator or int

    Returns
    -------
    list of (train, test)
        The groups of both sides, sorted, per fold; each group is in one test set. Pass them as
        ``Groups(..., among=)``.

    Examples
    --------
    >>> from fomaml_fast.samplers import split_groups
    >>> folds = split_groups(["Chad", "Peru", "Chad", "Togo"], 3, rng=0)
    >>> [len(train) for train, test in folds], sorted(g for _, test in folds for g in test.tolist())
    ([2, 2, 2], ['Chad', 'Peru', 'Togo'])
    """
    known = np.unique(as_array(groups, "groups"))
    n_folds = as_count(n_folds, "n_folds", least=2)
    if n_folds > len(known):
        raise ValueError(f"n_folds must be at most {len(known)}, the groups, got {n_folds}")
    parts = np.array_split(as_generator(rng).permutation(known), n_folds)
    return [(np.setdiff1d(known, test), np.sort(test)) for test in parts]
