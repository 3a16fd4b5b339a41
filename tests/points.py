"""Points of the product space: what the package can combine, as plain data.

A `Point` names a choice on every axis and draws its network, parameters, rates and tasks from a
seed.  ``point.net``, ``point.tasks`` and ``point.algorithm`` are the oracle's; `subject_points.py`
builds the package's.  A new member of a family joins by one line in the tables below.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import oracle
from cases import targets as plain_targets
from oracle import flows, inner_optimisers, rates, unroll

#: Label: class in both `oracle.inner_optimisers` and `fomaml_fast.inner`, options, rate.
OPTIMISERS: dict[str, tuple[str, dict[str, Any], float]] = {
    "sgd": ("SGD", {}, 0.05),
    "momentum": ("SGD", {"momentum": 0.8}, 0.04),
    "nesterov": ("SGD", {"momentum": 0.8, "nesterov": True}, 0.04),
    "adam": ("Adam", {}, 0.01),
    "adam, eps 0.1": ("Adam", {"betas": (0.7, 0.9), "eps": 0.1}, 0.05),
    "rmsprop": ("RMSprop", {}, 0.003),
    "rmsprop, momentum": ("RMSprop", {"alpha": 0.8, "eps": 0.1, "momentum": 0.6}, 0.02),
    "rmsprop, centered": ("RMSprop", {"alpha": 0.8, "eps": 0.1, "centered": True}, 0.02),
    "adagrad": ("Adagrad", {}, 0.01),
    "adagrad, decay": (
        "Adagrad",
        {"lr_decay": 0.3, "initial_accumulator_value": 0.2, "eps": 0.1},
        0.05,
    ),
}
#: With an eps of 1e-8 a direction is nearly a sign: float32 rounding near 0 flips it.
ILL_CONDITIONED = ("adam", "rmsprop", "adagrad")
RATES = rates.KINDS
MASKS: tuple[Any, ...] = ("all", "head", "body", (0, 2))
FLOWS = ("first", "exact", "reptile", "implicit")
ACTIVATIONS = (*oracle.ACTIVATIONS, *oracle.VARIANTS)
LOSSES = tuple(oracle.LOSSES)
NORMS = (None, "layer", "batch") if "norm" in {f.name for f in fields(oracle.Net)} else (None,)
DTYPES = ("float64", "float32")
#: Query losses that can be taken on a loss's targets.
_ON_NUMBERS = ("mse", "huber", "quantile")
_ON_PROBABILITIES = ("soft_cross_entropy", "binary_cross_entropy", *_ON_NUMBERS)
QUERY_LOSSES: dict[str, list[str | None]] = {
    name: [None, *(o for o in others if o in LOSSES and o != name)]
    for name in LOSSES
    for others in [
        {"cross_entropy": ()}.get(name, _ON_NUMBERS if name in _ON_NUMBERS else _ON_PROBABILITIES)
    ]
}
N_TASKS, K, Q, N_X = 2, 4, 5, 2
#: Above the curvature of nearly all points: where the system is not definite, the result is that
#: of the stopping rule, which rounding may trip one iteration earlier or later.
MU = 20.0


class PartlyKnown(NamedTuple):
    """A task whose outputs have weights: NaN where a target is not known."""

    x_support: NDArray[Any]
    y_support: NDArray[Any]
    x_query: NDArray[Any]
    y_query: NDArray[Any]
    weights_support: NDArray[Any]
    weights_query: NDArray[Any]


@dataclass(frozen=True)
class Point:
    """One choice on every axis."""

    optimiser: str = "sgd"
    rate: str = "scalar"
    adapt: Any = "all"
    flow: str = "exact"
    learn: bool | str = False
    steps: int = 3
    step_weights: bool = False
    context: int = 0
    weight_decay: float = 0.0
    decoupled_weight_decay: float = 0.0
    proximal: float = 0.0
    clip_norm: float | None = None
    loss: str = "mse"
    query_loss: str | None = None
    activation: str = "tanh"
    norm: str | None = None
    #: Whether targets of some outputs are not known, and the others have weights.
    gaps: bool = False
    #: Whether every inner step has support rows of its own.
    stepped: bool = False
    dtype: str = "float64"
    seed: int = 0

    def __str__(self) -> str:
        changed = [
            f"{f.name}={getattr(self, f.name)!r}"
            for f in fields(self)
            if getattr(self, f.name) != f.default
        ]
        return f"Point({', '.join(changed)})"

    @property
    def ill_posed(self) -> bool:
        """Whether an adaptive optimiser divides rounding by its tiny eps: then no digit is sure.

        Near a gradient of 0 (a dead rectifier, quantiles that balance, or chance) the direction
        has the slope 1 / eps, 1e10 with Adagrad; a pull carries it to theta_k and, with the other
        sign, to the anchor. A shift that batch normalisation of the next layer takes out has a
        gradient of rounding alone, which the optimiser turns into a whole step.
        """
        if self.optimiser not in ILL_CONDITIONED:
            return False
        undone = self.norm == "batch" and self.activation == "identity"
        return bool(self.proximal) or undone

    @property
    def sizes(self) -> tuple[int, ...]:
        """Two hidden layers; the context takes inputs of its own."""
        return (N_X + self.context, 4, 3, 2)

    @cached_property
    def net(self) -> oracle.Net:
        """The oracle's network."""
        options: dict[str, Any] = {}
        if self.norm is not None:
            options["norm"] = (self.norm,) * 2
        return oracle.Net(self.sizes, (self.activation,) * 2, self.loss, **options)

    def rng(self, purpose: str) -> np.random.Generator:
        """Draws that differ between purposes, and agree between points that share their data."""
        key = (purpose, self.seed, self.sizes, self.activation, self.loss, self.norm)
        return np.random.default_rng(zlib.crc32(repr(key).encode()))

    @cached_property
    def theta(self) -> NDArray[Any]:
        """Weights of variance 1 / n_in, biases that are not 0, gammas around 1."""
        rng, parts = self.rng("theta"), []
        for weight, bias, *normal in oracle.unflatten(self.net, np.zeros(self.net.n_params)):
            parts.append(rng.normal(0, len(weight) ** -0.5, weight.size))
            parts.append(rng.normal(0, 0.3, bias.size))
            for part, mean in zip(normal, (1.0, 0.0), strict=False):
                parts.append(rng.normal(mean, 0.3, part.size))
        return np.concatenate(parts).astype(self.dtype)

    @cached_property
    def tasks(self) -> tuple[oracle.Task, ...]:
        """Support and query sets, drawn apart."""
        rng = self.rng("tasks")
        tasks = tuple(oracle.Task(*self._support(rng), *self._rows(Q, rng)) for _ in range(N_TASKS))
        return tuple(map(self._with_gaps, tasks)) if self.gaps else tasks

    def _support(self, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
        if not self.stepped:
            return self._rows(K, rng)
        x, y = zip(*(self._rows(K, rng) for _ in range(self.steps)), strict=True)
        return np.stack(x), np.stack(y)

    def _with_gaps(self, task: oracle.Task) -> oracle.Task:
        """Weights of the outputs: NaN, as the target is, where it is not known."""
        rng, weights = self.rng("gaps"), []
        for y, x in ((task.y_support, task.x_support), (task.y_query, task.x_query)):
            w = rng.uniform(0.5, 1.5, (*x.shape[:-1], self.sizes[-1])).astype(self.dtype)
            for rows in w.reshape(-1, *w.shape[-2:]):
                for row in rng.permutation(len(rows))[:2]:  # and something of each row is known
                    rows[row, rng.integers(w.shape[-1])] = np.nan
            if y.ndim == w.ndim:
                y[np.isnan(w)] = np.nan
            weights.append(w)
        return PartlyKnown(*task[:4], *weights)

    def _rows(self, n: int, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
        x = rng.normal(size=(n, N_X)).astype(self.dtype)
        n_out = self.sizes[-1]
        if self.loss in ("binary_cross_entropy", "soft_cross_entropy"):
            return x, rng.random((n, n_out)).astype(self.dtype)
        return x, plain_targets(self.loss, n, n_out, self.dtype, rng)

    @cached_property
    def rates(self) -> NDArray[np.float64]:
        """Rates that differ from entry to entry; numbers that float32 holds too."""
        mean = OPTIMISERS[self.optimiser][2]
        rows = max(1, self.steps - self.seed % 2)  # sometimes fewer than steps
        shape = rates.spread(mean, self.rate, self.net, rows).shape
        factors = self.rng("rates").uniform(0.5, 1.5, shape)
        return (mean * factors).astype(np.float32).astype(np.float64)

    @property
    def weights(self) -> tuple[float, ...] | None:
        """Of the steps: growing, and of sum 1."""
        total = self.steps * (self.steps + 1) / 2
        return tuple((k + 1) / total for k in range(self.steps)) if self.step_weights else None

    @cached_property
    def algorithm(self) -> unroll.Algorithm:
        """The oracle's algorithm."""
        name, options, _ = OPTIMISERS[self.optimiser]
        tol = 1e-13 if self.dtype == "float64" else 1e-6
        kind, values = self.rate, self.rates
        if isinstance(self.learn, str) and self.learn != kind:  # learned in a finer shape
            values = rates.spread(values, self.learn, self.net, self.steps)
            kind = self.learn
        return unroll.Algorithm(
            getattr(inner_optimisers, name)(**options),
            values,
            kind,
            self.steps,
            self.adapt,
            unroll.Implicit(MU, tol, 200) if self.flow == "implicit" else self.flow,
            self.weights,
            self.context,
            self.query_loss,
            self.clip_norm,
            self.weight_decay,
            self.decoupled_weight_decay,
            self.proximal,
        )

    @cached_property
    def expected(self) -> flows.Result:
        """What the oracle says."""
        return flows.result(self.net, self.theta, self.tasks, self.algorithm)
