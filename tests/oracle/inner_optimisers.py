"""Inner optimisers as torch.optim defines them: a direction from a gradient and a state.

``direction(g, state, t)`` returns ``(d, state)``; the caller takes ``theta - rate * d``.  States
are plain tuples, ``()`` before step t = 1, so that nothing survives from one task to the next.  All
of it is analytic away from g = 0.  At g = 0 the derivative is that of the formula with the square
root held at 0: differentiating the root itself there divides by zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from oracle.activations import Array

State = tuple[Any, ...]


class Optimiser(Protocol):
    """What the inner loop needs to know of an optimiser."""

    def direction(self, g: Array, state: State, t: int) -> tuple[Array, State]: ...


def root(v: Array) -> Array:
    """The square root, and 0 without a derivative where the real part is not positive.

    There v is 0, has underflowed, or is the rounding error of a variance that is 0.
    """
    positive = v.real > 0
    return np.where(positive, np.sqrt(np.where(positive, v, 1)), 0)


def quotient(numerator: Array, denominator: Array) -> Array:
    """The quotient, and 0 where the denominator is 0."""
    zero = denominator == 0
    return np.where(zero, 0, numerator / np.where(zero, 1, denominator))


@dataclass(frozen=True)
class SGD:
    """Heavy ball; the buffer starts as the first gradient, which is 0 * momentum + g."""

    momentum: float = 0.0
    nesterov: bool = False

    def direction(self, g: Array, state: State, t: int) -> tuple[Array, State]:
        buffer = g if t == 1 else self.momentum * state[0] + g
        return (g + self.momentum * buffer if self.nesterov else buffer), (buffer,)


@dataclass(frozen=True)
class Adam:
    """Kingma and Ba (ICLR 2015), algorithm 1; eps is added after the bias correction."""

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def direction(self, g: Array, state: State, t: int) -> tuple[Array, State]:
        beta1, beta2 = self.betas
        m, v = state or (0.0, 0.0)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        return quotient(m_hat, root(v_hat) + self.eps), (m, v)


@dataclass(frozen=True)
class RMSprop:
    """Tieleman and Hinton (2012); `centered` is the variance of Graves (arXiv:1308.0850)."""

    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False

    def direction(self, g: Array, state: State, t: int) -> tuple[Array, State]:
        v, mean, buffer = state or (0.0, 0.0, 0.0)
        v = self.alpha * v + (1 - self.alpha) * g * g
        mean = self.alpha * mean + (1 - self.alpha) * g
        d = quotient(g, root(v - mean * mean if self.centered else v) + self.eps)
        buffer = self.momentum * buffer + d
        return (buffer if self.momentum else d), (v, mean, buffer)


@dataclass(frozen=True)
class Adagrad:
    """Duchi, Hazan and Singer (JMLR 2011) with torch's decay of the rate."""

    lr_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10

    def direction(self, g: Array, state: State, t: int) -> tuple[Array, State]:
        total = (state[0] if state else self.initial_accumulator_value) + g * g
        return quotient(g, root(total) + self.eps) / (1 + (t - 1) * self.lr_decay), (total,)
