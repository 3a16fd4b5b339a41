"""Sinusoid regression, the first experiment of the MAML paper.

A task is a curve ``y = A sin(ω x − φ)`` seen at a few points. Finn, Abbeel & Levine,
"Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", ICML 2017, section 5.1:
A in [0.1, 5], φ in [0, π], x in [−5, 5], all uniform, ω = 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import as_count, as_number
from fomaml_fast.batch import TaskBatch
from fomaml_fast.samplers.random import Seed, as_generator, as_steps, in_steps
from fomaml_fast.samplers.reading import Array, as_dtype, described, interval, read


class Curves(NamedTuple):
    """The parameters of T sinusoids, each an array ``[T]``."""

    amplitude: Array
    phase: Array
    frequency: Array

    def __call__(self, x: npt.ArrayLike) -> Array:
        """Return the curves' values: x is ``[n]`` for all curves or ``[T, n]``; gives ``[T, n]``.

        Raises
        ------
        TypeError, ValueError
            For parameters or points that are no real numbers, or of other shapes.

        Examples
        --------
        >>> import numpy as np
        >>> from fomaml_fast.samplers import Curves
        >>> curve = Curves(np.array([2.0]), np.array([0.0]), np.array([1.0]))
        >>> curve([0.0, np.pi / 2])
        array([[0., 2.]])
        """
        curves, points = _checked(self), read("x", x)
        if points.dtype.kind not in "fiub":
            raise TypeError(f"x must hold real numbers, got {points.dtype}")
        n_curves = len(curves.amplitude)
        if points.ndim > 2 or (points.ndim == 2 and len(points) != n_curves):
            raise ValueError(
                f"x must have shape [n] or [{n_curves}, n], one row a curve, got "
                f"{list(points.shape)}"
            )
        return _values(curves, points)

    def __repr__(self) -> str:
        dtype = getattr(self.amplitude, "dtype", type(self.amplitude).__name__)
        return f"Curves({np.size(self.amplitude)} sinusoids, {dtype})"


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
        For a range that is not a finite pair ``low <= high``, or a negative noise; when drawing,
        for one that float32 cannot hold.

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
        self._check_fit(np.dtype(np.float64))

    @classmethod
    def example(cls) -> Sinusoid:
        """Return the sampler of the MAML paper.

        Returns
        -------
        Sinusoid

        Examples
        --------
        >>> from fomaml_fast.samplers import Sinusoid
        >>> Sinusoid.example().sample(0, n_tasks=4).x_query.shape
        (4, 10, 1)
        """
        return cls()

    def draw(self, rng: Seed, n_tasks: int, dtype: npt.DTypeLike | None = None) -> Curves:
        """Draw the parameters of ``n_tasks`` curves.

        Parameters
        ----------
        rng : numpy.random.Generator or int
            A generator, which advances, or a seed: the same seed gives the same curves.
        n_tasks : int
            At least 1.
        dtype : float32 or float64, optional
            float32 by default.

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
        kind = as_dtype(dtype, np.dtype(np.float32))
        self._check_fit(kind)
        low, width = _affine((self.amplitude, self.phase, self.frequency), kind)
        return Curves(*(low + width * generator.random((3, n_tasks), dtype=kind.type)))

    def observe(
        self,
        rng: Seed,
        curves: Curves,
        k_support: int = 10,
        k_query: int | None = None,
        *,
        steps: int | None = None,
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
        steps : int, optional
            Draw ``k_support`` rows for each of so many inner steps; by default all see the same.

        Returns
        -------
        TaskBatch
            x_support ``[T, k_support, 1]`` or ``[T, steps, k_support, 1]``, x_query
            ``[T, k_query, 1]``, y alike; with noise on all y if ``noise`` is positive.

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
        steps = as_steps(steps)
        n_support = k_support * (steps or 1)
        x, y = self._rows(as_generator(rng), _checked(curves), n_support + k_query)
        return _task_batch(x, y, x[:, n_support:], y[:, n_support:], n_support, steps)

    def observe_on_grid(
        self,
        rng: Seed,
        curves: Curves,
        k_support: int = 10,
        n_grid: int = 100,
        *,
        steps: int | None = None,
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
        steps : int, optional
            As in `observe`.

        Returns
        -------
        TaskBatch
            x_support as `observe` draws it, x_query ``[T, n_grid, 1]`` (the same grid for all
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
        k_support = as_count(k_support, "k_support", least=1)
        n_grid = as_count(n_grid, "n_grid", least=1)
        curves = _checked(curves)
        steps = as_steps(steps)
        n_support = k_support * (steps or 1)
        x, y = self._rows(as_generator(rng), curves, n_support)
        grid = np.linspace(*self.x_range, n_grid, dtype=x.dtype)
        query = np.broadcast_to(grid, (len(x), n_grid)), _values(curves, grid)
        return _task_batch(x, y, *query, n_support, steps)

    def sample(
        self,
        rng: Seed,
        n_tasks: int,
        k_support: int = 10,
        k_query: int | None = None,
        dtype: npt.DTypeLike | None = None,
        *,
        steps: int | None = None,
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
        dtype : float32 or float64, optional
            float32 by default.
        steps : int, optional
            As in `observe`.

        Returns
        -------
        TaskBatch
            As `observe` makes it.

        Raises
        ------
        TypeError
            For an rng that is neither a generator nor an integer, a number of tasks or rows that
            is no integer, or another dtype.
        ValueError
            For a negative seed, or fewer than one task or row.

        Examples
        --------
        >>> from fomaml_fast.samplers import Sinusoid
        >>> Sinusoid().sample(0, n_tasks=2, k_support=5).y_query.shape
        (2, 5, 1)
        """
        k_support = as_count(k_support, "k_support", least=1)
        k_query = k_support if k_query is None else as_count(k_query, "k_query", least=1)
        generator = as_generator(rng)
        steps = as_steps(steps)
        n_support = k_support * (steps or 1)
        x, y = self._rows(generator, self.draw(generator, n_tasks, dtype), n_support + k_query)
        return _task_batch(x, y, x[:, n_support:], y[:, n_support:], n_support, steps)

    def _rows(self, rng: np.random.Generator, curves: Curves, n_rows: int) -> tuple[Array, Array]:
        """Return random x and the curves' (noisy) y there, both ``[T, n_rows]``."""
        kind = curves.amplitude.dtype
        self._check_fit(kind)
        low, width = _affine((self.x_range,), kind)
        x = low + width * rng.random((len(curves.amplitude), n_rows), dtype=kind.type)
        y = _values(curves, x)
        if self.noise > 0:
            y += kind.type(self.noise) * rng.standard_normal(y.shape, dtype=kind.type)
        return x, y

    def _check_fit(self, kind: np.dtype[Any]) -> None:
        """Raise where numbers of that dtype would overflow on the way to a curve's values."""
        most = float(np.finfo(kind).max) / 16  # noise is not thought to exceed 8 deviations
        for name in ("amplitude", "phase", "frequency", "x_range", "noise"):
            value = getattr(self, name)
            if _reach(value) > most:
                raise ValueError(f"{name} must fit {kind}, got {value}")
        if _reach(self.frequency) * _reach(self.x_range) > most:
            raise ValueError(
                f"frequency times x_range must fit {kind}, got {self.frequency} and {self.x_range}"
            )


def _reach(value: float | tuple[float, float]) -> float:
    return max(map(abs, value)) if isinstance(value, tuple) else value


@lru_cache(maxsize=64)
def _affine(ranges: tuple[tuple[float, float], ...], kind: np.dtype[Any]) -> tuple[Array, Array]:
    """Return the lower ends and widths ``[ranges, 1]`` that numbers in [0, 1) are mapped to."""
    low = np.array([[low] for low, _ in ranges], dtype=kind)
    width = np.array([[high - low] for low, high in ranges], dtype=kind)
    return low, width


def _values(curves: Curves, x: Array) -> Array:
    angle = curves.frequency[:, None] * x
    angle -= curves.phase[:, None]
    np.sin(angle, out=angle)
    angle *= curves.amplitude[:, None]
    return angle


def _checked(curves: Curves) -> Curves:
    """Return curves of one float dtype and length, all finite, or say what came instead."""
    if not isinstance(curves, Curves):
        raise TypeError(f"curves must be Curves, as draw gives them, got {described(curves)}")
    arrays = [read(f"curves.{name}", getattr(curves, name)) for name in Curves._fields]
    for name, array in zip(Curves._fields, arrays, strict=True):
        if array.dtype.kind not in "fiu":
            raise TypeError(f"curves.{name} must hold real numbers, got {array.dtype}")
        if array.ndim != 1 or len(array) == 0 or len(array) != len(arrays[0]):
            raise ValueError(
                f"curves.{name} must have shape [{np.size(arrays[0])}], one number a curve, got "
                f"{list(array.shape)}"
            )
        if not np.isfinite(array).all():
            row = int((~np.isfinite(array)).argmax())
            raise ValueError(f"curves.{name} must be finite, but number {row} is {array[row]}")
    single = all(array.dtype == np.float32 for array in arrays)
    kind = np.float32 if single else np.float64
    return Curves(*(array.astype(kind, copy=False) for array in arrays))


def _task_batch(
    x: Array, y: Array, x_query: Array, y_query: Array, n_support: int, steps: int | None
) -> TaskBatch:
    """Make the first rows the support."""
    # Contiguous once here, so that slices of tasks need no copy later.
    support = (in_steps(rows[:, :n_support], steps) for rows in (x, y))
    arrays = (*support, x_query, y_query)
    return TaskBatch(*(np.ascontiguousarray(a)[..., None] for a in arrays))
