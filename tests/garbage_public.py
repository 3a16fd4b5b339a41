"""Which callables are public, and which of them garbage cannot be passed to."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import fomaml_fast as ff

#: Public callables without arguments of their own, and results, which hold whatever they are given.
WITHOUT_ARGUMENTS = {
    *("build_info", "activations.names", "losses.names", "inner.names", "outer.names"),
    *("losses.Loss", "losses.MSE", "losses.CrossEntropy", "losses.SoftCrossEntropy"),
    *("losses.BinaryCrossEntropy", "inner.Inner", "outer.Outer"),
    *(
        "Adaptation",
        "EnginePlan",
        "Ensemble",
        "EnsembleEvaluation",
        "Evaluation",
        "Jet",
        "MetaGrad",
        "Metrics",
        "Plan",
        "SolverReport",
        "Posterior",
        "losses.GaussianNLL",
    ),
    *(
        "DivergenceError",
        "MetricValues",
        "metrics.Metric",
        "metrics.names",
        "activations.Activation",
        "inner.NegativeRate",
    ),
    # Members without options: their classes take nothing.
    *(
        f"activations.{type(ff.activations.get(name)).__name__}"
        for name in ff.activations.names()
        if not ff.activations.get(name).options
    ),
}
MODULES = ("activations", "inner", "losses", "metrics", "outer", "presets", "schedules")


def public_callables() -> Iterator[str]:
    """Names of all public callables but the samplers, whose helper tests them."""
    for name in ff.__all__:
        value = getattr(ff, name)
        if not callable(value):
            continue
        yield name
        if isinstance(value, type) and name not in WITHOUT_ARGUMENTS:
            yield from (
                f"{name}.{method}"
                for method, found in inspect.getmembers(value, inspect.isfunction)
                if not method.startswith("_") and found.__module__.startswith("fomaml_fast")
            )
    for name in MODULES:
        module = getattr(ff, name)
        for member, value in vars(module).items():
            if member.startswith("_") or not callable(value):
                continue
            if getattr(value, "__module__", "") == module.__name__:
                yield member if member in ff.__all__ else f"{name}.{member}"
