"""Schedules: frozen callables of the outer step, counted from 0.

`cosine`, `exponential` and `piecewise` give the rate of an outer optimiser, `derivative_order` and
`multi_step_weights` the algorithm of a meta-step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from fomaml_fast._arrays import as_count, as_number, is_sequence
from fomaml_fast._shown import shown
from fomaml_fast.algorithm import Algorithm

#: Share of its first value below which a step's weight does not fall (MAML++'s public code).
_FLOOR = 0.03


@dataclass(frozen=True)
class _Cosine:
    lr: float
    steps: int
    final: float
    warmup: int

    def __call__(self, step: int) -> float:
        step = as_count(step, "step")
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        done = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        return self.final + (self.lr - self.final) * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class _Exponential:
    lr: float
    decay: float
    every: int

    def __call__(self, step: int) -> float:
        step = as_count(step, "step")
        try:
            rate = self.lr * math.pow(self.decay, step / self.every)
        except OverflowError:
            rate = math.inf
        if math.isinf(rate):
            raise ValueError(
                f"decay must keep rates finite, but {self.decay} overflows at step {step}"
            )
        return rate


@dataclass(frozen=True)
class _Piecewise:
    rates: tuple[float, ...]
    boundaries: tuple[int, ...]

    def __call__(self, step: int) -> float:
        step = as_count(step, "step")
        return self.rates[sum(step >= boundary for boundary in self.boundaries)]


@dataclass(frozen=True)
class _DerivativeOrder:
    algorithm: Algorithm | Callable[[int], Algorithm]
    switch: int

    def __call__(self, step: int) -> Algorithm:
        step = as_count(step, "step")
        order = "first" if step < self.switch else "exact"
        return _with_gradient(_at(self.algorithm, step), order)


@dataclass(frozen=True)
class _MultiStepWeights:
    algorithm: Algorithm | Callable[[int], Algorithm]
    steps: int

    def __call__(self, step: int) -> Algorithm:
        step = as_count(step, "step")
        # Steps past the end share one key, so that they share one object.
        return _with_weights(_at(self.algorithm, step), min(step, self.steps), self.steps)


def _at(algorithm: Algorithm | Callable[[int], Algorithm], step: int) -> Algorithm:
    if isinstance(algorithm, Algorithm):
        return algorithm
    found = algorithm(step)
    if not isinstance(found, Algorithm):
        raise TypeError(
            f"algorithm must be a schedule of an Algorithm, but at step {step} it returned "
            f"{type(found).__name__}"
        )
    return found


# Cached: an algorithm keeps what the core made of it, which a new equal one would make again.
@lru_cache(maxsize=64)
def _with_gradient(algorithm: Algorithm, gradient: str) -> Algorithm:
    if algorithm.gradient not in ("first", "exact"):
        raise ValueError(
            "algorithm.gradient must be 'first' or 'exact' for its order to change, got "
            f"{shown(algorithm.gradient)}"
        )
    return replace(algorithm, gradient=gradient)


@lru_cache(maxsize=64)
def _with_weights(algorithm: Algorithm, step: int, steps: int) -> Algorithm:
    count = algorithm.steps
    if count == 0:
        raise ValueError("algorithm.steps must be at least 1 to have weights, got 0")
    early = max(1 - step / steps, _FLOOR) / count
    return replace(algorithm, step_weights=(early,) * (count - 1) + (1 - (count - 1) * early,))


def _check_algorithm(algorithm: object) -> None:
    made = isinstance(algorithm, Algorithm)
    if not made and (isinstance(algorithm, type) or not callable(algorithm)):
        raise TypeError(
            f"algorithm must be an Algorithm or a schedule of one, got {shown(algorithm)}"
        )


def cosine(lr: float, steps: int, final: float = 0.0, warmup: int = 0) -> _Cosine:
    """Half a cosine from `lr` to `final` (Loshchilov & Hutter 2017), after a linear warm-up.

    Parameters
    ----------
    lr : float
        Highest rate.
    steps : int
        Length, warm-up included; `final` from there on.
    final : float, default 0
        Last rate.
    warmup : int, default 0
        Steps of linear growth.

    Returns
    -------
    callable

    Examples
    --------
    >>> cosine(0.1, 100)(50)
    0.05
    """
    lr = as_number(lr, "lr", least=0)
    steps, warmup = as_count(steps, "steps", least=1), as_count(warmup, "warmup")
    if warmup > steps:
        raise ValueError(f"warmup must be at most steps ({steps}), got {warmup}")
    return _Cosine(lr, steps, as_number(final, "final", least=0), warmup)


def exponential(lr: float, decay: float, every: int = 1) -> _Exponential:
    """``lr * decay ** (step / every)``.

    Parameters
    ----------
    lr : float
        First rate.
    decay : float
        Factor per `every` steps.
    every : int, default 1
        Steps.

    Returns
    -------
    callable

    Examples
    --------
    >>> exponential(1.0, 0.5, every=10)(20)
    0.25
    """
    return _Exponential(
        as_number(lr, "lr", least=0),
        as_number(decay, "decay", least=0),
        as_count(every, "every", least=1),
    )


def piecewise(rates: Sequence[float], boundaries: Sequence[int]) -> _Piecewise:
    """Constant between boundaries: ``rates[i]`` until ``boundaries[i]``.

    Parameters
    ----------
    rates : sequence of float
        One more than boundaries.
    boundaries : sequence of int
        Increasing steps at which the next rate starts.

    Returns
    -------
    callable

    Examples
    --------
    >>> piecewise((0.1, 0.01), (1000,))(1000)
    0.01
    """
    for name, given in (("rates", rates), ("boundaries", boundaries)):
        if not is_sequence(given):
            raise TypeError(f"{name} must be a sequence of numbers, got {shown(given)}")
        if isinstance(given, np.ndarray) and given.ndim != 1:
            raise TypeError(f"{name} must be a flat sequence of numbers, got {given.ndim} axes")
    values = tuple(as_number(rate, f"rates[{i}]", least=0) for i, rate in enumerate(rates))
    steps = tuple(as_count(step, f"boundaries[{i}]") for i, step in enumerate(boundaries))
    if len(values) != len(steps) + 1:
        raise ValueError(
            f"rates must be one more than boundaries ({len(steps)}), got {len(values)}"
        )
    if list(steps) != sorted(set(steps)):
        raise ValueError(f"boundaries must increase, got {list(steps)}")
    return _Piecewise(values, steps)


def derivative_order(
    algorithm: Algorithm | Callable[[int], Algorithm], switch: int
) -> _DerivativeOrder:
    """First order at first, the exact meta-gradient from then on (MAML++, Antoniou et al. 2019).

    Parameters
    ----------
    algorithm : Algorithm, or callable
        What to train with; its `gradient`, "first" or "exact", is replaced. Another schedule ``step
        -> Algorithm`` may stand in its place.
    switch : int
        Outer steps of first order.

    Returns
    -------
    callable
        ``step -> Algorithm``, which `meta_step` takes for an algorithm.

    Raises
    ------
    TypeError, ValueError
        For anything else, naming the argument; also for Reptile and implicit gradients.

    Examples
    --------
    >>> import fomaml_fast as ff
    >>> schedule = derivative_order(ff.maml(), switch=50)
    >>> schedule(49).gradient, schedule(50).gradient
    ('first', 'exact')
    """
    _check_algorithm(algorithm)
    schedule = _DerivativeOrder(algorithm, as_count(switch, "switch"))
    if isinstance(algorithm, Algorithm):
        schedule(0)  # what has no meaning is told here, not in the middle of training
    return schedule


def multi_step_weights(
    algorithm: Algorithm | Callable[[int], Algorithm], steps: int
) -> _MultiStepWeights:
    """Weights of the inner steps' losses that end near the last alone (MAML++).

    All S weights are 1/S at the start. Those before the last fall by 1/S over `steps`, to 0.03/S
    at least; the last takes the rest, so that their sum stays 1 (Antoniou, Edwards & Storkey 2019,
    section 4, with the floor of their public code).

    Parameters
    ----------
    algorithm : Algorithm, or callable
        What to train with; its `step_weights` are replaced. Another schedule ``step ->
        Algorithm`` may stand in its place.
    steps : int
        Outer steps of annealing, at least 1.

    Returns
    -------
    callable
        ``step -> Algorithm``, which `meta_step` takes for an algorithm.

    Raises
    ------
    TypeError, ValueError
        For anything else, naming the argument; also where step weights have no meaning.

    Examples
    --------
    >>> import fomaml_fast as ff
    >>> schedule = multi_step_weights(ff.maml(steps=2), steps=100)
    >>> schedule(0).step_weights, schedule(50).step_weights, schedule(100).step_weights
    ((0.5, 0.5), (0.25, 0.75), (0.015, 0.985))
    """
    _check_algorithm(algorithm)
    schedule = _MultiStepWeights(algorithm, as_count(steps, "steps", least=1))
    if isinstance(algorithm, Algorithm):
        schedule(0)  # what has no meaning is told here, not in the middle of training
    return schedule
