"""Losses written in Python: the core gives outputs and takes cotangents, the function the rest.

`CustomRows` is such a loss on some rows of all tasks, at any parameters: for one evaluation
(`CustomEvaluation`), and for every step of an inner loop (`_custom_meta`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fomaml_fast._arrays import FloatArray
from fomaml_fast._convert import as_array, convert
from fomaml_fast._custom_outputs import Outputs, outputs_of
from fomaml_fast._shown import shown

HessianVector = Callable[[FloatArray], Any] | None


class Values(NamedTuple):
    """What the function returned, of each group of tasks it was called with."""

    losses: FloatArray  #: [T]
    gradients: list[FloatArray]  #: on the outputs, [T, n, n_L] a group
    hessians: list[HessianVector]

    @property
    def has_hessian(self) -> bool:
        """Whether every group came with the product with its Hessian."""
        return all(hessian is not None for hessian in self.hessians)


class CustomRows:
    """A loss on rows of all tasks; those of one length go to the function together.

    `targets` are arrays ``[T, n, ...]``, one a group.
    """

    def __init__(self, outputs: Outputs, targets: list[Any]) -> None:
        self.outputs, self.targets = outputs, targets

    def at(self, outputs: Any) -> Values:
        """Evaluate at the outputs of the network, as the core returns them."""
        groups = _in_groups(outputs)
        results = [
            checked_result(self.outputs.fn(*both), both[0].shape)
            for both in zip(groups, self.targets, strict=True)
        ]
        dtype = groups[0].dtype
        return Values(
            np.concatenate([result[0] for result in results]).astype(dtype),
            [np.ascontiguousarray(result[1], dtype) for result in results],
            [result[2] for result in results],
        )

    def gradient(self, theta: Any, values: Values, like: Any, check: Any = False) -> FloatArray:
        """Gradient over theta. `check`: raise where a number is not finite."""
        _expect_finite("gradient", values.gradients, check)
        return self._pulled_back(theta, values.gradients, like, check)

    def hvp(self, theta: Any, values: Values, v: Any, check: Any = False) -> FloatArray:
        """Hessian over theta times v."""
        tangents = self.outputs.push(theta, v)
        _expect_finite("gradient", values.gradients, check)
        products = self._curved(values, tangents)
        _expect_finite("product with its Hessian", products, check)
        curved = as_outputs(products, tangents)
        along = as_outputs(values.gradients, tangents)
        return self.outputs.pull_tangent(theta, along, v, curved, check)

    def gnvp(self, theta: Any, values: Values, v: Any, check: Any = False) -> FloatArray:
        """Gauss-Newton matrix over theta times v."""
        tangents = self.outputs.push(theta, v)
        products = self._curved(values, tangents)
        _expect_finite("product with its Hessian", products, check)
        return self._pulled_back(theta, products, tangents, check)

    def _pulled_back(
        self, theta: Any, groups: list[FloatArray], like: Any, check: Any = False
    ) -> FloatArray:
        return self.outputs.pull(theta, as_outputs(groups, like), check)

    def _curved(self, values: Values, tangents: Any) -> list[FloatArray]:
        """Hessian on the outputs times ``J v``."""
        if not values.has_hessian:
            raise ValueError(
                "the custom loss gives no product with its Hessian, which second derivatives "
                "need: let fn return (value, gradient, hessian_vector)"
            )
        return [
            _checked_product(hessian, tangent)
            for hessian, tangent in zip(values.hessians, _in_groups(tangents), strict=True)
        ]


def _expect_finite(what: str, groups: list[FloatArray], check: Any) -> None:
    if check and not all(np.isfinite(group).all() for group in groups):
        raise ValueError(
            f"the custom loss returned a {what} that is not finite: are y and what fn computes "
            "with it? (check_finite=False switches this check off)"
        )


class CustomEvaluation:
    """The loss of one call of `MLP`, and its derivatives."""

    def __init__(
        self,
        net: Any,
        theta: Any,
        x: Any,
        y: Any,
        threads: Any,
        check_finite: Any,
        extras: tuple[Any, Any, Any],
        *v: Any,
    ) -> None:
        for name, extra in zip(("weights", "mask", "class_mask"), extras, strict=True):
            if extra is not None:
                raise ValueError(f"{name} goes into the targets of a custom loss, whose fn sees it")
        theta = convert(theta, "theta", "numbers", None, 0, False)
        x = convert(x, "x", "numbers", str(theta.dtype), 1, False)
        self._v: Any = None
        of_x = outputs_of(net, net.loss_spec, x, threads, str(theta.dtype))
        outputs = of_x.at(theta, check_finite)
        if v:
            self._v = convert(v[0], "v", "numbers", str(theta.dtype), 0, False)
            # Tasks may be those of v: the direction of the outputs says how many there are.
            tangents = of_x.push(theta, self._v, check_finite)
            outputs = _for_tasks(outputs, tangents)
        if not isinstance(outputs, list) and outputs.size == 0:
            raise ValueError("x must have at least one row a task")
        self._single = not isinstance(outputs, list) and outputs.ndim == 2
        self._theta, self._outputs = theta, outputs
        targets = _targets(y, outputs, one_set=not isinstance(x, list) and x.ndim == 2)
        self._rows = CustomRows(of_x, targets)
        self._checks = bool(check_finite)
        self._values = self._rows.at(outputs)

    def values(self) -> Any:
        """One number, or ``[T]``."""
        if np.isnan(self._values.losses).any():
            _expect_finite("value", [self._values.losses], self._checks)
        return float(self._values.losses[0]) if self._single else self._values.losses

    def gradient(self) -> FloatArray:
        """Gradient over theta, ``[P]`` or ``[T, P]``."""
        return self._rows.gradient(self._theta, self._values, self._outputs, self._checks)

    def hvp(self) -> FloatArray:
        """Hessian over theta times v."""
        return self._rows.hvp(self._theta, self._values, self._v, self._checks)

    def gnvp(self) -> FloatArray:
        """Gauss-Newton matrix over theta times v."""
        return self._rows.gnvp(self._theta, self._values, self._v, self._checks)


def _in_groups(outputs: Any) -> list[FloatArray]:
    """Outputs as arrays ``[T, n, n_L]``: one, or one a task where tasks differ in length."""
    if isinstance(outputs, list):
        return [group[None] for group in outputs]
    return [outputs if outputs.ndim == 3 else outputs[None]]


def as_outputs(groups: list[FloatArray], like: Any) -> Any:
    """Groups in the form of the outputs they belong to."""
    if isinstance(like, list):
        return [np.ascontiguousarray(group[0]) for group in groups]
    return np.ascontiguousarray(groups[0] if like.ndim == 3 else groups[0][0])


def _for_tasks(outputs: Any, tangents: Any) -> Any:
    """Outputs repeated for as many tasks as their directions have."""
    if isinstance(outputs, list) or outputs.shape == tangents.shape:
        return outputs
    return np.ascontiguousarray(np.broadcast_to(outputs, tangents.shape))


def _targets(y: Any, outputs: Any, *, one_set: bool) -> list[Any]:
    """The user's targets, one array ``[T, n, ...]`` for each group of tasks."""
    shapes = [group.shape[:2] for group in _in_groups(outputs)]
    ragged = isinstance(outputs, list)
    if ragged:
        if not isinstance(y, list | tuple) or len(y) != len(shapes):
            raise ValueError(f"y must be a list of {len(shapes)} arrays, as x is")
        targets = [as_array(item, f"y[{t}]")[None] for t, item in enumerate(y)]
    else:
        array = as_array(y, "y")
        array = array[None] if one_set else array
        if array.ndim > 0 and len(array) == 1 < shapes[0][0]:
            array = np.broadcast_to(array, (shapes[0][0], *array.shape[1:]))
        targets = [array]
    for t, (target, shape) in enumerate(zip(targets, shapes, strict=True)):
        if target.shape[:2] != shape:
            name = f"y[{t}]" if ragged else "y"
            raise ValueError(
                f"{name} must have as many rows as x, {shape[1]} for each of {shape[0]} tasks, "
                f"got shape {list(target.shape)}"
            )
    return targets


def checked_result(
    result: Any, shape: tuple[int, ...]
) -> tuple[FloatArray, FloatArray, HessianVector]:
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
        raise TypeError(f"hessian_vector of the custom loss must be callable, got {shown(hessian)}")
    return value, gradient, hessian


def _checked_product(hessian: HessianVector, tangent: FloatArray) -> FloatArray:
    """What the function's Hessian-vector product returned, if it is one."""
    assert hessian is not None
    name = "hessian_vector's result"
    product = as_array(hessian(tangent), name)
    _check_numbers(product, tangent.shape, name)
    return product.astype(tangent.dtype, copy=False)


def _check_numbers(array: Any, shape: tuple[int, ...], name: str) -> None:
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} of the custom loss must hold real numbers, got {array.dtype}")
    if array.shape != shape:
        raise ValueError(
            f"{name} of the custom loss must have shape {list(shape)}, got {list(array.shape)}"
        )
