"""The inner loop with all its options, as one function that complex numbers pass through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from oracle.activations import Array
from oracle.clipping import clip_by_norm
from oracle.inner_optimisers import SGD, Optimiser
from oracle.masks import adapted
from oracle.meta import Task
from oracle.network import Net
from oracle.objective import Context, Objective, Parameters
from oracle.rates import at_step


@dataclass(frozen=True)
class Implicit:
    """iMAML (Rajeswaran et al., NeurIPS 2019): strength of the pull, and when to stop solving."""

    mu: float
    tol: float = 1e-6
    max_iter: int = 20


@dataclass(frozen=True)
class Algorithm:
    """How a task adapts and how the gradient flows back."""

    optimiser: Optimiser = field(default_factory=SGD)
    rates: ArrayLike = 1e-3
    rate_kind: str = "scalar"
    steps: int = 1
    adapt: str | Sequence[int] = "all"
    gradient: str | Implicit = "first"
    step_weights: Sequence[float] | None = None
    context: int = 0
    query_loss: str | None = None
    clip_norm: float | None = None
    weight_decay: float = 0.0
    decoupled_weight_decay: float = 0.0
    proximal: float = 0.0

    def objective(self, net: Net, task: Task) -> Objective:
        if self.context:
            return Context(net, task, self.context, self.query_loss)
        return Parameters(net, task, adapted(net, self.adapt), self.query_loss)

    @property
    def pull(self) -> float:
        """Strength of the pull to the start; the implicit flow brings its own."""
        return self.gradient.mu if isinstance(self.gradient, Implicit) else self.proximal


class Path(NamedTuple):
    """The fast variable at 0..S, and the direction of each step (its rate not included)."""

    points: list[Array]
    directions: list[Array]


def unroll(
    objective: Objective,
    theta: Array,
    rates: Array,
    algorithm: Algorithm,
    frozen: list[Array] | None = None,
) -> Path:
    """S steps; with `frozen`, along these directions, whatever theta and the rates are."""
    anchor = point = objective.start(theta)
    points, directions = [point], []
    state: tuple[Any, ...] = ()
    for k in range(algorithm.steps):
        if frozen is None:
            g = clip_by_norm(objective.support_gradient(point, theta, k), algorithm.clip_norm)
            g = g + algorithm.weight_decay * point + algorithm.pull * (point - anchor)
            g = np.where(objective.mask, g, 0)
            d, state = algorithm.optimiser.direction(g, state, k + 1)
            d = np.where(objective.mask, d + algorithm.decoupled_weight_decay * point, 0)
        else:
            d = frozen[k]
        point = point - at_step(algorithm.rate_kind, rates, k, objective.layers) * d
        points.append(point)
        directions.append(d)
    return Path(points, directions)


def meta_loss(
    objective: Objective,
    theta: Array,
    rates: Array,
    algorithm: Algorithm,
    frozen: list[Array] | None = None,
) -> Any:
    """The query loss after the last step, or its weighted sum over steps 1..S."""
    points = unroll(objective, theta, rates, algorithm, frozen).points
    if algorithm.step_weights is None:
        return objective.query_loss(points[-1], theta)
    weighted = zip(algorithm.step_weights, points[1:], strict=True)
    return sum(weight * objective.query_loss(point, theta) for weight, point in weighted)
