"""What a sampler is: anything with ``sample(rng, n_tasks)``."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from fomaml_fast.batch import TaskBatch
from fomaml_fast.samplers.random import Seed


@runtime_checkable
class Sampler(Protocol):
    """A source of tasks.

    The contract: ``sample(rng, n_tasks)`` returns a `TaskBatch` of ``n_tasks`` tasks whose
    support and query rows are disjoint, and the same ``rng`` gives the same tasks. Draw thousands
    of tasks in one call and cut the batch into meta-batches: then sampling costs next to nothing.

    Examples
    --------
    >>> from fomaml_fast import samplers
    >>> isinstance(samplers.Sinusoid(), samplers.Sampler)
    True
    """

    def sample(self, rng: Seed, n_tasks: int) -> TaskBatch:
        """Draw ``n_tasks`` tasks.

        Parameters
        ----------
        rng : numpy.random.Generator or int
            A generator, which advances, or a seed: the same seed gives the same tasks.
        n_tasks : int
            At least 1.

        Returns
        -------
        TaskBatch
            Of ``n_tasks`` tasks, stacked or ragged.

        Examples
        --------
        >>> from fomaml_fast import samplers
        >>> len(samplers.Sinusoid().sample(0, n_tasks=3))
        3
        """
        ...
