"""Sinusoid regression, the first experiment of the MAML paper.

A task is a curve ``y = A sin(ω x − φ)`` seen at a few points. Finn, Abbeel & Levine,
"Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", ICML 2017, section 5.1:
A in [0.1, 5], φ in [0, π], x in [−5, 5], all uniform, ω = 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import as_count, as_number, float_dtype
from fomaml_fast.batch import TaskBatch
from fomaml_fast.samplers.arrays import Array, interval
from fomaml_fast.samplers.random import Seed, as_generator


class Curves(NamedTuple):
    """The parameters of T sinusoids, each an array ``[T]``."""

    amplitude: Array
    phase: Array
    frequency: Array

    def __call__(self, x: npt.ArrayLike) -> Array:
        """Return the curves' values: x is ``[n]`` for all curves or ``[T, n]``; gives ``[T, n]``.

        Examples
        --------
        >>> import numpy as np
        >>> from fomaml_fast.samplers import Curves
        >>> curve = Curves(np.array([2.0]), np.array([0.0]), np.array([1.0]))
        >>> curve([0.0, np.pi / 2])
        array([[0., 2.]])
        """
        angle = self.frequency[:, None] * np.asarray(x) - self.phase[:, None]
        return np.asarray(self.amplitude[:, None] * np.sin(angle))


@dataclass(frozen=True)
class Sinusoid:
    """Sinusoids with random amplitude, phase and frequency, each uniform in its range.

    Parameters
    ----------
    amplitude : (float, float), default (0.1, 5.0)
    phase : (float, float), default (0, π)
        Radians.
    frequency : (float, float), default (1, 1)
        Angular frequency, radians per unit of x.
    x_range : (float, float), default (-5, 5)
        Where the rows of support and query lie.
    noise : float, default 0
        Standard deviation of the Gaussian noise on random rows; grid queries have none.

    Raises
    ------
    TypeError, ValueError
        For a range that is not a finite pair ``low <= high``, or a negative noise.

    Examples
    --------
    >>> from fomaml_fast.samplers import Sinusoid
    >>> batch = Sinusoid().sample(0, n_tasks=1000, k_support=5, k_query=10)
    >>> batch.x_support.shape, batch.y_query.shape, batch.dtype
    ((1000, 5, 1), (1000, 10, 1), dtype('float32'))
    """

    amplitude: tuple[float, float] = (0.1, 5.0)
    phase: tuple[float, float] = (0.0, math.pi)
    frequency: tuple[float, float] = (1.0, 1.0)
    x_range: tuple[float, float] = (-5.0, 5.0)
    noise: float = 0.0

    def __post_init__(self) -> None:
        for name in ("amplitude", "phase", "frequency", "x_range"):
            object.__setattr__(self, name, interval(name, getattr(self, name)))
        object.__setattr__(self, "noise", as_number(self.noise, "noise", least=0))

    def draw(self, rng: Seed, n_tasks: int, dtype: npt.DTypeLike = np.float32) -> Curves:
        """Draw the parameters of ``n_tasks`` curves.

        Parameters
        ----------
        rng : numpy.random.Generator or int
            A generator, which advances, or a seed: the same seed gives the same curves.
        n_tasks : int
            At least 1.
        dtype : float32 (default) or float64

        Returns
        -------
        Curves
            amplitude, phase (radians) and frequency (radians per unit of x), each ``[n_tasks]``.

        Raises
        ------
        TypeError
            For an rng that is neither a generator nor an integer, a number of tasks that is no
            integer, or another dtype.
        ValueError
            For a negative seed or fewer than one task.

        Examples
        --------
        >>> from fomaml_fast.samplers import Sinusoid
        >>> curves = Sinusoid(amplitude=(1, 2)).draw(0, 100)
        >>> bool(curves.amplitude.min() >= 1), bool(curves.amplitude.max() <= 2)
        (True, True)
        """
        generator, n_tasks = as_generator(rng), as_count(n_tasks, "n_tasks", least=1)
        ranges = (self.amplitude, self.phase, self.frequency)
        return Curves(*(_uniform(generator, r, (n_tasks,), dtype) for r in ranges))

    def observe(
        self, rng: Seed, curves: Curves, k_support: int = 10, k_query: int | None = None
    ) -> TaskBatch:
        """See given curves at random points, uniform in ``x_range``.

        Parameters
        ----------
        rng : numpy.random.Generator or int
            A generator, which advances, or a seed: the same seed gives the same points.
        curves : Curves
            T curves (see `draw`); the batch takes their dtype.
        k_support : int, default 10
            Support rows per task, at least 1.
        k_query : int, optional
            Query rows per task, at least 1; as many as support rows by default.

        Returns
        -------
        TaskBatch
            x_support ``[T, k_support, 1]``, x_query ``[T, k_query, 1]``, y alike; with noise on
            all y if ``noise`` is positive.

        Raises
        ------
        TypeError
            For an rng that is neither a generator nor an integer, or a number of rows that
            is no integer.
        ValueError
            For a negative seed or fewer than one row.

        Examples
        --------
        >>> from fomaml_fast.samplers import Sinusoid
        >>> sinusoid = Sinusoid()
        >>> curves = sinusoid.draw(0, 3)
        >>> sinusoid.observe(1, curves, k_support=5).y_query.shape
        (3, 5, 1)
        """
        k_support = as_count(k_support, "k_support", least=1)
        k_query = k_support if k_query is None else as_count(k_query, "k_query", least=1)
        x, y = self._rows(as_generator(rng), curves, k_support + k_query)
        return _task_batch(x[:, :k_support], y[:, :k_support], x[:, k_support:], y[:, k_support:])

    def observe_on_grid(
        self, rng: Seed, curves: Curves, k_support: int = 10, n_grid: int = 100
    ) -> TaskBatch:
        """See given curves at ``k_support`` random points, and query an even grid over ``x_range``.

        Parameters
        ----------
        rng : numpy.random.Generator or int
            A generator, which advances, or a seed: the same seed gives the same points.
        curves : Curves
            T curves (see `draw`); the batch takes their dtype.
        k_support : int, default 10
            Support rows per task, at least 1.
        n_grid : int, default 100
            Query rows per task, at least 1; both ends of ``x_range`` are among them from 2 on.

        Returns
        -------
        TaskBatch
            x_support ``[T, k_support, 1]``, x_query ``[T, n_grid, 1]`` (the same grid for all
            tasks), y alike; y_query is free of noise.

        Raises
        ------
        TypeError
            For an rng that is neither a generator nor an integer, or a number of rows that
            is no integer.
        ValueError
            For a negative seed or fewer than one row.

        Examples
        --------
        >>> from fomaml_fast.samplers import Sinusoid
        >>> sinusoid = Sinusoid()
        >>> batch = sinusoid.observe_on_grid(1, sinusoid.draw(0, 3), k_support=5, n_grid=11)
        >>> batch.x_query[2, :, 0].tolist()
        [-5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        """
        x, y = self._rows(as_generator(rng), curves, as_count(k_support, "k_support", least=1))
        grid = np.linspace(*self.x_range, as_count(n_grid, "n_grid", least=1), dtype=x.dtype)
        x_grid = np.broadcast_to(grid, (len(x), len(grid)))
        return _task_batch(x, y, np.ascontiguousarray(x_grid), curves(grid))

    def sample(
        self,
        rng: Seed,
        n_tasks: int,
        k_support: int = 10,
        k_query: int | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> TaskBatch:
        """Draw curves and see them at random points.

        Parameters
        ----------
        rng : numpy.random.Generator or int
            A generator, or a seed: the same seed gives the same tasks.
        n_tasks : int
        k_support : int, default 10
            Support rows per task.
        k_query : int, optional
            Query rows per task; as many as support rows by default.
        dtype : float32 (default) or float64

        Returns
        -------
        TaskBatch
            x_support ``[n_tasks, k_support, 1]``, x_query ``[n_tasks, k_query, 1]``, y alike.
        """
        generator = as_generator(rng)
        return self.observe(generator, self.draw(generator, n_tasks, dtype), k_support, k_query)

    def _rows(self, rng: np.random.Generator, curves: Curves, n_rows: int) -> tuple[Array, Array]:
        """Return random x and the curves' (noisy) y there, both ``[T, n_rows]``."""
        dtype = curves.amplitude.dtype
        x = _uniform(rng, self.x_range, (len(curves.amplitude), n_rows), dtype)
        y = curves(x)
        if self.noise > 0:
            y += dtype.type(self.noise) * rng.standard_normal(y.shape, dtype=dtype.type)
        return x, y


def _uniform(
    rng: np.random.Generator,
    low_high: tuple[float, float],
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
) -> Array:
    kind: Any = float_dtype(dtype).type
    low, high = low_high
    return np.asarray(kind(low) + kind(high - low) * rng.random(shape, dtype=kind))


def _task_batch(x_support: Array, y_support: Array, x_query: Array, y_query: Array) -> TaskBatch:
    # Contiguous once here, so that slices of tasks need no copy later.
    arrays = (x_support, y_support, x_query, y_query)
    return TaskBatch(*(np.ascontiguousarray(a)[..., None] for a in arrays))
