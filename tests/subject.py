"""The package under test, fed with a `Case`."""

from __future__ import annotations

from typing import Any

import fomaml_fast as ff
from cases import LR, Case


def mlp(case: Case) -> ff.MLP:
    """The case's network."""
    return ff.MLP(*case.spec)


def batch(case: Case, *, ragged: bool = False) -> ff.TaskBatch:
    """The case's tasks."""
    return ff.TaskBatch(*case.arrays(ragged=ragged))


def algorithm(gradient: str = "first", steps: int = 1, lr: float = LR) -> ff.Algorithm:
    """Plain gradient descent inside."""
    return ff.Algorithm(ff.inner.SGD(lr), steps=steps, gradient=gradient)


def meta_grad(
    case: Case,
    gradient: str = "first",
    steps: int = 1,
    lr: float = LR,
    *,
    ragged: bool = False,
    **options: Any,
) -> ff.MetaGrad:
    """The meta-gradient of the case."""
    return ff.meta_grad(
        mlp(case),
        case.theta,
        batch(case, ragged=ragged),
        algorithm(gradient, steps, lr),
        **options,
    )
