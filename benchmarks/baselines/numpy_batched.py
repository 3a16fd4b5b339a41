"""NumPy with one leading task axis and hand-written derivatives; in float64 also the reference.

What tasks share is one large product instead of T small ones: products with the common initial
weights, and weight gradients that are summed over tasks anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from benchmarks.baselines import Case
from benchmarks.workloads import INNER_RATE, Array, Labels, Params, Workload, flatten, problem


def product(h: Array, w: Array) -> Array:
    """``h @ w`` for rows of all tasks; weights without a task axis take all rows at once."""
    if w.ndim == 3:
        return h @ w
    return (h.reshape(-1, h.shape[-1]) @ w).reshape(*h.shape[:-1], -1)


def weight_gradient(h: Array, d: Array, total: bool) -> tuple[Array, Array]:
    """``(Hᵀ D, Σ D)`` per task, or summed over the tasks."""
    if total:
        h, d = h.reshape(-1, h.shape[-1]), d.reshape(-1, d.shape[-1])
    return np.swapaxes(h, -1, -2) @ d, d.sum(-2)


@dataclass(frozen=True)
class Tape:
    """What one gradient leaves for its Hessian-vector product."""

    params: Params
    inputs: list[Array]
    deltas: list[Array]
    """Derivative of the loss in each layer's affine output."""
    probabilities: Array | None
    """Softmax of the outputs (cross-entropy only)."""


class Network:
    """Forward, backward and R-operator of one workload's network."""

    def __init__(self, activation: str, loss: str) -> None:
        self.relu = activation == "relu"
        self.mse = loss == "mse"

    def sigma(self, z: Array) -> Array:
        """Activate in place."""
        return np.maximum(z, 0, out=z) if self.relu else np.tanh(z, out=z)

    def slope(self, h: Array) -> Array:
        """σ′ from σ's value."""
        return (h > 0).astype(h.dtype) if self.relu else 1 - h * h

    def output(self, o: Array, y: Array | Labels) -> tuple[Array, Array | None]:
        """Derivative of the loss in the outputs `o` (overwritten), softmax."""
        n = o.shape[1]
        if self.mse:
            o -= y
            o *= 2 / (n * o.shape[2])
            return o, None
        o -= o.max(-1, keepdims=True)
        p = np.exp(o, out=o)
        p /= p.sum(-1, keepdims=True)
        d = p / n
        at = y[..., None].astype(np.intp)
        np.put_along_axis(d, at, np.take_along_axis(d, at, -1) - 1 / n, -1)
        return d, p

    def losses(self, tape: Tape, y: Array | Labels) -> Array:
        """Loss of every task, from what its gradient has computed anyway."""
        d, p = tape.deltas[-1], tape.probabilities
        if p is None:
            losses: Array = np.einsum("tij,tij->t", d, d) * (d.shape[1] * d.shape[2] / 4)
        else:
            at = y[..., None].astype(np.intp)
            losses = -np.log(np.take_along_axis(p, at, -1)).mean((1, 2))
        return losses

    def gradient(
        self, params: Params, x: Array, y: Array | Labels, total: bool = False
    ) -> tuple[Params, Tape]:
        """Gradient per task (or summed over tasks), tape."""
        inputs = [x]
        for i, (w, b) in enumerate(params):
            z = product(inputs[-1], w)
            z += b[..., None, :]
            inputs.append(self.sigma(z) if i < len(params) - 1 else z)
        d, p = self.output(inputs.pop(), y)
        deltas = [d]
        for (w, _), h in zip(params[:0:-1], inputs[:0:-1], strict=True):
            d = product(d, np.swapaxes(w, -1, -2))
            d *= self.slope(h)
            deltas.append(d)
        deltas.reverse()
        grads = [weight_gradient(h, d, total) for h, d in zip(inputs, deltas, strict=True)]
        return grads, Tape(params, inputs, deltas, p)

    def hvp(self, tape: Tape, v: Params, total: bool = False) -> Params:
        """Hessian times `v` by the R-operator (Pearlmutter, 1994), on what `tape` kept."""
        r_inputs: list[Array | None] = [None]  # the data do not move
        r_affine: list[Array] = []
        for i, ((w, _), (vw, vb), h) in enumerate(zip(tape.params, v, tape.inputs, strict=True)):
            rz = h @ vw
            rz += vb[..., None, :]
            previous = r_inputs[-1]
            if previous is not None:
                rz += product(previous, w)
            r_affine.append(rz)
            if i < len(v) - 1:
                r_inputs.append(rz * self.slope(tape.inputs[i + 1]))
        ro = r_affine[-1]
        if tape.probabilities is None:
            rd = ro * (2 / (ro.shape[1] * ro.shape[2]))
        else:
            p = tape.probabilities
            rd = p * ro
            rd -= p * rd.sum(-1, keepdims=True)
            rd /= ro.shape[1]
        result: Params = []
        for i in range(len(v) - 1, -1, -1):
            h, d, rh = tape.inputs[i], tape.deltas[i], r_inputs[i]
            gw, gb = weight_gradient(h, rd, total)
            if rh is None:
                result.append((gw, gb))
                break
            gw += weight_gradient(rh, d, total)[0]
            result.append((gw, gb))
            w, vw = tape.params[i][0], v[i][0]
            rd = product(rd, np.swapaxes(w, -1, -2))
            rd += d @ np.swapaxes(vw, -1, -2)
            rd *= self.slope(h)
            if not self.relu:  # tanh″ = −2·tanh·tanh′, and the delta below already holds tanh′
                rd -= 2 * h * tape.deltas[i - 1] * r_affine[i - 1]
        return result[::-1]


def step(params: Params, grads: Params, rate: float) -> Params:
    """``params − rate·grads``, in the memory of `grads`."""
    moved = []
    for layer, gradient in zip(params, grads, strict=True):
        for a, g in zip(layer, gradient, strict=True):
            g *= -rate
            g += a
        moved.append(gradient)
    return moved


def build(workload: Workload, order: str, dtype: DTypeLike = np.float32) -> Case:
    """Prepare `order` of `workload` in `dtype`."""
    data = problem(workload, dtype)
    net = Network(workload.activation, workload.loss)
    support, query = (data.x_support, data.y_support), (data.x_query, data.y_query)
    tasks, exact = workload.tasks, order == "exact"

    def hvp() -> Params:
        _, tape = net.gradient(data.params, *support)
        return net.hvp(tape, data.tangents)

    def meta_gradient() -> tuple[Any, Params]:
        theta, tapes = data.params, []
        for _ in range(workload.steps):
            grads, tape = net.gradient(theta, *support)
            if exact:
                tapes.append(tape)
            theta = step(theta, grads, INNER_RATE)
        cotangent, tail = net.gradient(theta, *query, total=not exact)
        if exact:
            for tape in tapes[:0:-1]:
                cotangent = step(cotangent, net.hvp(tape, cotangent), INNER_RATE)
            last = net.hvp(tapes[0], cotangent, total=True)
            cotangent = step([(w.sum(0), b.sum(0)) for w, b in cotangent], last, INNER_RATE)
        return net.losses(tail, data.y_query).mean(), [(w / tasks, b / tasks) for w, b in cotangent]

    if order == "hvp":
        return Case(hvp, lambda out: {"hvp": flatten(out)})
    return Case(
        meta_gradient, lambda out: {"loss": np.atleast_1d(out[0]), "gradient": flatten(out[1])}
    )
