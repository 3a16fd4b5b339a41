"""Products with Jacobians and Hessians: what further methods are built of.

J is the Jacobian of a task's outputs ``[n, n_L]`` over theta ``[P]``. `MLP` has these as methods.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fomaml_fast._arrays import FloatArray
from fomaml_fast._convert import convert
from fomaml_fast._custom import CustomEvaluation
from fomaml_fast._loader import core


class Derivatives:
    """Jacobian and Hessian products of `MLP`."""

    sizes: tuple[int, ...]
    norms: tuple[str | None, ...]
    loss_spec: Any
    n_params: Any
    _core: Any
    _has_custom_loss: Any

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
            Of the outputs' shape, ``[n, n_L]`` or ``[T, n, n_L]``, or a list where x is one.
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
        OverflowError
            If the result is not finite.

        Examples
        --------
        >>> from fomaml_fast import MLP
        >>> MLP([1, 1]).vjp(np.array([2.0, 0.0]), [[3.0], [4.0]], [[1.0], [10.0]])
        array([43., 11.])
        """
        return core.vjp(self._core, theta, x, cotangent, threads, check_finite)

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
            ``[P]`` or ``[T, P]``.
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
        OverflowError
            If the result is not finite.

        Examples
        --------
        >>> from fomaml_fast import MLP
        >>> MLP([1, 1]).jvp(np.array([2.0, 0.0]), [[3.0], [4.0]], np.array([1.0, 0.5]))
        array([[3.5],
               [4.5]])
        """
        return core.jvp(self._core, theta, x, v, threads, check_finite)

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
        OverflowError
            If the result is not finite.

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
        outputs = core.predict(self._core, theta, x, None, threads, check_finite)
        if not isinstance(outputs, list) and outputs.size == 0:
            return np.empty((*outputs.shape, self.n_params), outputs.dtype)
        theta = convert(theta, "theta", "numbers", None, 0, False)
        x = convert(x, "x", "numbers", str(theta.dtype), 1, False)
        ragged = isinstance(outputs, list)
        shapes = [o.shape for o in (outputs if ragged or outputs.ndim == 3 else [outputs])]
        sets = x if isinstance(x, list) else list(x.reshape(-1, *x.shape[-2:]))
        sets = sets * (len(shapes) // len(sets))
        thetas = np.broadcast_to(theta, (len(shapes), self.n_params))
        of_task = _coupled_jacobian if "batch" in self.norms else _separate_jacobian
        parts = of_task(self._core, thetas, sets, self.sizes[-1], threads, check_finite)
        if ragged:
            return parts
        return np.concatenate(parts).reshape(*outputs.shape, self.n_params)

    def hvp(
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
        """Product of the loss's Hessian with a vector, exact (Pearlmutter 1994).

        Parameters
        ----------
        theta, x, y, weights, mask, class_mask, threads, check_finite
            As in `MLP.predict` and `MLP.loss`.
        v : array
            ``[P]`` or ``[T, P]``.

        Returns
        -------
        numpy.ndarray
            ``[P]`` or ``[T, P]``.

        Raises
        ------
        ValueError, TypeError
            For shapes or dtypes that do not fit, naming the argument.
        OverflowError
            If the result is not finite.

        Examples
        --------
        >>> from fomaml_fast import MLP
        >>> net = MLP([1, 1])
        >>> net.hvp(np.array([2.0, 0.0]), [[3.0]], [[5.0]], np.array([1.0, 0.0]))
        array([18.,  6.])
        """
        if self._has_custom_loss:
            extras = weights, mask, class_mask
            return CustomEvaluation(self, theta, x, y, threads, check_finite, extras, v).hvp()
        return core.hvp(
            self._core, theta, x, y, v, weights, mask, class_mask, threads, check_finite
        )

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
        OverflowError
            If the result is not finite.

        Examples
        --------
        >>> from fomaml_fast import MLP
        >>> MLP([1, 1]).gnvp(np.array([2.0, 0.0]), [[3.0]], [[5.0]], np.array([1.0, 0.0]))
        array([18.,  6.])
        """
        if self._has_custom_loss:
            extras = weights, mask, class_mask
            return CustomEvaluation(self, theta, x, y, threads, check_finite, extras, v).gnvp()
        return core.gnvp(
            self._core, theta, x, y, v, weights, mask, class_mask, threads, check_finite
        )


def _separate_jacobian(
    network: Any, thetas: FloatArray, sets: list[FloatArray], n_out: int, *run: Any
) -> list[FloatArray]:
    """Jacobians ``[rows, n_L, P]`` where rows do not know each other: each is a task."""
    counts = [len(x) for x in sets]
    rows = np.concatenate(sets)[:, None]
    each = np.repeat(thetas, counts, axis=0)
    jacobian = np.empty((len(rows), n_out, thetas.shape[-1]), thetas.dtype)
    for output in range(n_out):
        cotangent = np.zeros((len(rows), 1, n_out), thetas.dtype)
        cotangent[..., output] = 1
        jacobian[:, output] = core.vjp(network, each, rows, cotangent, *run)
    return np.split(jacobian, np.cumsum(counts)[:-1])


def _coupled_jacobian(
    network: Any, thetas: FloatArray, sets: list[FloatArray], n_out: int, *run: Any
) -> list[FloatArray]:
    """Jacobians ``[rows, n_L, P]`` where a row changes the others of its task.

    A task's rows are shared by one call over as many cotangents as they have outputs.
    """
    parts: list[FloatArray] = []
    for theta, x in zip(thetas, sets, strict=True):
        count = len(x) * n_out
        cotangents = np.eye(count, dtype=theta.dtype).reshape(count, len(x), n_out)
        products = core.vjp(network, np.array(theta), x, cotangents, *run)
        parts.append(products.reshape(len(x), n_out, -1))
    return parts
