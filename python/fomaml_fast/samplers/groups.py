"""One task per group: a country, a subject, a sensor.

Every group of rows is a task; the support is a few of its rows, chosen at random or the first in
time, and the query is what remains.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import as_count, one_of
from fomaml_fast._shown import shown
from fomaml_fast.batch import TaskBatch
from fomaml_fast.samplers.labels import as_labels, as_times, members
from fomaml_fast.samplers.random import (
    IntArray,
    Seed,
    as_generator,
    as_steps,
    choose,
    deal,
    in_steps,
)
from fomaml_fast.samplers.reading import Array, counted
from fomaml_fast.samplers.rows import DrawnRows, batch_of, others
from fomaml_fast.samplers.tables import as_table, as_targets


class GroupRows(NamedTuple):
    """Which rows of the data make up T tasks.

    ``groups [T]`` names the groups; ``support [T, K]`` or ``[T, S, K]`` holds row numbers, and
    ``query`` an array of them per task (as long as the group has rows to offer).
    """

    groups: Array
    support: IntArray
    query: list[IntArray]

    def __repr__(self) -> str:
        sizes = [len(rows) for rows in self.query]
        query = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
        steps = f" for each of {self.support.shape[1]} steps" if self.support.ndim > 2 else ""
        return (
            f"GroupRows({len(self.groups)} tasks, {self.support.shape[-1]} support rows{steps}, "
            f"{query} query rows)"
        )


class Groups:
    """Tasks by group.

    Arrays, lists, and frames and columns of pandas, polars or pyarrow will do.

    Parameters
    ----------
    x : array_like, shape [rows, ...]
        Finite inputs of any real dtype; axes after the first are flattened.
    y : array_like, shape [rows] or [rows, outputs]
        Finite targets, but see ``missing``. A vector of integers or booleans is kept as class
        labels; anything else becomes float targets ``[rows, outputs]``.
    groups : array_like, shape [rows]
        Group of each row, of any dtype that sorts; none may be missing.
    k_support : int
        Support rows per task.
    n_query : int, optional
        Query rows per task; by default all the other rows of the group, which makes the batch
        ragged where groups differ in size.
    order : array_like, shape [rows], optional
        Time of each row, none missing; by default rows are in time order as they stand.
    support : {"random", "first"}, default "random"
        Support rows at random, with the query drawn from the others; or the first in time, with
        the rows that follow as the query: a forecast.
    among : array_like, optional
        Use only these groups (see `split_groups`); all by default.
    steps : int, optional
        Draw ``k_support`` rows for each of so many inner steps, no row twice: support
        ``[tasks, steps, k_support, ...]``, in the order of time with ``support="first"``. By
        default all steps see the same rows.
    missing : {"raise", "mask"}, default "raise"
        What to do about float targets that are missing: NaN, or a nullable column's NA. "mask"
        leaves them out of the loss by masks ``[tasks, rows, outputs]``; rows of which no target is
        known are not drawn and do not count.

    Raises
    ------
    TypeError, ValueError
        For arrays of the wrong shape, values that are missing or not finite (told with their row
        and column), or a group with too few rows: named, never dropped silently. Rows of groups
        that are not used need not be finite.

    Examples
    --------
    >>> import numpy as np
    >>> from fomaml_fast.samplers import Groups
    >>> year = np.tile([1952.0, 1957.0, 1962.0, 1967.0], 2)
    >>> country = np.repeat(["Chad", "Peru"], 4)
    >>> forecast = Groups(year, year + 1, country, k_support=3, support="first")
    >>> forecast
    Groups(2 groups, 8 rows, 1 feature, 1 target, k_support=3, n_query=None, support='first')
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
        steps: int | None = None,
        missing: Literal["raise", "mask"] = "raise",
    ) -> None:
        self.k_support = as_count(k_support, "k_support", least=1)
        self.n_query = None if n_query is None else as_count(n_query, "n_query", least=1)
        self.steps = as_steps(steps)
        if not isinstance(support, str) or support not in ("random", "first"):
            raise ValueError(f"support must be 'random' or 'first', got {shown(support)}")
        self.support = support
        self._x = as_table("x", x)
        n_rows = len(self._x.values)
        gaps = one_of(missing, "missing", ("raise", "mask")) == "mask"
        self._y = as_targets("y", y, n_rows, gaps=gaps)
        known, group_of = as_labels("groups", groups, n_rows)
        wanted = members("among", among, known, "group")
        self.groups = known[wanted]

        # Rows by group, and by time within a group (stable: ties stay as they stand).
        if order is None:
            by_group = np.argsort(group_of, kind="stable")
        else:
            by_group = np.lexsort((as_times("order", order, n_rows), group_of))
        is_wanted = np.zeros(len(known), dtype=np.bool_)
        is_wanted[wanted] = True
        drawn = is_wanted[group_of] & self._y.known()
        self._order = by_group[drawn[by_group]]
        self._size = np.bincount(group_of[drawn], minlength=len(known))[wanted]
        self._start = np.cumsum(self._size) - self._size

        n_support = self.k_support * (self.steps or 1)
        needed = n_support + (self.n_query or 1)
        small = np.flatnonzero(self._size < needed)
        if len(small):
            raise ValueError(
                f"groups must hold at least {needed} rows of each ({n_support} of support"
                f"{'' if self.steps is None else f' in {self.steps} steps'}, "
                f"{self.n_query or 1} of query), but {shown(self.groups[small[0]])} has "
                f"{self._size[small[0]]}"
                + (f" ({len(small) - 1} more are too small)" if len(small) > 1 else "")
            )
        for table in (self._x, self._y):
            table.check_rows(np.sort(self._order))

    @classmethod
    def example(cls) -> Groups:
        """Return a small sampler to try things with: 6 groups of 12 rows, 3 features.

        Returns
        -------
        Groups

        Examples
        --------
        >>> from fomaml_fast.samplers import Groups
        >>> Groups.example().sample(0, n_tasks=4).x_query.shape
        (4, 9, 3)
        """
        x = np.random.default_rng(0).standard_normal((72, 3))
        return cls(x, x[:, 1], np.arange(72) % 6, k_support=3)

    def __repr__(self) -> str:
        targets = "labels" if self._y.labelled else counted(self._y.values.shape[1], "target")
        return (
            f"Groups({counted(len(self.groups), 'group')}, {counted(len(self._order), 'row')}, "
            f"{counted(self._x.values.shape[1], 'feature')}, {targets}, "
            f"k_support={self.k_support}, n_query={self.n_query}, support={self.support!r}"
            f"{'' if self.steps is None else f', steps={self.steps}'})"
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
            groups ``[n_tasks]``, support ``[n_tasks, k_support]``, or with steps
            ``[n_tasks, steps, k_support]``, and, per task, an array of the
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
        group, rows = self._draw(rng, n_tasks)
        return GroupRows(self.groups[group], rows.support, rows.query_lists())

    def sample(self, rng: Seed, n_tasks: int, dtype: npt.DTypeLike | None = None) -> TaskBatch:
        """Draw ``n_tasks`` tasks.

        Parameters
        ----------
        rng : numpy.random.Generator or int
            A generator, or a seed: the same seed gives the same tasks.
        n_tasks : int
        dtype : float32 or float64, optional
            By default float64 where x or y is or float32 would round their integers, float32
            otherwise.

        Returns
        -------
        TaskBatch
            Stacked where all tasks have as many rows, ragged otherwise.

        Raises
        ------
        TypeError
            For an rng that is neither a generator nor an integer, a number of tasks that is no
            integer, or another dtype.
        ValueError
            For a negative seed, fewer than one task, or data that do not fit ``dtype``.

        Examples
        --------
        >>> from fomaml_fast.samplers import Groups
        >>> x, country = [[0.0]] * 7, ["Chad"] * 3 + ["Peru"] * 4
        >>> sorted(map(len, Groups(x, x, country, k_support=2).sample(0, n_tasks=2).x_query))
        [1, 2]
        """
        return batch_of(self._x, self._y, self._draw(rng, n_tasks)[1], dtype)

    def all(self, rng: Seed, dtype: npt.DTypeLike | None = None) -> TaskBatch:
        """Make one task of every group, in the order of the attribute ``groups``.

        Parameters
        ----------
        rng : numpy.random.Generator or int
            Draws the rows of each group; nothing is random with ``support="first"``.
        dtype : float32 or float64, optional
            By default float64 where x or y is or float32 would round their integers, float32
            otherwise.

        Returns
        -------
        TaskBatch
            As many tasks as groups: stacked where all have as many rows, ragged otherwise.

        Raises
        ------
        TypeError
            For an rng that is neither a generator nor an integer, or another dtype.
        ValueError
            For a negative seed, or data that do not fit ``dtype``.

        Examples
        --------
        >>> from fomaml_fast.samplers import Groups
        >>> x, country = [[0.0]] * 6, ["Chad"] * 3 + ["Peru"] * 3
        >>> batch = Groups(x, x, country, k_support=1).all(0)
        >>> batch.x_support.shape, batch.x_query.shape
        ((2, 1, 1), (2, 2, 1))
        """
        rows = self._rows(as_generator(rng), np.arange(len(self.groups)))
        return batch_of(self._x, self._y, rows, dtype)

    def _draw(self, rng: Seed, n_tasks: int) -> tuple[IntArray, DrawnRows]:
        generator, n_tasks = as_generator(rng), as_count(n_tasks, "n_tasks", least=1)
        group = deal(generator, len(self.groups), n_tasks)
        return group, self._rows(generator, group)

    def _rows(self, rng: np.random.Generator, group: IntArray) -> DrawnRows:
        size, start, k = self._size[group], self._start[group], self.k_support * (self.steps or 1)
        n_drawn = k + (self.n_query or 0)
        if self.support == "random":
            position = choose(rng, size, n_drawn, len(group))
        else:
            position = np.broadcast_to(np.arange(n_drawn), (len(group), n_drawn))
        rows = self._order.take(start[:, None] + position)
        support = in_steps(rows[:, :k], self.steps)
        if self.n_query is not None:
            return DrawnRows(support, rows[:, k:])
        left, counts = others(start, size, position)
        query = self._order.take(left)
        if (counts == counts[0]).all():
            return DrawnRows(support, query.reshape(len(group), -1))
        return DrawnRows(support, query, [0, *np.cumsum(counts).tolist()])
