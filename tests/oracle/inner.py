"""The inner loop: plain gradient descent on the support set."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from oracle.activations import Array
from oracle.network import Net, gradient, inexact


def adapt(
    net: Net, theta: ArrayLike, x: ArrayLike, y: NDArray[Any], lr: float, steps: int
) -> list[Array]:
    """The trajectory ``theta_0, ..., theta_S``."""
    thetas = [inexact(theta)]
    for _ in range(steps):
        thetas.append(thetas[-1] - lr * gradient(net, thetas[-1], x, y))
    return thetas
