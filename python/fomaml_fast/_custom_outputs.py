"""What a loss written in Python is a function of: a network's outputs, or their jets.

Both are rows of numbers to whoever steps and differentiates; the function itself sees jets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fomaml_fast._arrays import FloatArray
from fomaml_fast._loader import core
from fomaml_fast.jets import JetForm


class Outputs:
    """Outputs of some rows at any parameters, and products with their Jacobian."""

    def __init__(self, network: Any, fn: Callable[..., Any], x: Any, threads: Any) -> None:
        self._network, self.fn, self._x, self._threads = network, fn, x, threads

    def at(self, theta: Any, check: Any = False) -> Any:
        """As `MLP.predict` returns them."""
        return core.predict(self._network, theta, self._x, None, self._threads, check)

    def push(self, theta: Any, v: Any, check: Any = False) -> Any:
        """``J v``."""
        return core.jvp(self._network, theta, self._x, v, self._threads, check)

    def pull(self, theta: Any, c: Any, check: Any = False) -> FloatArray:
        """``J' c``."""
        return core.vjp(self._network, theta, self._x, c, self._threads, check)

    def pull_tangent(self, theta: Any, c: Any, v: Any, rc: Any, check: Any = False) -> FloatArray:
        """The derivative of ``J' c`` along v, where c has the tangent `rc`."""
        return core.vjp_tangent(self._network, theta, self._x, c, v, rc, self._threads, check)


class JetOutputs(Outputs):
    """The same of jets along directions of the inputs."""

    def __init__(self, network: Any, loss: Any, n_out: int, x: Any, threads: Any, dtype: str):
        directions = core.directions(network, loss.directions, dtype)
        form = JetForm(n_out, len(directions), loss.order)
        super().__init__(network, _of_rows(loss.fn, form), x, threads)
        self._along = directions, loss.order

    def at(self, theta: Any, check: Any = False) -> Any:
        return core.jet(self._network, theta, self._x, *self._along, self._threads, check)

    def push(self, theta: Any, v: Any, check: Any = False) -> Any:
        return core.jet_jvp(self._network, theta, self._x, *self._along, v, self._threads, check)

    def pull(self, theta: Any, c: Any, check: Any = False) -> FloatArray:
        return core.jet_vjp(self._network, theta, self._x, *self._along, c, self._threads, check)

    def pull_tangent(self, theta: Any, c: Any, v: Any, rc: Any, check: Any = False) -> FloatArray:
        return core.jet_vjp_tangent(
            self._network, theta, self._x, *self._along, c, v, rc, self._threads, check
        )


def outputs_of(net: Any, loss: Any, x: Any, threads: Any, dtype: str) -> Outputs:
    """What `loss` is a function of, on the rows x."""
    if loss.directions is None:
        return Outputs(net._core, loss.fn, x, threads)
    return JetOutputs(net._core, loss, net.sizes[-1], x, threads, dtype)


def _of_rows(fn: Callable[..., Any], form: JetForm) -> Callable[..., Any]:
    """The function as one of rows: it takes and returns them where `fn` does jets."""
    of = " of the custom loss"

    def of_rows(rows: FloatArray, targets: Any) -> Any:
        result = fn(form.unpack(rows), targets)
        if not isinstance(result, tuple) or len(result) not in (2, 3):
            return result  # which the caller has a sentence about
        lead = rows.shape[:-1]
        gradient = form.pack(result[1], "gradient", of, rows.dtype, lead)
        if len(result) == 2 or not callable(result[2]):
            return (result[0], gradient, *result[2:])

        def hessian_vector(v: FloatArray) -> FloatArray:
            name = "hessian_vector's result"
            return form.pack(result[2](form.unpack(v)), name, of, rows.dtype, lead)

        return result[0], gradient, hessian_vector

    return of_rows
