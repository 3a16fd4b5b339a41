"""Spirals: a toy that follows CONTRIBUTING's recipe for a sampler."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import as_count
from fomaml_fast.batch import TaskBatch
from fomaml_fast.samplers.random import Seed, as_generator
from fomaml_fast.samplers.reading import as_dtype


class Swirl:
    """Tasks of points on a spiral, each wound another number of times."""

    @classmethod
    def example(cls) -> Swirl:
        """Return one."""
        return cls()

    def __repr__(self) -> str:
        return "Swirl()"

    def draw(self, rng: Seed, n_tasks: int) -> npt.NDArray[np.float64]:
        """Return the tasks' windings ``[T]``."""
        return as_generator(rng).random(as_count(n_tasks, "n_tasks", least=1))

    def sample(self, rng: Seed, n_tasks: int, dtype: npt.DTypeLike | None = None) -> TaskBatch:
        """Draw tasks."""
        kind, generator = as_dtype(dtype, np.dtype(np.float32)), as_generator(rng)
        turns = self.draw(generator, n_tasks)
        x = generator.random((n_tasks, 8, 1))
        y = x * np.sin(turns[:, None, None] * x)
        return TaskBatch(
            *(a[:, cut] for cut in (slice(3), slice(3, None)) for a in (x, y)), dtype=kind
        )
