"""Outputs and products with their Jacobian: what further methods are built of.

J is the Jacobian of a task's outputs ``[n, n_L]`` over theta ``[P]``. `MLP` has these as methods.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fomaml_fast._arrays import FloatArray, as_floats, as_parameters, as_threads
from fomaml_fast._context import with_context
from fomaml_fast._custom import CustomLoss
from fomaml_fast._loader import core
from fomaml_fast._request import Request
from fomaml_fast._row_numbers import is_ragged
from fomaml_fast.losses import Custom


class Derivatives:
    """Outputs and Jacobian products of `MLP`."""

    sizes: tuple[int, ...]
    norms: tuple[str | None, ...]
    loss_spec: Any
    n_params: Any
    _core: Any
    _network: Any

    def predict(
        self,
        theta: Any,
        x: Any,
        *,
        context: Any = None,
        threads: int | None = None,
        check_finite: bool = True,
    ) -> Any:
        """Outputs of the network (before any link function: the loss owns it).

        Parameters
        ----------
        theta : array
            ``[P]`` or ``[T, P]``.
        x : array
            ``[n, n_0]``, or ``[T, n, n_0]``, or a list of one ``[n_t, n_0]`` a task.
        context : array or None, default None
            Context parameters ``[k]`` or ``[T, k]``, such as `adapt` returns: the last k inputs of
            every row of a task; x then has ``n_0 - k`` columns.
        threads : int or None, default None
            None takes FOMAML_FAST_NUM_THREADS, OMP_NUM_THREADS or all processors.
        check_finite : bool, default True
            Raise if theta, context or data hold NaN or infinity.

        Returns
        -------
        numpy.ndarray or list
            ``[n, n_L]`` or ``[T, n, n_L]``; a list where x is one of different lengths.

        Raises
        ------
        ValueError, TypeError
            For shapes or dtypes that do not fit, naming the argument.

        Examples
        --------
        >>> from fomaml_fast import MLP
        >>> net = MLP([1, 8, 1])
        >>> net.predict(net.init(0), np.zeros((3, 1), np.float32)).tolist()
        [[0.0], [0.0], [0.0]]
        >>> MLP([2, 1]).predict(np.array([3.0, 1.0, 0.0]), [[1.0], [2.0]], context=[0.5])
        array([[3.5],
               [6.5]])
        """
        if context is not None:
            flat = as_parameters(theta, self.n_params, check_finite=False)
            x = with_context(x, context, self.sizes[0], flat.dtype, check_finite)
        request = Request(self, theta, x, None, check_finite)
        if request.empty is not None:
            return request.empty
        outputs = core.predict(self._network, request.theta, request.bound, as_threads(threads))
        return request.shape_rows(outputs)

    def vjp(
        self,
        theta: Any,
        x: Any,
        cotangent: Any,
        *,
        threads: int | None = None,
        check_finite: bool = True,
    ) -> FloatArray:
        """Pull cotangents of the outputs back to the parameters: ``J' c``, summed over rows.

        Parameters
        ----------
        theta, x : array
            As in `MLP.predict`.
        cotangent : array
            Of the outputs' shape, ``[n, n_L]`` or ``[T, n, n_L]``, or a list where x is one; not
            scanned.
        threads, check_finite
            As in `MLP.predict`.

        Returns
        -------
        numpy.ndarray
            ``[P]`` or ``[T, P]``.

        Raises
        ------
        ValueError, TypeError
            For shapes or dtypes that do not fit, naming the argument.

        Examples
        --------
        >>> from fomaml_fast import MLP
        >>> MLP([1, 1]).vjp(np.array([2.0, 0.0]), [[3.0], [4.0]], [[1.0], [10.0]])
        array([43., 11.])
        """
        many = _tasks_of(cotangent)
        request = Request(self, theta, x, None, check_finite, tasks_of=_named(many))
        _refuse_empty(request)
        stacked = _stack_like_outputs(cotangent, "cotangent", request, self.sizes[-1])
        products = core.vjp(
            self._network, request.theta, request.bound, stacked, as_threads(threads)
        )
        return products[0] if request.single else products

    def jvp(
        self,
        theta: Any,
        x: Any,
        v: Any,
        *,
        threads: int | None = None,
        check_finite: bool = True,
    ) -> Any:
        """Push a direction of the parameters forward to the outputs: ``J v``.

        Parameters
        ----------
        theta, x : array
            As in `MLP.predict`.
        v : array
            ``[P]`` or ``[T, P]``; not scanned.
        threads, check_finite
            As in `MLP.predict`.

        Returns
        -------
        numpy.ndarray or list
            As `MLP.predict`: ``[n, n_L]`` or ``[T, n, n_L]``.

        Raises
        ------
        ValueError, TypeError
            For shapes or dtypes that do not fit, naming the argument.

        Examples
        --------
        >>> from fomaml_fast import MLP
        >>> MLP([1, 1]).jvp(np.array([2.0, 0.0]), [[3.0], [4.0]], np.array([1.0, 0.5]))
        array([[3.5],
               [4.5]])
        """
        tangent = as_parameters(v, self.n_params, name="v", check_finite=False)
        request = Request(self, theta, x, None, check_finite, tangent)
        if request.empty is not None:
            return request.empty
        outputs = core.jvp(
            self._network, request.theta, request.bound, request.tangent, as_threads(threads)
        )
        return request.shape_rows(outputs)

    def jacobian(
        self, theta: Any, x: Any, *, threads: int | None = None, check_finite: bool = True
    ) -> Any:
        """Compute the derivative of every output of every row over the parameters.

        Parameters
        ----------
        theta, x, threads, check_finite
            As in `MLP.predict`.

        Returns
        -------
        numpy.ndarray or list
            ``[n, n_L, P]`` or ``[T, n, n_L, P]``; a list where x is one of different lengths.

        Raises
        ------
        ValueError, TypeError
            For shapes or dtypes that do not fit, naming the argument.

        Notes
        -----
        One vector-Jacobian product an output and row. With batch normalisation each of them passes
        through all rows of the task, elsewhere through its own alone.

        Examples
        --------
        >>> from fomaml_fast import MLP
        >>> MLP([1, 1]).jacobian(np.array([2.0, 0.0]), [[3.0], [4.0]])
        array([[[3., 1.]],
        <BLANKLINE>
               [[4., 1.]]])
        """
        request = Request(self, theta, x, None, check_finite)
        if request.empty is not None:
            return np.empty((*request.empty.shape, self.n_params), request.empty.dtype)
        of_rows = _coupled_jacobian if "batch" in self.norms else _separate_jacobian
        jacobian = of_rows(
            self._network, request, self.sizes[-1], self.n_params, as_threads(threads)
        )
        if request.single:
            return jacobian
        if request.rows.ragged:
            return request.rows.per_task(jacobian)
        return jacobian.reshape(request.tasks, -1, *jacobian.shape[1:])

    def gnvp(
        self,
        theta: Any,
        x: Any,
        y: Any,
        v: Any,
        *,
        weights: Any = None,
        mask: Any = None,
        class_mask: Any = None,
        threads: int | None = None,
        check_finite: bool = True,
    ) -> FloatArray:
        """Product of the generalised Gauss-Newton matrix of the loss with a vector.

        The matrix is ``J' H J``, H being the Hessian of the loss on the outputs: the Hessian of the
        loss without the network's own curvature, and positive semi-definite for convex losses
        (Schraudolph 2002).

        Parameters
        ----------
        theta, x, y, v, weights, mask, class_mask, threads, check_finite
            As in `MLP.hvp`.

        Returns
        -------
        numpy.ndarray
            ``[P]`` or ``[T, P]``.

        Raises
        ------
        ValueError, TypeError
            For shapes or dtypes that do not fit, naming the argument.

        Examples
        --------
        >>> from fomaml_fast import MLP
        >>> MLP([1, 1]).gnvp(np.array([2.0, 0.0]), [[3.0]], [[5.0]], np.array([1.0, 0.0]))
        array([18.,  6.])
        """
        extras = weights, mask, class_mask
        if isinstance(self.loss_spec, Custom):
            return CustomLoss(self, theta, x, y, threads, check_finite, extras, v).gnvp()
        tangent = as_parameters(v, self.n_params, name="v", check_finite=False)
        request = Request(self, theta, x, y, check_finite, tangent, extras=extras)
        products = core.gnvp(
            self._core, request.theta, request.bound, request.tangent, as_threads(threads)
        )
        return products[0] if request.single else products


def _refuse_empty(request: Request) -> None:
    if request.empty is not None:
        raise ValueError("x must have at least one row a task")


def _tasks_of(outputs: Any) -> int | None:
    """Tasks that an array shaped like outputs holds; None for those of one set of rows."""
    if is_ragged(outputs):
        return len(outputs)
    shape = np.shape(outputs)
    return shape[0] if len(shape) == 3 else None


def _named(tasks: int | None) -> dict[str, int] | None:
    return None if tasks is None else {"cotangent": tasks}


def _stack_like_outputs(value: Any, name: str, request: Request, n_out: int) -> FloatArray:
    """What is shaped like the outputs, on top of each other as the core places outputs."""
    dtype = request.theta.dtype
    counts = np.diff(request.rows.offsets)
    if len(counts) < request.tasks:  # one set of rows for all
        counts = np.repeat(counts, request.tasks)
    if is_ragged(value):
        arrays = [as_floats(item, f"{name}[{t}]", dtype=dtype) for t, item in enumerate(value)]
        if len(arrays) != len(counts):
            raise ValueError(f"{name} must hold {len(counts)} arrays, got {len(arrays)}")
        for t, (array, count) in enumerate(zip(arrays, counts, strict=True)):
            if array.shape != (count, n_out):
                raise ValueError(
                    f"{name}[{t}] must have shape [{count}, {n_out}], got {list(array.shape)}"
                )
        return np.concatenate(arrays)
    array = as_floats(value, name, dtype=dtype)
    rows = [int(counts[0]), n_out]
    if request.rows.ragged or array.shape[-2:] != tuple(rows) or array.ndim not in (2, 3):
        wanted = "a list of one array a task" if request.rows.ragged else f"shape {rows}"
        raise ValueError(
            f"{name} must be {wanted}, or hold one of it a task, got {list(array.shape)}"
        )
    whole = np.broadcast_to(array, (request.tasks, *rows))
    return np.ascontiguousarray(whole.reshape(-1, n_out))


def _separate_jacobian(
    network: Any, request: Request, n_out: int, n_params: int, threads: int
) -> FloatArray:
    """Jacobian ``[rows, n_L, P]`` where rows do not know each other: each is a task."""
    rows = request.rows
    x, theta = rows.x, request.theta
    if len(rows.offsets) - 1 < request.tasks:
        x = np.tile(x, (request.tasks, 1))
    if theta.ndim == 2:
        counts = np.diff(rows.offsets)
        theta = np.repeat(theta, counts if len(counts) > 1 else counts[0], axis=0)
    bound = core.Rows(x, None, np.arange(len(x) + 1, dtype=np.int64), False, len(x), -1, None, None)
    jacobian = np.empty((len(x), n_out, n_params), theta.dtype)
    for output in range(n_out):
        cotangent = np.zeros((len(x), n_out), theta.dtype)
        cotangent[:, output] = 1
        jacobian[:, output] = core.vjp(network, theta, bound, cotangent, threads)
    return jacobian


def _coupled_jacobian(
    network: Any, request: Request, n_out: int, n_params: int, threads: int
) -> FloatArray:
    """Jacobian ``[rows, n_L, P]`` where a row changes the others of its task.

    A task's rows are shared by one call over as many cotangents as they have outputs.
    """
    rows, parts = request.rows, []
    sets = [rows.x[a:b] for a, b in zip(rows.offsets[:-1], rows.offsets[1:], strict=True)]
    for task in range(request.tasks):
        x = sets[task if len(sets) > 1 else 0]
        theta = request.theta if request.theta.ndim == 1 else request.theta[task]
        count = len(x) * n_out
        bound = core.Rows(x, None, np.array([0, len(x)], np.int64), True, count, -1, None, None)
        cotangents = np.eye(count, dtype=theta.dtype).reshape(-1, n_out)
        products = core.vjp(network, theta, bound, cotangents, threads)
        parts.append(products.reshape(len(x), n_out, n_params))
    return np.concatenate(parts)
