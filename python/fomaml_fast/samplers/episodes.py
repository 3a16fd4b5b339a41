"""N-way K-shot episodes from any labelled arrays.

A task asks to tell N classes apart after seeing K rows of each; Vinyals et al., "Matching
Networks for One Shot Learning", NeurIPS 2016, section 4.1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import as_count
from fomaml_fast._shown import shown
from fomaml_fast.batch import TaskBatch
from fomaml_fast.samplers.labels import as_labels, members
from fomaml_fast.samplers.random import IntArray, Seed, as_generator, as_steps, choose
from fomaml_fast.samplers.reading import Array, counted
from fomaml_fast.samplers.rows import gather
from fomaml_fast.samplers.tables import as_table


class EpisodeRows(NamedTuple):
    """Which rows of the data make up T episodes.

    ``support [T, N, K]``, or ``[T, S, N, K]`` with S steps, and ``query [T, N, Q]`` hold row
    numbers; ``classes [T, N]`` holds the class that got the label 0 … N−1 in each task.
    """

    support: IntArray
    query: IntArray
    classes: Array

    def __repr__(self) -> str:
        n_tasks, n_way, n_query = self.query.shape
        steps = f" in each of {self.support.shape[1]} steps" if self.support.ndim > 3 else ""
        return (
            f"EpisodeRows({n_tasks} tasks, {n_way} classes, {self.support.shape[-1]} support"
            f"{steps} and {n_query} query rows of each)"
        )


class Episodes:
    """N-way K-shot classification tasks.

    Every task draws N classes, numbers them 0 … N−1 in random order, and draws K support rows and
    ``n_query`` other rows of each. Arrays, lists, and frames and columns of pandas, polars or
    pyarrow will do.

    Parameters
    ----------
    x : array_like, shape [rows, ...]
        Finite inputs of any real dtype; axes after the first are flattened.
    y : array_like, shape [rows]
        Class of each row, of any dtype that sorts: integers, strings, booleans, dates …; none may
        be missing.
    n_way, k_shot, n_query : int
        Classes per task, and support and query rows per class.
    classes : array_like, optional
        Draw only from these classes (see `split_classes`); all by default.
    groups : array_like, shape [rows], optional
        Group of each row (writer, subject, sensor …). When given, all rows of a task come from
        one group, drawn uniformly.
    among : array_like, optional
        Draw only from these groups (see `split_groups`); all by default.
    steps : int, optional
        Draw ``k_shot`` support rows of each class for each of so many inner steps, no row twice;
        by default all steps see the same rows.

    Raises
    ------
    TypeError, ValueError
        For arrays of the wrong shape, values that are missing or not finite (told with their row
        and column), fewer classes than ``n_way``, or a class (within a group) with fewer than
        ``k_shot + n_query`` rows, or ``steps * k_shot + n_query``: named, never dropped silently.
        Rows that are not drawn from need not be finite.

    Examples
    --------
    >>> import numpy as np
    >>> from fomaml_fast.samplers import Episodes
    >>> names = np.repeat(["ant", "bee", "cat", "dog"], 20)
    >>> episodes = Episodes(np.random.default_rng(0).random((80, 8)), names, 3, 1, 5)
    >>> batch = episodes.sample(0, n_tasks=100)
    >>> batch.x_support.shape, batch.x_query.shape, batch.y_query.shape
    ((100, 3, 8), (100, 15, 8), (100, 15))
    """

    def __init__(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        n_way: int,
        k_shot: int,
        n_query: int,
        *,
        classes: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
        among: npt.ArrayLike | None = None,
        steps: int | None = None,
    ) -> None:
        self.n_way = as_count(n_way, "n_way", least=2)
        self.k_shot = as_count(k_shot, "k_shot", least=1)
        self.n_query = as_count(n_query, "n_query", least=1)
        self.steps = as_steps(steps)
        self._x = as_table("x", x)
        n_rows = len(self._x.values)
        self.classes, class_of = as_labels("y", y, n_rows)
        if groups is None and among is not None:
            raise ValueError("among names groups to draw from, which needs groups=")
        owner = np.zeros(n_rows) if groups is None else groups
        self.groups, group_of = as_labels("groups", owner, n_rows)
        self._grouped = groups is not None
        is_wanted = np.zeros((len(self.groups), len(self.classes)), dtype=np.bool_)
        wanted_classes = members("classes", classes, self.classes, "class")
        is_wanted[members("among", among, self.groups, "group")[:, None], wanted_classes] = True
        kept = np.flatnonzero(is_wanted[group_of, class_of])

        # Rows sorted by (group, class) fall into cells; a task takes n_way cells of one group.
        self._order = kept[np.lexsort((class_of[kept], group_of[kept]))]
        cell_of = group_of[self._order] * len(self.classes) + class_of[self._order]
        cells, self._cell_start, self._cell_size = np.unique(
            cell_of, return_index=True, return_counts=True
        )
        self._cell_class = cells % len(self.classes)
        cell_group = cells // len(self.classes)
        self._check_cells(cell_group)
        _, self._group_start, self._group_cells = np.unique(
            cell_group, return_index=True, return_counts=True
        )
        self._x.check_rows(kept)

    def _check_cells(self, cell_group: IntArray) -> None:
        needed = self._n_support + self.n_query
        formula = "k_shot + n_query" if self.steps is None else "steps * k_shot + n_query"
        small = np.flatnonzero(self._cell_size < needed)
        if len(small):
            first = int(small[0])
            where = self._in_group(cell_group[first])
            raise ValueError(
                f"y must hold at least {formula} = {needed} rows of each class, but class "
                f"{shown(self.classes[self._cell_class[first]])}{where} has "
                f"{self._cell_size[first]}"
                + (f" ({len(small) - 1} more are too small)" if len(small) > 1 else "")
            )
        known, cells = np.unique(cell_group, return_counts=True)
        poor = np.flatnonzero(cells < self.n_way)
        if len(poor):
            group, most = known[poor[0]], cells[poor[0]]
            raise ValueError(
                f"n_way must be at most {most}, the classes{self._in_group(group)}, got "
                f"{self.n_way}"
            )

    @property
    def _n_support(self) -> int:
        """Support rows of each class, over all steps."""
        return self.k_shot * (self.steps or 1)

    def _in_group(self, group: int) -> str:
        return f" in group {shown(self.groups[group])}" if self._grouped else ""

    @classmethod
    def example(cls) -> Episodes:
        """Return a small sampler to try things with: 3 of 6 classes of 12 rows, 3 features.

        Returns
        -------
        Episodes

        Examples
        --------
        >>> from fomaml_fast.samplers import Episodes
        >>> Episodes.example().sample(0, n_tasks=4).x_query.shape
        (4, 12, 3)
        """
        x = np.random.default_rng(0).standard_normal((72, 3))
        return cls(x, np.arange(72) % 6, n_way=3, k_shot=2, n_query=4)

    def __repr__(self) -> str:
        groups = f"{counted(len(self._group_start), 'group')}, " if self._grouped else ""
        return (
            f"Episodes({groups}{counted(len(np.unique(self._cell_class)), 'class')}, "
            f"{counted(len(self._order), 'row')}, {counted(self._x.values.shape[1], 'feature')}, "
            f"n_way={self.n_way}, k_shot={self.k_shot}, n_query={self.n_query}"
            f"{'' if self.steps is None else f', steps={self.steps}'})"
        )

    def draw(self, rng: Seed, n_tasks: int) -> EpisodeRows:
        """Draw the row numbers of ``n_tasks`` episodes.

        Parameters
        ----------
        rng : numpy.random.Generator or int
            A generator, which advances, or a seed: the same seed gives the same rows.
        n_tasks : int
            At least 1.

        Returns
        -------
        EpisodeRows
            support ``[n_tasks, n_way, k_shot]``, or ``[n_tasks, steps, n_way, k_shot]``, query
            ``[n_tasks, n_way, n_query]`` and classes ``[n_tasks, n_way]``; no row is in both
            support and query of a task.

        Raises
        ------
        TypeError
            For an rng that is neither a generator nor an integer, or a number of tasks that
            is no integer.
        ValueError
            For a negative seed or fewer than one task.

        Examples
        --------
        >>> from fomaml_fast.samplers import Episodes
        >>> rows = Episodes([[0.0]] * 6, list("aaabbb"), 2, 1, 2).draw(0, 10)
        >>> rows.support.shape, rows.query.shape, sorted(rows.classes[0].tolist())
        ((10, 2, 1), (10, 2, 2), ['a', 'b'])
        """
        generator, n_tasks = as_generator(rng), as_count(n_tasks, "n_tasks", least=1)
        group = generator.integers(0, len(self._group_start), n_tasks)
        # The order of the draw is the labelling: each task permutes its labels.
        picked = choose(generator, self._group_cells[group], self.n_way, n_tasks)
        cell = self._group_start[group][:, None] + picked
        k, n_rows = self._n_support, self._n_support + self.n_query
        within = choose(generator, self._cell_size[cell].ravel(), n_rows, cell.size)
        rows = self._order[self._cell_start[cell][..., None] + within.reshape(*cell.shape, n_rows)]
        classes = self.classes[self._cell_class[cell]]
        support = rows[..., :k]
        if self.steps is not None:
            support = support.reshape(n_tasks, self.n_way, self.steps, self.k_shot).swapaxes(1, 2)
        return EpisodeRows(support, rows[..., k:], classes)

    def sample(self, rng: Seed, n_tasks: int, dtype: npt.DTypeLike | None = None) -> TaskBatch:
        """Draw ``n_tasks`` episodes.

        Parameters
        ----------
        rng : numpy.random.Generator or int
            A generator, or a seed: the same seed gives the same tasks.
        n_tasks : int
        dtype : float32 or float64, optional
            Of the inputs; by default float64 where x is or float32 would round its integers,
            float32 otherwise.

        Returns
        -------
        TaskBatch
            x_support ``[n_tasks, N·K, features]``, integer y_support ``[n_tasks, N·K]``, sorted
            by label, behind the axis of tasks one of steps if there are any; the query alike with
            ``N·n_query`` rows.

        Raises
        ------
        TypeError
            For an rng that is neither a generator nor an integer, a number of tasks that is no
            integer, or another dtype.
        ValueError
            For a negative seed, fewer than one task, or inputs that do not fit ``dtype``.

        Examples
        --------
        >>> from fomaml_fast.samplers import Episodes
        >>> episodes = Episodes([[0.0]] * 6, list("aaabbb"), 2, 1, 2)
        >>> episodes.sample(0, n_tasks=10).y_query[0].tolist()
        [0, 0, 1, 1]
        """
        rows = self.draw(rng, n_tasks)
        flat = [r.reshape(*r.shape[:-2], -1) for r in (rows.support, rows.query)]
        x = gather(flat, (self._x,), dtype)
        y = [
            np.tile(np.repeat(np.arange(self.n_way, dtype=np.int32), per_class), (*r.shape[:-1], 1))
            for r, per_class in zip(flat, (self.k_shot, self.n_query), strict=True)
        ]
        return TaskBatch(x[0][0], y[0], x[1][0], y[1])
