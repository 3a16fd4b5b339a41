"""The package under test, fed with a `Case`."""

from __future__ import annotations

from typing import Any

import fomaml_fast as ff
import oracle.activations
from cases import LR, Case


def activation(label: str) -> Any:
    """What the oracle's label of an activation stands for: a name, or an object."""
    name, options = oracle.activations.parse(label)
    return type(ff.activations.get(name))(**options) if options else name


def mlp(case: Case) -> ff.MLP:
    """The case's network."""
    sizes, activations, loss, norms = case.spec
    return ff.MLP(sizes, [activation(label) for label in activations], loss, norms)


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
