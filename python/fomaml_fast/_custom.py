"""Losses written in Python: the core gives outputs and takes cotangents, NumPy does the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fomaml_fast._arrays import FloatArray, as_array, as_parameters, as_threads
from fomaml_fast._loader import core
from fomaml_fast._request import Request


class CustomLoss:
    """The loss of one call, after the forward pass and before any derivative of the network.

    Tasks of one length are given to the function together; ragged ones, each by itself.
    """

    def __init__(
        self,
        net: Any,
        theta: Any,
        x: Any,
        y: Any,
        threads: int | None,
        check_finite: bool,
        extras: tuple[Any, Any, Any],
        *v: Any,
    ) -> None:
        for name, extra in zip(("weights", "mask", "class_mask"), extras, strict=True):
            if extra is not None:
                raise ValueError(f"{name} goes into the targets of a custom loss, whose fn sees it")
        tangent = None
        for direction in v:  # one, for second derivatives
            tangent = as_parameters(direction, net.n_params, name="v", check_finite=False)
        request = Request(net, theta, x, None, check_finite, tangent)
        if request.empty is not None:
            raise ValueError("x must have at least one row a task")
        self.request, self.threads, self.network = request, as_threads(threads), net._network
        self.dtype, self.n_out = request.theta.dtype, net.sizes[-1]
        outputs = self._in_groups(
            core.predict(self.network, request.theta, request.bound, self.threads)
        )
        targets = _targets(y, request, [group.shape[:2] for group in outputs])
        results = [
            checked_result(net.loss_spec.fn(*both), both[0].shape)
            for both in zip(outputs, targets, strict=True)
        ]
        self._values = [result[0] for result in results]
        self._gradients = [result[1] for result in results]
        self._hessians = [result[2] for result in results]

    def values(self) -> Any:
        """One number, or ``[T]``."""
        values = np.concatenate(self._values).astype(self.dtype)
        return float(values[0]) if self.request.single else values

    def gradient(self) -> FloatArray:
        """Gradient over theta, ``[P]`` or ``[T, P]``."""
        return self._one_or_all(
            core.vjp(
                self.network,
                self.request.theta,
                self.request.bound,
                self._stacked(self._gradients),
                self.threads,
            )
        )

    def hvp(self) -> FloatArray:
        """Hessian over theta times v."""
        return self._one_or_all(
            core.vjp_tangent(
                self.network,
                self.request.theta,
                self.request.bound,
                self._stacked(self._gradients),
                self.request.tangent,
                self._curvature(),
                self.threads,
            )
        )

    def gnvp(self) -> FloatArray:
        """Gauss-Newton matrix over theta times v."""
        return self._one_or_all(
            core.vjp(
                self.network,
                self.request.theta,
                self.request.bound,
                self._curvature(),
                self.threads,
            )
        )

    def _curvature(self) -> FloatArray:
        """Hessian on the outputs times ``J v``."""
        request = self.request
        if any(hessian is None for hessian in self._hessians):
            raise ValueError(
                "the custom loss gives no product with its Hessian, which second derivatives "
                "need: let fn return (value, gradient, hessian_vector)"
            )
        tangents = self._in_groups(
            core.jvp(self.network, request.theta, request.bound, request.tangent, self.threads)
        )
        products = []
        for hessian, tangent in zip(self._hessians, tangents, strict=True):
            products.append(checked_product(hessian, tangent))
        return self._stacked(products)

    def _in_groups(self, outputs: FloatArray) -> list[FloatArray]:
        """Outputs of all rows as arrays ``[T, n, n_L]`` for the function."""
        if self.request.rows.ragged:
            return [group[None] for group in self.request.rows.per_task(outputs)]
        return [outputs.reshape(self.request.tasks, -1, self.n_out)]

    def _stacked(self, groups: list[FloatArray]) -> FloatArray:
        rows = [group.reshape(-1, self.n_out) for group in groups]
        return np.ascontiguousarray(np.concatenate(rows), dtype=self.dtype)

    def _one_or_all(self, vectors: FloatArray) -> FloatArray:
        return vectors[0] if self.request.single else vectors


def _targets(y: Any, request: Request, shapes: list[tuple[int, ...]]) -> list[Any]:
    """The user's targets, one array ``[T, n, ...]`` for each group of tasks."""
    if request.rows.ragged:
        if not isinstance(y, list | tuple) or len(y) != len(shapes):
            raise ValueError(f"y must be a list of {len(shapes)} arrays, as x is")
        targets = [as_array(item, f"y[{t}]")[None] for t, item in enumerate(y)]
    else:
        array = as_array(y, "y")
        array = array if request.rows.n_tasks > 1 or request.per_task else array[None]
        if len(array) == 1 < shapes[0][0]:
            array = np.broadcast_to(array, (shapes[0][0], *array.shape[1:]))
        targets = [array]
    for t, (target, shape) in enumerate(zip(targets, shapes, strict=True)):
        if target.shape[:2] != shape:
            name = f"y[{t}]" if request.rows.ragged else "y"
            raise ValueError(
                f"{name} must have as many rows as x, {shape[1]} for each of {shape[0]} tasks, "
                f"got shape {list(target.shape)}"
            )
    return targets


Result = tuple[FloatArray, FloatArray, Callable[[FloatArray], Any] | None]


def checked_result(result: Any, shape: tuple[int, ...]) -> Result:
    """What the function returned, if it is what `losses.Custom` asks for."""
    if not isinstance(result, tuple) or len(result) not in (2, 3):
        raise TypeError(
            "fn of the custom loss must return (value, gradient) or "
            f"(value, gradient, hessian_vector), got {type(result).__name__}"
        )
    value, gradient = as_array(result[0], "value"), as_array(result[1], "gradient")
    _check_numbers(value, shape[:1], "value")
    _check_numbers(gradient, shape, "gradient")
    hessian = result[2] if len(result) == 3 else None
    if hessian is not None and not callable(hessian):
        raise TypeError(f"hessian_vector of the custom loss must be callable, got {hessian!r}")
    return value, gradient, hessian


def checked_product(hessian: Callable[[FloatArray], Any] | None, tangent: FloatArray) -> FloatArray:
    """What the function's Hessian-vector product returned, if it is one."""
    assert hessian is not None
    name = "hessian_vector's result"
    product = as_array(hessian(tangent), name)
    _check_numbers(product, tangent.shape, name)
    return product


def _check_numbers(array: Any, shape: tuple[int, ...], name: str) -> None:
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} of the custom loss must hold real numbers, got {array.dtype}")
    if array.shape != shape:
        raise ValueError(
            f"{name} of the custom loss must have shape {list(shape)}, got {list(array.shape)}"
        )
