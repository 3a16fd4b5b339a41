"""Outer optimisers as torch.optim defines them, and clipping by the global norm.

Each optimiser is an object with ``step(theta, grad, lr) -> theta`` that keeps its own moments.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def clip(grad: Vector, norm: float | None) -> Vector:
    """Scale by min(1, norm / (||grad|| + 1e-6)), as torch.nn.utils.clip_grad_norm_ does."""
    if norm is None:
        return grad
    return grad * min(1.0, norm / (float(np.sqrt(np.sum(grad**2))) + 1e-6))


class SGD:
    """Momentum starts as the first gradient itself, without dampening."""

    def __init__(
        self,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
    ) -> None:
        self.momentum, self.dampening = momentum, dampening
        self.weight_decay, self.nesterov = weight_decay, nesterov
        self.buffer: Vector | None = None

    def step(self, theta: Vector, grad: Vector, lr: float) -> Vector:
        grad = grad + self.weight_decay * theta
        if self.momentum:
            self.buffer = (
                grad
                if self.buffer is None
                else self.momentum * self.buffer + (1 - self.dampening) * grad
            )
            grad = grad + self.momentum * self.buffer if self.nesterov else self.buffer
        return theta - lr * grad


class Adam:
    """Adam (Kingma and Ba, ICLR 2015); decay enters the gradient."""

    decoupled = False

    def __init__(
        self,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
    ) -> None:
        self.betas, self.eps, self.weight_decay, self.amsgrad = betas, eps, weight_decay, amsgrad
        self.t = 0
        self.m: Any = 0.0
        self.v: Any = 0.0
        self.v_max: Any = 0.0

    def step(self, theta: Vector, grad: Vector, lr: float) -> Vector:
        self.t += 1
        beta1, beta2 = self.betas
        if self.decoupled:
            theta = theta * (1 - lr * self.weight_decay)
        else:
            grad = grad + self.weight_decay * theta
        self.m = beta1 * self.m + (1 - beta1) * grad
        self.v = beta2 * self.v + (1 - beta2) * grad**2
        self.v_max = np.maximum(self.v_max, self.v)
        second = self.v_max if self.amsgrad else self.v
        m_hat = self.m / (1 - beta1**self.t)
        v_hat = second / (1 - beta2**self.t)
        return theta - lr * m_hat / (np.sqrt(v_hat) + self.eps)


class AdamW(Adam):
    """AdamW (Loshchilov and Hutter, ICLR 2019); theta shrinks before the step."""

    decoupled = True

    def __init__(
        self,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(betas, eps, weight_decay, amsgrad)
