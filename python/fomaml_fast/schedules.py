"""Learning-rate schedules: frozen callables ``step -> rate``, steps counted from 0."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fomaml_fast._arrays import as_count, as_number


@dataclass(frozen=True)
class _Cosine:
    lr: float
    steps: int
    final: float
    warmup: int

    def __call__(self, step: int) -> float:
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
        return self.lr * math.pow(self.decay, step / self.every)


@dataclass(frozen=True)
class _Piecewise:
    rates: tuple[float, ...]
    boundaries: tuple[int, ...]

    def __call__(self, step: int) -> float:
        return self.rates[sum(step >= boundary for boundary in self.boundaries)]


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


def piecewise(rates: tuple[float, ...], boundaries: tuple[int, ...]) -> _Piecewise:
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
    values = tuple(as_number(rate, f"rates[{i}]", least=0) for i, rate in enumerate(rates))
    steps = tuple(as_count(step, f"boundaries[{i}]") for i, step in enumerate(boundaries))
    if len(values) != len(steps) + 1:
        raise ValueError(
            f"rates must be one more than boundaries ({len(steps)}), got {len(values)}"
        )
    if list(steps) != sorted(set(steps)):
        raise ValueError(f"boundaries must increase, got {list(steps)}")
    return _Piecewise(values, steps)
