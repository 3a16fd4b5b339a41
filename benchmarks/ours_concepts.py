"""fomaml_fast on the concepts beyond MAML, called as a user would call it."""

from __future__ import annotations

from typing import Any

import numpy as np

import fomaml_fast as ff
from benchmarks import concepts, ours
from benchmarks.baselines import Case
from benchmarks.workloads import INNER_RATE, Array, Params, Workload, flatten, problem


def missing(concept: str) -> str | None:
    """The reason why this build cannot compute `concept`, or None."""
    needs = {
        "adam": (ff.inner, "Adam"),
        "anil": (ff, "anil"),
        "meta_sgd": (ff, "meta_sgd"),
        "imaml": (ff, "imaml"),
        "head": (ff, "alpaca"),
    }
    place, name = needs[concept]
    return None if hasattr(place, name) else f"{place.__name__}.{name}"


def algorithm(workload: Workload, concept: str) -> Any:
    steps = workload.steps
    if concept == "adam":
        adam = ff.inner.Adam(concepts.ADAM_RATE, concepts.ADAM_BETAS, concepts.ADAM_EPS)
        return ff.Algorithm(adam, steps=steps, gradient="exact")
    if concept == "anil":
        return ff.anil(lr=INNER_RATE, steps=steps, gradient="exact")
    if concept == "meta_sgd":
        return ff.meta_sgd(lr=INNER_RATE, steps=steps, gradient="exact")
    if concept == "head":
        return ff.alpaca(prior="full")
    return ff.imaml(
        lr=INNER_RATE,
        steps=steps,
        mu=concepts.PROXIMAL,
        tol=concepts.CG_TOLERANCE,
        max_iter=concepts.CG_ITERATIONS,
    )


def build(workload: Workload, concept: str) -> Case:
    """Prepare `concept` on `workload`."""
    d, net = problem(workload), ours.network(workload)
    theta = flatten(d.params)
    batch = ff.TaskBatch(d.x_support, d.y_support, d.x_query, d.y_query)
    chosen = algorithm(workload, concept)
    rates = learned(workload, concept)
    options = {} if rates is None else {"rates": rates}

    def answer(out: Any) -> dict[str, Any]:
        found = {"loss": np.atleast_1d(out.loss), "gradient": out.grad}
        if concept == "head":
            found["rate_gradient"] = flatten(head_layer(workload, out.rate_grad))
        elif rates is not None:
            found["rate_gradient"] = out.rate_grad
        return found

    return Case(lambda: ff.meta_grad(net, theta, batch, chosen, **options), answer)


def learned(workload: Workload, concept: str) -> Array | None:
    """What is learned beside theta, as `meta_grad` takes it; None is nothing."""
    if concept == "meta_sgd":
        return flatten(concepts.rates(workload))
    if concept == "head":
        ((triangle, log_noise),) = concepts.head_numbers(workload)
        return np.concatenate([triangle[np.tril_indices(len(triangle))], log_noise])
    return None


def head_layer(workload: Workload, numbers: Array) -> Params:
    """The numbers of a head in the shape of `concepts.head_numbers`."""
    m = workload.sizes[-2] + 1
    triangle, used = np.zeros((m, m), numbers.dtype), m * (m + 1) // 2
    triangle[np.tril_indices(m)] = numbers[:used]
    return [(triangle, numbers[used:])]
