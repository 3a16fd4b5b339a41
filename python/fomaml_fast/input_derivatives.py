"""Derivatives of the outputs over the inputs. `MLP` has these as methods."""

from __future__ import annotations

from typing import Any

import numpy as np

from fomaml_fast._arrays import FloatArray, as_count
from fomaml_fast._convert import convert
from fomaml_fast._loader import core
from fomaml_fast._shown import shown
from fomaml_fast.errors import of_dtype
from fomaml_fast.jets import Jet, JetForm

#: Slopes along inputs that a jet computes in the time of one product of an output.
_SLOPES_AN_OUTPUT = 8


class InputDerivatives:
    """Derivatives over the inputs of `MLP`."""

    sizes: tuple[int, ...]
    norms: tuple[Any, ...]
    _core: Any

    def input_vjp(
        self,
        theta: Any,
        x: Any,
        cotangent: Any,
        *,
        threads: int | None = None,
        check_finite: bool = True,
    ) -> Any:
        """Pull cotangents of the outputs back to the inputs.

        Parameters
        ----------
        theta, x : array
            As in `MLP.predict`. With context parameters, x has them as its last columns.
        cotangent : array
            Of the outputs' shape, ``[n, n_L]`` or ``[T, n, n_L]``, or a list where x is one.
        threads, check_finite
            As in `MLP.predict`.

        Returns
        -------
        numpy.ndarray or list
            ``[n, n_0]`` or ``[T, n, n_0]``; a list where x is one of different lengths. With batch
            normalisation a row has the sum over all outputs that it changes.

        Raises
        ------
        ValueError, TypeError
            For shapes or dtypes that do not fit, naming the argument.
        OverflowError
            If the result is not finite.

        Examples
        --------
        >>> from fomaml_fast import MLP
        >>> MLP([1, 1]).input_vjp(np.array([2.0, 0.0]), [[3.0], [4.0]], [[1.0], [10.0]])
        array([[ 2.],
               [20.]])
        """
        return core.input_vjp(self._core, theta, x, cotangent, threads, check_finite)

    def input_jvp(
        self,
        theta: Any,
        x: Any,
        tangent: Any,
        *,
        threads: int | None = None,
        check_finite: bool = True,
    ) -> Any:
        """Push tangents of the inputs forward to the outputs.

        Parameters
        ----------
        theta, x : array
            As in `MLP.input_vjp`.
        tangent : array
            Of the shape of x, ``[n, n_0]`` or ``[T, n, n_0]``, or a list where x is one.
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
        >>> MLP([1, 1]).input_jvp(np.array([2.0, 0.0]), [[3.0], [4.0]], [[1.0], [0.5]])
        array([[2.],
               [1.]])
        """
        return core.input_jvp(self._core, theta, x, tangent, threads, check_finite)

    def input_jacobian(
        self, theta: Any, x: Any, *, threads: int | None = None, check_finite: bool = True
    ) -> Any:
        """Compute the derivative of every output of every row over the row's inputs.

        Parameters
        ----------
        theta, x, threads, check_finite
            As in `MLP.input_vjp`.

        Returns
        -------
        numpy.ndarray or list
            ``[n, n_L, n_0]`` or ``[T, n, n_L, n_0]``; a list where x is one of different lengths.

        Raises
        ------
        ValueError, TypeError
            For shapes or dtypes that do not fit, naming the argument; with batch normalisation,
            where every output depends on every row.
        OverflowError
            If the result is not finite.

        Notes
        -----
        One jet of all inputs' slopes; or one product an output or an input, whichever are fewer,
        with normalisation or where inputs are many more than outputs.

        Examples
        --------
        >>> from fomaml_fast import MLP
        >>> MLP([2, 1]).input_jacobian(np.array([2.0, -1.0, 0.0]), [[3.0, 4.0]])
        array([[[ 2., -1.]]])
        """
        if "batch" in self.norms:
            raise ValueError(
                "input_jacobian needs a network without batch normalisation, through which every "
                "output depends on every row; input_vjp and input_jvp compute products there"
            )
        run: dict[str, Any] = {"threads": threads, "check_finite": check_finite}
        theta = core.parameters_of_tasks(self._core, theta, check_finite)
        x = convert(x, "x", "numbers", str(theta.dtype), 1, False)
        n_in, n_out = self.sizes[0], self.sizes[-1]
        if not any(self.norms) and n_in <= _SLOPES_AN_OUTPUT * n_out:
            jets = self.jet(theta, x, np.eye(n_in, dtype=theta.dtype), order=1, **run)
            if isinstance(jets, list):
                return [_transposed(jet.first) for jet in jets]
            return _transposed(jets.first)
        forward = n_in < n_out
        product = core.input_jvp if forward else core.input_vjp
        parts = []
        for unit in np.eye(min(n_in, n_out), dtype=theta.dtype):
            along = [_each(unit, a) for a in x] if isinstance(x, list) else _each(unit, x)
            parts.append(product(self._core, theta, x, along, **run))
        axis = -1 if forward else -2
        if isinstance(parts[0], list):
            return [np.stack(of_task, axis) for of_task in zip(*parts, strict=True)]
        return np.stack(parts, axis)

    def jet(
        self,
        theta: Any,
        x: Any,
        directions: Any,
        *,
        order: int = 2,
        threads: int | None = None,
        check_finite: bool = True,
    ) -> Any:
        """Outputs with their first and second derivatives along directions of the inputs.

        Parameters
        ----------
        theta, x : array
            As in `MLP.input_vjp`.
        directions : array
            ``[D, n_0]``: of the inputs of every row, such as ``numpy.eye(n_0)``.
        order : {1, 2}, default 2
            Of the highest derivative.
        threads, check_finite
            As in `MLP.predict`.

        Returns
        -------
        Jet or list of Jet
            ``value [..., n, n_L]``, ``first [..., n, D, n_L]``, and ``second`` of the same shape,
            None with order 1. A list where x is one of different lengths.

        Raises
        ------
        ValueError, TypeError
            For shapes or dtypes that do not fit, naming the argument, and for networks with
            normalisation.
        OverflowError
            If the result is not finite.

        Notes
        -----
        ``second`` is the derivative along a direction and itself, ``d' H d``. The mixed one of a
        and b is ``(s[a + b] - s[a] - s[b]) / 2`` of the second derivatives s along three
        directions. Of relu and leaky_relu second derivatives are 0, as they are everywhere but at
        the corner.

        Examples
        --------
        >>> from fomaml_fast import MLP
        >>> net = MLP([1, 1, 1], activation="sin")
        >>> jet = net.jet(np.array([2.0, 0.0, 1.0, 0.0]), [[0.0], [np.pi / 4]], [[1.0]])
        >>> jet.first.round(12).ravel().tolist(), jet.second.round(12).ravel().tolist()
        ([2.0, 0.0], [0.0, -4.0])
        """
        order = _order(order)
        rows = core.jet(self._core, theta, x, directions, order, threads, check_finite)
        ragged = isinstance(rows, list)
        columns = rows[0].shape[-1] if ragged else rows.shape[-1]
        form = JetForm.of(columns, self.sizes[-1], order)
        return [form.unpack(part) for part in rows] if ragged else form.unpack(rows)

    def jet_vjp(
        self,
        theta: Any,
        x: Any,
        directions: Any,
        cotangent: Any,
        *,
        threads: int | None = None,
        check_finite: bool = True,
    ) -> FloatArray:
        """Pull cotangents of jets back to the parameters, summed over rows.

        Parameters
        ----------
        theta, x, directions : array
            As in `MLP.jet`.
        cotangent : Jet or list of Jet
            Of the shapes of `MLP.jet`, a list where x is one; a part that is None is 0.
        threads, check_finite
            As in `MLP.predict`.

        Returns
        -------
        numpy.ndarray
            ``[P]`` or ``[T, P]``: the gradient over theta of the sum of products of `cotangent`
            and the jets.

        Raises
        ------
        ValueError, TypeError
            As `MLP.jet`.
        OverflowError
            If the result is not finite.

        Examples
        --------
        >>> from fomaml_fast import MLP, Jet
        >>> slope = Jet(None, first=np.ones((1, 1, 1)))
        >>> MLP([1, 1]).jet_vjp(np.array([2.0, 0.0]), [[3.0]], [[1.0]], slope)
        array([1., 0.])
        """
        theta = core.parameters_of_tasks(self._core, theta, check_finite)
        along = core.directions(self._core, directions, str(theta.dtype))
        one = isinstance(cotangent, Jet)
        jets = [cotangent] if one else cotangent
        if not isinstance(jets, list) or not all(isinstance(jet, Jet) for jet in jets) or not jets:
            raise TypeError(
                f"cotangent must be a Jet, or a list of one a task, got {shown(cotangent)}"
            )
        order = 1 if all(jet.second is None for jet in jets) else 2
        form = JetForm(self.sizes[-1], len(along), order)
        packed = []
        for t, jet in enumerate(jets):
            name = "cotangent" if one else f"cotangent[{t}]"
            packed.append(form.pack(_of_dtype(jet, name, theta.dtype), name, "", theta.dtype))
        rows = packed[0] if one else packed
        return core.jet_vjp(self._core, theta, x, along, order, rows, threads, check_finite)


def _transposed(slopes: FloatArray) -> FloatArray:
    return np.ascontiguousarray(np.swapaxes(slopes, -1, -2))


def _each(unit: FloatArray, rows: Any) -> FloatArray:
    """A vector for each of the rows, without memory of its own."""
    return np.broadcast_to(unit, (*rows.shape[:-1], len(unit)))


def _order(order: Any) -> int:
    if as_count(order, "order", least=1) > 2:
        raise ValueError(f"order must be 1 or 2, got {order}")
    return int(order)


def _of_dtype(jet: Jet, name: str, dtype: Any) -> Jet:
    """The jet with its parts as arrays, all of theta's dtype: numbers in lists take it."""
    parts = []
    for field, part in zip(jet._fields, jet, strict=True):
        whole = f"{name}.{field}"
        if part is not None:
            part = np.asarray(convert(part, whole, "numbers", str(dtype), 0, False))
            if part.dtype.kind == "f" and part.dtype != dtype:
                hint = of_dtype(whole, "theta", str(dtype), str(part.dtype))
                raise TypeError(f"{whole} is {part.dtype} but theta is {dtype}{hint}")
        parts.append(part)
    return Jet(*parts)
