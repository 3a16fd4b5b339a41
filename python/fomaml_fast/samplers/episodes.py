"""N-way K-shot episodes from any labelled arrays.

A task asks to tell N classes apart after seeing K rows of each; Vinyals et al., "Matching
Networks for One Shot Learning", NeurIPS 2016, section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import as_array, as_count, float_dtype
from fomaml_fast.batch import TaskBatch
from fomaml_fast.samplers.arrays import Array, column, common_dtype, features, members, shown
from fomaml_fast.samplers.random import IntArray, Seed, as_generator, choose


class EpisodeRows(NamedTuple):
    """Which rows of the data make up T episodes.

    ``support [T, N, K]`` and ``query [T, N, Q]`` hold row numbers; ``classes [T, N]`` holds the
    class that got the label 0 … N−1 in each task.
    """

    support: IntArray
    query: IntArray
    classes: Array


class Episodes:
    """N-way K-shot classification tasks.

    Every task draws N classes, numbers them 0 … N−1 in random order, and draws K support rows and
    ``n_query`` other rows of each.

    Parameters
    ----------
    x : array_like, shape [rows, ...]
        Inputs of any real dtype; axes after the first are flattened.
    y : array_like, shape [rows]
        Class of each row, of any dtype that sorts: integers, strings, booleans, dates …
    n_way, k_shot, n_query : int
        Classes per task, and support and query rows per class.
    classes : array_like, optional
        Draw only from these classes (see `split_classes`); all by default.
    groups : array_like, shape [rows], optional
        Group of each row (writer, subject, sensor …). When given, all rows of a task come from
        one group, drawn uniformly.
    among : array_like, optional
        Draw only from these groups (see `split_groups`); all by default.

    Raises
    ------
    TypeError, ValueError
        For arrays of the wrong shape, fewer classes than ``n_way``, or a class (within a group)
        with fewer than ``k_shot + n_query`` rows: named, never dropped silently.

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
    ) -> None:
        self.n_way = as_count(n_way, "n_way", least=2)
        self.k_shot = as_count(k_shot, "k_shot", least=1)
        self.n_query = as_count(n_query, "n_query", least=1)
        self._x = features("x", x)
        labels = column("y", y, len(self._x))
        if groups is None and among is not None:
            raise ValueError("among names groups to draw from, which needs groups=")
        owner = np.zeros(len(labels)) if groups is None else column("groups", groups, len(labels))

        self.classes, class_of = np.unique(labels, return_inverse=True)
        self.groups, group_of = np.unique(owner, return_inverse=True)
        wanted_classes = members("classes", classes, self.classes, "class")
        wanted_groups = members("among", among, self.groups, "group")
        kept = np.flatnonzero(np.isin(class_of, wanted_classes) & np.isin(group_of, wanted_groups))

        # Rows sorted by (group, class) fall into cells; a task takes n_way cells of one group.
        self._order = kept[np.lexsort((class_of[kept], group_of[kept]))]
        cell_of = group_of[self._order] * len(self.classes) + class_of[self._order]
        cells, self._cell_start, self._cell_size = np.unique(
            cell_of, return_index=True, return_counts=True
        )
        self._cell_class = cells % len(self.classes)
        cell_group = cells // len(self.classes)
        self._check_cells(cell_group, named=groups is not None)
        _, self._group_start, self._group_cells = np.unique(
            cell_group, return_index=True, return_counts=True
        )

    def _check_cells(self, cell_group: IntArray, *, named: bool) -> None:
        needed = self.k_shot + self.n_query
        small = np.flatnonzero(self._cell_size < needed)
        if len(small):
            first = int(small[0])
            where = f" in group {shown(self.groups[cell_group[first]])}" if named else ""
            raise ValueError(
                f"y must hold at least k_shot + n_query = {needed} rows of each class, but class "
                f"{shown(self.classes[self._cell_class[first]])}{where} has "
                f"{self._cell_size[first]}"
                + (f" ({len(small) - 1} more are too small)" if len(small) > 1 else "")
            )
        for group, cells in zip(*np.unique(cell_group, return_counts=True), strict=True):
            if cells < self.n_way:
                where = f" in group {shown(self.groups[group])}" if named else ""
                raise ValueError(
                    f"n_way must be at most {cells}, the classes{where}, got {self.n_way}"
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
            support ``[n_tasks, n_way, k_shot]``, query ``[n_tasks, n_way, n_query]`` and classes
            ``[n_tasks, n_way]``; no row is in both support and query of a task.

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
        n_rows = self.k_shot + self.n_query
        within = choose(generator, self._cell_size[cell].ravel(), n_rows, cell.size)
        rows = self._order[self._cell_start[cell][..., None] + within.reshape(*cell.shape, n_rows)]
        classes = self.classes[self._cell_class[cell]]
        return EpisodeRows(rows[..., : self.k_shot], rows[..., self.k_shot :], classes)

    def sample(self, rng: Seed, n_tasks: int, dtype: npt.DTypeLike | None = None) -> TaskBatch:
        """Draw ``n_tasks`` episodes.

        Parameters
        ----------
        rng : numpy.random.Generator or int
            A generator, or a seed: the same seed gives the same tasks.
        n_tasks : int
        dtype : float32 or float64, optional
            Of the inputs; by default float64 where x is, float32 otherwise.

        Returns
        -------
        TaskBatch
            x_support ``[n_tasks, N·K, features]``, integer y_support ``[n_tasks, N·K]``, sorted
            by label; the query alike with ``N·n_query`` rows.
        """
        kind = common_dtype(self._x) if dtype is None else float_dtype(dtype)
        rows = self.draw(rng, n_tasks)
        flat = [r.reshape(len(r), -1) for r in (rows.support, rows.query)]
        # `take` gathers whole rows several times faster than indexing does.
        x = [self._x.take(r, axis=0).astype(kind, copy=False) for r in flat]
        y = [
            np.tile(np.repeat(np.arange(self.n_way, dtype=np.int32), per_class), (len(flat[0]), 1))
            for per_class in (self.k_shot, self.n_query)
        ]
        return TaskBatch(x[0], y[0], x[1], y[1])


def split_classes(y: npt.ArrayLike, fractions: Sequence[float], rng: Seed) -> tuple[Array, ...]:
    """Split the classes of ``y`` at random into disjoint sets, e.g. for training and testing.

    Parameters
    ----------
    y : array_like, shape [rows]
        Class of each row; any dtype that sorts.
    fractions : sequence of float
        Share of the classes in each set; positive, adding up to at most 1.
    rng : numpy.random.Generator or int

    Returns
    -------
    tuple of ndarray
        The classes of each set, sorted; pass one as ``Episodes(..., classes=)``.

    Raises
    ------
    ValueError
        For fractions that add up to more than 1, or leave a set without a class.

    Examples
    --------
    >>> from fomaml_fast.samplers import split_classes
    >>> train, test = split_classes(list("aabbccddee"), (0.6, 0.4), rng=0)
    >>> len(train), len(test), sorted({*train.tolist(), *test.tolist()})
    (3, 2, ['a', 'b', 'c', 'd', 'e'])
    """
    classes = np.unique(as_array(y, "y"))
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.ndim != 1 or not (shares > 0).all() or shares.sum() > 1 + 1e-9:
        raise ValueError(
            f"fractions must be positive numbers that add up to at most 1, got {fractions!r}"
        )
    ends = np.rint(np.cumsum(shares) * len(classes)).astype(int)
    sets = np.split(as_generator(rng).permutation(classes), ends)[: len(shares)]
    for share, part in zip(shares, sets, strict=True):
        if len(part) == 0:
            raise ValueError(
                f"fractions must leave every set a class, but {share:g} of {len(classes)} is none"
            )
    return tuple(np.sort(part) for part in sets)
