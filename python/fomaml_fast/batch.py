"""Many tasks, each with a support and a query set."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import FloatArray, float_dtype
from fomaml_fast._convert import as_array
from fomaml_fast._loader import core
from fomaml_fast._shown import shown

#: One array ``[T, rows, ...]``, or a list of one array a task where tasks differ in length; behind
#: the tasks there may be steps, ``[T, S, rows, ...]`` or a list of lists.
Stacked = npt.NDArray[Any] | list[Any]
#: What stands for it: array-likes of any library, frames among them.
ArrayLike = npt.ArrayLike | Any


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
        or lists, of any sign; their sum is never divided by. Or what that of each output is,
        ``[T, K, n_L]`` and ``[T, Q, n_L]``, if the loss is a mean over outputs.
    mask_support, mask_query : array of bool or None, default None
        Rows where it is False are removed first of all, whatever they hold, so that tasks may
        become ragged; shaped as weights. With an axis of outputs it says which targets are known:
        the others may hold anything, and the mean is over those that are known.
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
    Support rows of their own at every inner step have an axis of steps behind that of tasks, for an
    algorithm of as many steps S: ``x_support [T, S, K, n_0]``, ``y_support [T, S, K, n_L]`` or
    labels ``[T, S, K]``, weights and mask alike. Where steps differ in their rows each of these is
    a list of one list a task, of one array a step.

    C-contiguous float arrays are used without a copy and may be read-only: do not write to them
    while the batch is used. Labels are copied.

    Examples
    --------
    >>> x, y = np.zeros((4, 5, 2)), np.zeros((4, 5, 1))
    >>> batch = TaskBatch(x, y, x, y)
    >>> len(batch), batch.dtype
    (4, dtype('float64'))
    """

    __slots__ = ("_none_diverged", "_query", "_support", "_task_weights")

    def __init__(
        self,
        x_support: ArrayLike,
        y_support: ArrayLike,
        x_query: ArrayLike,
        y_query: ArrayLike,
        *,
        weights_support: ArrayLike | None = None,
        weights_query: ArrayLike | None = None,
        mask_support: ArrayLike | None = None,
        mask_query: ArrayLike | None = None,
        task_weights: ArrayLike | None = None,
        class_mask: ArrayLike | None = None,
        dtype: npt.DTypeLike | None = None,
        check_finite: bool = True,
    ) -> None:
        wanted = None if dtype is None else str(float_dtype(dtype))
        forces = wanted is not None
        support = core.Examples(
            *("support", x_support, y_support, weights_support, mask_support, class_mask),
            *(wanted, "dtype", forces, check_finite),
        )
        query = core.Examples(
            *("query", x_query, y_query, weights_query, mask_query, class_mask),
            *(support.dtype, "x_support", forces, check_finite),
        )
        core.check_match(support, query)
        weights = task_weights
        if weights is not None:
            weights = core.task_weights(weights, support.tasks, support.dtype, forces)
        self._set(support, query, weights)

    def _set(self, support: Any, query: Any, task_weights: FloatArray | None) -> None:
        self._support, self._query = support, query
        self._task_weights = task_weights
        self._none_diverged = np.zeros(support.tasks, np.bool_)
        for array in (self._none_diverged, task_weights):
            if array is not None:
                array.setflags(write=False)

    def __len__(self) -> int:
        return int(self._support.tasks)

    def __repr__(self) -> str:
        ragged = ", ragged" if self._support.ragged or self._query.ragged else ""
        steps = f" of {self.n_steps} steps" if self.n_steps else ""
        return f"TaskBatch({len(self)} tasks{steps}, {self.dtype}{ragged})"

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        arrays = self.x_support, self.y_support, self.x_query, self.y_query
        options = {
            "weights_support": self.weights_support,
            "weights_query": self.weights_query,
            "mask_support": self.mask_support,
            "mask_query": self.mask_query,
            "task_weights": self.task_weights,
            "class_mask": self.class_mask,
        }
        return _restored, (arrays, options)

    @property
    def n_tasks(self) -> int:
        """Number of tasks T."""
        return len(self)

    @property
    def n_steps(self) -> int | None:
        """Inner steps S that have support rows of their own; None where all share them."""
        return int(self._support.steps) or None

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        dtype: np.dtype[Any] = np.dtype(self._support.dtype)
        return dtype

    @property
    def x_support(self) -> Stacked:
        """Support inputs, ``[T, K, n_0]`` or ``[T, S, K, n_0]``, or a list; of lists with steps."""
        rows: Stacked = self._support.x
        return rows

    @property
    def y_support(self) -> Stacked:
        """Support targets, shaped as `x_support`, or labels without n_L; 0 where masked."""
        rows: Stacked = self._support.y
        return rows

    @property
    def x_query(self) -> Stacked:
        """Query inputs, ``[T, Q, n_0]`` or a list of one array a task."""
        rows: Stacked = self._query.x
        return rows

    @property
    def y_query(self) -> Stacked:
        """Query targets, ``[T, Q, n_L]`` or labels ``[T, Q]``, or a list; 0 where masked."""
        rows: Stacked = self._query.y
        return rows

    @property
    def weights_support(self) -> Stacked | None:
        """Weights of the support rows, shaped as given or a list; None where there are none."""
        weights: Stacked | None = self._support.weights
        return weights

    @property
    def weights_query(self) -> Stacked | None:
        """Weights of the query rows, shaped as given or a list; None where there are none."""
        weights: Stacked | None = self._query.weights
        return weights

    @property
    def mask_support(self) -> Stacked | None:
        """Which support targets are known, ``[T, K, n_L]`` or a list; None if all of every row."""
        mask: Stacked | None = self._support.mask
        return mask

    @property
    def mask_query(self) -> Stacked | None:
        """Which query targets are known, ``[T, Q, n_L]`` or a list; None if all of every row."""
        mask: Stacked | None = self._query.mask
        return mask

    @property
    def task_weights(self) -> FloatArray | None:
        """Weights of the tasks, ``[T]``, or None."""
        return self._task_weights

    @property
    def class_mask(self) -> npt.NDArray[np.bool_] | None:
        """Outputs that exist in each task, ``[T, n_L]``, or None."""
        mask: npt.NDArray[np.bool_] | None = self._support.classes
        return mask

    def take(self, indices: npt.ArrayLike) -> TaskBatch:
        """Return a batch of some of the tasks, copied.

        Parameters
        ----------
        indices : array of int or bool
            Which tasks, in which order.

        Returns
        -------
        TaskBatch

        Raises
        ------
        TypeError, IndexError, ValueError
            For anything that does not index an array of tasks, or names none of them.

        Examples
        --------
        >>> x, y = np.zeros((4, 5, 2)), np.zeros((4, 5, 1))
        >>> len(TaskBatch(x, y, x, y).take([0, 2]))
        2
        """
        index = as_array(indices, "indices")
        if index.ndim == 0:
            raise TypeError(f"indices must be an array, such as [{shown(indices)}] for one task")
        if index.dtype.kind not in "iub" and index.size:
            raise TypeError(f"indices must be integers or flags of tasks, got {index.dtype}")
        if index.dtype.kind == "b" and index.shape != (len(self),):
            raise ValueError(
                f"indices must have shape [{len(self)}] where they are flags, "
                f"got {list(index.shape)}"
            )
        if index.dtype.kind != "b" and index.size:
            low, high = int(index.min()), int(index.max())
            if low < -len(self) or high >= len(self):
                wrong = low if low < -len(self) else high
                raise IndexError(f"indices must name tasks below {len(self)}, got {wrong}")
        chosen = np.arange(len(self))[index if index.size else np.zeros(0, np.int64)]
        if chosen.ndim != 1 or len(chosen) == 0:
            raise ValueError(f"indices must name at least one task, got {shown(indices)}")
        taken = TaskBatch.__new__(TaskBatch)
        weights = None if self._task_weights is None else self._task_weights[chosen]
        taken._set(self._support.take(chosen), self._query.take(chosen), weights)
        return taken


def _restored(arrays: tuple[Any, ...], options: dict[str, Any]) -> TaskBatch:
    """Undo `TaskBatch.__reduce__`."""
    return TaskBatch(*arrays, **options, check_finite=False)  # what was let in stays
