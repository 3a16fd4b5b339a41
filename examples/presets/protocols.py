"""The papers' protocols and their published figures, in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import fomaml_fast as ff
from examples.sinusoid.settings import (
    PUBLISHED,
    PUBLISHED_SHOTS,
    PUBLISHED_STEPS,
    Settings,
)
from examples.sinusoid.training import Method
from fomaml_fast.samplers import Sinusoid


@dataclass(frozen=True)
class Protocol:
    """What one paper trained, on what, and what it reported.

    Attributes
    ----------
    paper : str
        Short name, the label of its rows.
    settings : Settings
        Network, length and test. Each K of ``train_shots`` is one training.
    sampler : Sinusoid
        The tasks.
    methods : tuple of Method
        Trained on the same meta-batches.
    published : mapping
        ``(method, K, steps)``, K of the test, to the published mean squared error.
    """

    paper: str
    settings: Settings
    sampler: Sinusoid
    methods: tuple[Method, ...]
    published: Mapping[tuple[str, int, int], float] = field(default_factory=dict)

    def test_shots(self, trained_shots: int) -> tuple[int, ...]:
        """K at which a network trained at `trained_shots` is tested.

        Examples
        --------
        >>> [p.test_shots(10) for p in protocols()]
        [(5,), (10,), (10,)]
        """
        own = self.settings.test_shots
        return (trained_shots,) if trained_shots in own else own

    def quick(self) -> Protocol:
        """Return it cut down so that it only shows that everything runs."""
        short = replace(self.settings, iterations=300, test_tasks=60, chunk=100, shortened=True)
        return replace(self, settings=short)


def protocols() -> tuple[Protocol, ...]:
    """Return the protocols with a published sinusoid figure.

    Finn et al. (2017), section 5.1, with the K = 10 of their public code in training. Meta-SGD: Li
    et al. (2017), section 4.1: y = A sin(ωx + b), which is a phase from −π to 0 here; the paper
    repeats its test on 100 curves 100 times, so 10,000 curves are tested here. CAVIA: Zintgraf et
    al. (2019), section 5.1, and its public code, whose tasks are those of Finn et al.; its readme
    runs MAML with an inner rate of 0.1, its default settings with 0.01: both are trained.

    Returns
    -------
    tuple of Protocol

    Examples
    --------
    >>> [p.paper for p in protocols()]
    ['Finn et al. 2017', 'Meta-SGD, Li et al. 2017', 'CAVIA, Zintgraf et al. 2019']
    """
    finn = Settings(train_shots=(10,), test_shots=(PUBLISHED_SHOTS,), test_steps=PUBLISHED_STEPS)
    li = replace(
        finn,
        iterations=60_000,
        tasks_per_batch=4,
        train_shots=(5, 10, 20),
        test_shots=(5, 10, 20),
        test_tasks=10_000,
        test_steps=(1,),
        chunk=2000,
    )
    zintgraf = replace(
        finn, iterations=50_000, inner_rate=0.1, test_shots=(10,), test_tasks=1000, test_steps=(1,)
    )
    tasks = Sinusoid()
    return (
        Protocol(
            "Finn et al. 2017",
            finn,
            tasks,
            (Method("maml", ff.maml(finn.inner_rate), None),),
            {
                ("maml", PUBLISHED_SHOTS, steps): error
                for steps, error in zip(PUBLISHED_STEPS, PUBLISHED["MAML"], strict=True)
            },
        ),
        Protocol(
            "Meta-SGD, Li et al. 2017",
            li,
            Sinusoid(phase=(-math.pi, 0.0), frequency=(0.8, 1.2)),
            (
                Method("maml", ff.maml(li.inner_rate), None),
                Method("meta_sgd", ff.meta_sgd(li.inner_rate), None),
            ),
            {
                ("maml", 5, 1): 1.13,
                ("maml", 10, 1): 0.77,
                ("maml", 20, 1): 0.48,
                ("meta_sgd", 5, 1): 0.90,
                ("meta_sgd", 10, 1): 0.53,
                ("meta_sgd", 20, 1): 0.31,
            },
        ),
        Protocol(
            "CAVIA, Zintgraf et al. 2019",
            zintgraf,
            tasks,
            (
                Method("maml", ff.maml(zintgraf.inner_rate), None),
                Method("cavia", ff.cavia(lr=1.0, context=5), None),
                Method("maml, 0.01", ff.maml(0.01), None),
            ),
            {("maml", 10, 1): 0.33, ("maml, 0.01", 10, 1): 0.33},
        ),
    )
