"""The package under test, fed with a `Point`; options that are off are not mentioned to it."""

from __future__ import annotations

from typing import Any

import numpy as np

import fomaml_fast as ff
from oracle import unroll
from points import OPTIMISERS, Point
from subject import activation


def mlp(point: Point) -> ff.MLP:
    """The point's network."""
    options: dict[str, Any] = {} if point.norm is None else {"norm": point.norm}
    return ff.MLP(point.sizes, activation(point.activation), point.loss, **options)


def batch(point: Point) -> ff.TaskBatch:
    """The point's tasks."""
    x, y, x_query, y_query, *weights = (
        np.stack(column) for column in zip(*point.tasks, strict=True)
    )
    extras = {}
    for name, of_outputs in zip(("support", "query"), weights, strict=False):
        extras[f"weights_{name}"] = of_outputs
        extras[f"mask_{name}"] = ~np.isnan(of_outputs)
    return ff.TaskBatch(x, y, x_query, y_query, **extras)


def optimiser(point: Point) -> ff.inner.Inner:
    """The point's inner optimiser with its rates."""
    name, options, _ = OPTIMISERS[point.optimiser]
    common = ("weight_decay", "decoupled_weight_decay", "proximal", "clip_norm")
    given = {key: value for key in common if (value := getattr(point, key))}
    rates: Any = point.rates if point.rates.ndim else float(point.rates)
    return getattr(ff.inner, name)(rates, **options, **given)


def algorithm(point: Point) -> ff.Algorithm:
    """The point's algorithm."""
    gradient: Any = point.algorithm.gradient
    if isinstance(gradient, unroll.Implicit):
        gradient = ff.Implicit(gradient.mu, tol=gradient.tol, max_iter=gradient.max_iter)
    options = {
        "step_weights": point.weights,
        "context": point.context,
        "learn_rates": point.learn,
        "query_loss": point.query_loss,
    }
    given = {key: value for key, value in options.items() if value}
    return ff.Algorithm(
        optimiser(point), steps=point.steps, adapt=point.adapt, gradient=gradient, **given
    )


def meta_grad(point: Point, *, tasks: Any = None, **options: Any) -> ff.MetaGrad:
    """The point's meta-gradient, of all its tasks or some."""
    some = batch(point) if tasks is None else batch(point).take(tasks)
    return ff.meta_grad(mlp(point), point.theta, some, algorithm(point), **options)


def adapt(point: Point, **options: Any) -> Any:
    """The point's adaptation to its support sets."""
    tasks = batch(point)
    extras = {"weights": tasks.weights_support, "mask": tasks.mask_support}
    return ff.adapt(
        *(mlp(point), point.theta, tasks.x_support, tasks.y_support, algorithm(point)),
        **{name: value for name, value in extras.items() if value is not None},
        **options,
    )
