"""Many tasks, each with a support and a query set."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import FloatArray, as_array, float_dtype
from fomaml_fast._loader import core
from fomaml_fast._row_numbers import as_class_mask, as_task_weights
from fomaml_fast._rows import RowArrays, build_rows


class TaskBatch:
    """Support and query rows of T tasks, checked once so that steps are cheap.

    Parameters
    ----------
    x_support, x_query : array
        Inputs ``[T, K, n_0]`` and ``[T, Q, n_0]``, or lists of one ``[rows, n_0]`` a task.
    y_support, y_query : array
        Targets ``[T, K, n_L]``, or integer class labels ``[T, K]``; or lists of arrays. Both sets
        need not hold the same kind.
    weights_support, weights_query : array or None, default None
        What each row's loss is multiplied by before the mean over rows, ``[T, K]`` and ``[T, Q]``
        or lists, of any sign; their sum is never divided by.
    mask_support, mask_query : array of bool or None, default None
        Rows where it is False are removed first of all, whatever they hold, so that tasks may
        become ragged; shaped as weights.
    task_weights : array or None, default None
        What each task's query loss is multiplied by before the mean or sum over tasks, ``[T]``, of
        any sign; losses and gradients of single tasks stay as they are.
    class_mask : array of bool or None, default None
        Outputs that exist in each task, ``[T, n_L]``; the others are left out of the softmax of
        cross_entropy.
    dtype : dtype or None, default None
        Converts all floats to float32 or float64; None keeps the inputs' own, which must agree.
    check_finite : bool, default True
        Raise if data hold NaN or infinity, naming the argument and the first index.

    Raises
    ------
    ValueError, TypeError
        For anything that does not fit, naming the argument.

    Notes
    -----
    C-contiguous float arrays are used without a copy and may be read-only: do not write to them
    while the batch is used. Labels are copied.

    Examples
    --------
    >>> x, y = np.zeros((4, 5, 2)), np.zeros((4, 5, 1))
    >>> batch = TaskBatch(x, y, x, y)
    >>> len(batch), batch.dtype
    (4, dtype('float64'))
    """

    __slots__ = ("_arrays", "_bound", "_none_diverged", "_task_weights")

    def __init__(
        self,
        x_support: Any,
        y_support: Any,
        x_query: Any,
        y_query: Any,
        *,
        weights_support: Any = None,
        weights_query: Any = None,
        mask_support: Any = None,
        mask_query: Any = None,
        task_weights: Any = None,
        class_mask: Any = None,
        dtype: npt.DTypeLike | None = None,
        check_finite: bool = True,
    ) -> None:
        wanted = None if dtype is None else float_dtype(dtype)
        convert = wanted is not None
        if (
            weights_support is None
            and weights_query is None
            and mask_support is None
            and mask_query is None
            and class_mask is None
        ):  # plain stacked arrays: two calls of the core
            plain_support = _stack_plain(x_support, y_support, wanted, check_finite)
            plain_query = _stack_plain(x_query, y_query, wanted, check_finite)
            if plain_support and plain_query and core.match(plain_support, plain_query):
                self._set(plain_support, plain_query, task_weights=task_weights, convert=convert)
                return
        classes = None if class_mask is None else as_class_mask(class_mask)
        support = build_rows(
            x_support,
            y_support,
            x_name="x_support",
            y_name="y_support",
            weights=weights_support,
            weights_name="weights_support",
            mask=mask_support,
            mask_name="mask_support",
            classes=classes,
            dtype=wanted,
            convert=convert,
            like="dtype",
            check_finite=check_finite,
        )
        query = build_rows(
            x_query,
            y_query,
            x_name="x_query",
            y_name="y_query",
            weights=weights_query,
            weights_name="weights_query",
            mask=mask_query,
            mask_name="mask_query",
            classes=classes,
            dtype=support.x.dtype,
            convert=convert,
            like="x_support",
            check_finite=check_finite,
        )
        if support.y is None or query.y is None:
            raise TypeError("y_support and y_query must be given")
        if query.n_tasks != support.n_tasks:
            raise ValueError(
                f"x_query must hold {support.n_tasks} tasks as x_support does, got {query.n_tasks}"
            )
        if query.x.shape[1] != support.x.shape[1]:
            raise ValueError(
                f"x_query must have {support.x.shape[1]} columns as x_support has, "
                f"got {query.x.shape[1]}"
            )
        both_numbers = not support.labelled and not query.labelled
        if both_numbers and query.y.shape[1] != support.y.shape[1]:
            raise ValueError(
                f"y_query must have {support.y.shape[1]} columns as y_support has, "
                f"got {query.y.shape[1]}"
            )
        self._set(support.bound, query.bound, support, query, task_weights, convert)

    @classmethod
    def _of(cls, support: RowArrays, query: RowArrays, task_weights: Any) -> TaskBatch:
        batch = cls.__new__(cls)
        batch._set(support.bound, query.bound, support, query, task_weights)
        return batch

    def _set(
        self,
        support: Any,
        query: Any,
        support_arrays: RowArrays | None = None,
        query_arrays: RowArrays | None = None,
        task_weights: Any = None,
        convert: bool = False,
    ) -> None:
        self._bound = (support, query)
        self._arrays = (support_arrays, query_arrays)
        self._none_diverged = np.zeros(support.tasks, np.bool_)
        self._none_diverged.setflags(write=False)
        self._task_weights: FloatArray | None = None
        if task_weights is not None:
            self._task_weights = as_task_weights(
                task_weights, len(self), dtype=self.dtype, convert=convert, like="x_support"
            )

    @property
    def _support(self) -> RowArrays:
        return self._arrays[0] or RowArrays.of(self._bound[0])

    @property
    def _query(self) -> RowArrays:
        return self._arrays[1] or RowArrays.of(self._bound[1])

    def __len__(self) -> int:
        return int(self._bound[0].tasks)

    def __repr__(self) -> str:
        ragged = ", ragged" if self._support.ragged or self._query.ragged else ""
        return f"TaskBatch({len(self)} tasks, {self.dtype}{ragged})"

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        arrays = self.x_support, self.y_support, self.x_query, self.y_query
        options = {
            "weights_support": self.weights_support,
            "weights_query": self.weights_query,
            "task_weights": self.task_weights,
            "class_mask": self.class_mask,
        }
        return _restored, (arrays, options)

    @property
    def n_tasks(self) -> int:
        """Number of tasks T."""
        return int(self._bound[0].tasks)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        dtype: np.dtype[Any] = self._bound[0].x.dtype
        return dtype

    @property
    def x_support(self) -> Any:
        """Support inputs, ``[T, K, n_0]`` or a list of one array a task."""
        return self._support.per_task(self._support.x)

    @property
    def y_support(self) -> Any:
        """Support targets, ``[T, K, n_L]`` or labels ``[T, K]``, or a list."""
        return self._support.per_task(as_array(self._support.y, "y_support"))

    @property
    def x_query(self) -> Any:
        """Query inputs, ``[T, Q, n_0]`` or a list of one array a task."""
        return self._query.per_task(self._query.x)

    @property
    def y_query(self) -> Any:
        """Query targets, ``[T, Q, n_L]`` or labels ``[T, Q]``, or a list."""
        return self._query.per_task(as_array(self._query.y, "y_query"))

    @property
    def weights_support(self) -> Any:
        """Weights of the support rows, ``[T, K]`` or a list, or None."""
        weights = self._support.weights
        return None if weights is None else self._support.per_task(weights)

    @property
    def weights_query(self) -> Any:
        """Weights of the query rows, ``[T, Q]`` or a list, or None."""
        weights = self._query.weights
        return None if weights is None else self._query.per_task(weights)

    @property
    def task_weights(self) -> FloatArray | None:
        """Weights of the tasks, ``[T]``, or None."""
        return self._task_weights

    @property
    def class_mask(self) -> npt.NDArray[np.bool_] | None:
        """Outputs that exist in each task, ``[T, n_L]``, or None."""
        classes = self._support.classes
        return None if classes is None else classes.astype(np.bool_)

    def take(self, indices: Any) -> TaskBatch:
        """Return a batch of some of the tasks, copied.

        Parameters
        ----------
        indices : array of int or bool
            Which tasks, in which order.

        Returns
        -------
        TaskBatch

        Examples
        --------
        >>> x, y = np.zeros((4, 5, 2)), np.zeros((4, 5, 1))
        >>> len(TaskBatch(x, y, x, y).take([0, 2]))
        2
        """
        chosen = np.arange(len(self))[as_array(indices, "indices")]
        if chosen.ndim != 1 or len(chosen) == 0:
            raise ValueError(f"indices must name at least one task, got {indices!r}")
        weights = None if self._task_weights is None else self._task_weights[chosen]
        return TaskBatch._of(self._support.take(chosen), self._query.take(chosen), weights)


def _stack_plain(x: Any, y: Any, wanted: np.dtype[Any] | None, check_finite: bool) -> Any:
    """Rows of stacked plain arrays, their numbers as `wanted`; None where they are not plain."""
    if wanted is not None:
        if type(x) is not np.ndarray or x.ndim != 3 or x.dtype.kind not in "fiu":
            return None
        x = x.astype(wanted, "C", copy=False)
        if type(y) is np.ndarray and y.dtype.kind == "f":  # integers are labels
            y = y.astype(wanted, "C", copy=False)
    return core.stack_plain(x, y, bool(check_finite))


def _restored(arrays: tuple[Any, ...], options: dict[str, Any]) -> TaskBatch:
    """Undo `TaskBatch.__reduce__`."""
    return TaskBatch(*arrays, **options, check_finite=False)  # what was let in stays
