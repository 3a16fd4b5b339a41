"""Every public callable with arguments that it takes: what the fuzz of `test_garbage` spoils."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

import fomaml_fast as ff

NET = ff.MLP([1, 2, 1], activation="tanh")
CLASSIFIER = ff.MLP([1, 2, 3], loss="cross_entropy")
THETA = NET.init(0)
THETA_OF_CLASSIFIER = CLASSIFIER.init(0)
X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3, 1)
Y = np.sin(X)
LABELS = np.array([[0, 1, 2], [2, 1, 0]])
WEIGHTS = np.ones((2, 3), np.float32)
MASK = np.array([[True, True, False], [True, True, True]])
MASKS = [MASK[0, :, None], MASK[1, :2, None]]  # of the one output
CLASSES = np.ones((2, 3), bool)
BATCH = ff.TaskBatch(X, Y, X, Y, task_weights=np.ones(2, np.float32))
META_SGD = ff.meta_sgd(0.1)
ADAM = ff.outer.Adam()
STATE = ff.init_state(NET, META_SGD, ADAM)
VECTOR = np.ones(7, np.float32)


def squares(outputs, targets):
    """Mean squared error, as a user would write it."""
    error = outputs - targets
    scale = error[0].size
    return (error**2).mean(axis=(1, 2)), 2 * error / scale, lambda v: 2 * v / scale


CUSTOM = ff.MLP([1, 2, 1], activation="tanh", loss=ff.losses.Custom(squares))

#: What must never change.
CONSTANTS = (THETA, THETA_OF_CLASSIFIER, X, Y, LABELS, WEIGHTS, MASK, CLASSES, VECTOR, *STATE)


@dataclasses.dataclass(frozen=True)
class Call:
    """A public callable and arguments that it takes."""

    function: Callable[..., Any]
    arguments: dict[str, Any]
    #: Arguments that are not scanned, or whose values need not be finite.
    unscanned: tuple[str, ...] = ()


ROWS = {"weights": WEIGHTS, "mask": MASK}
ROWS_OF_CLASSES = {**ROWS, "class_mask": CLASSES}
RUN = {"threads": 1, "check_finite": True}


def _of_rows(method: str, **more: Any) -> dict[str, Call]:
    """A method of MLP on rows with targets, for each kind of loss."""
    custom = {"theta": THETA, "x": X, "y": Y, **more, **RUN}
    targets = ("y",)  # of a custom loss: whatever its function takes
    labelled = {k: np.ones(len(THETA_OF_CLASSIFIER), np.float32) for k in more}
    numbers = {"theta": THETA, "x": X, "y": Y, **ROWS, **more, **RUN}
    labels = {"theta": THETA_OF_CLASSIFIER, "x": X, "y": LABELS, **ROWS_OF_CLASSES, **labelled}
    one = {"theta": THETA, "x": X[0], "y": Y[0], "weights": WEIGHTS[0], "mask": MASKS[0], **more}
    lists = {"theta": THETA, "x": [X[0], X[1, :2]], "y": [Y[0], Y[1, :2]], "mask": MASKS, **more}
    return {
        f"MLP.{method}": Call(getattr(NET, method), numbers),
        f"MLP.{method} of labels": Call(getattr(CLASSIFIER, method), labels),
        f"MLP.{method} of one task": Call(getattr(NET, method), one),
        f"MLP.{method} of lists": Call(getattr(NET, method), lists),
        f"MLP.{method} with a custom loss": Call(getattr(CUSTOM, method), custom, targets),
    }


ALONG = np.array([[1.0], [-0.5]], np.float32)
PARTS = {"value": Y, "first": np.ones((2, 3, 2, 1), np.float32), "second": None}


def _jet_vjp(theta, x, directions, value, first, second, **more):
    """`MLP.jet_vjp` of a cotangent of these parts."""
    return NET.jet_vjp(theta, x, directions, ff.Jet(value, first, second), **more)


NETWORK: dict[str, Call] = {
    "MLP": Call(ff.MLP, {"sizes": [1, 2, 1], "activation": "tanh", "loss": "mse", "norm": None}),
    "MLP.init": Call(NET.init, {"seed": 0, "dtype": np.float32, "scheme": None}),
    "MLP.unflatten": Call(NET.unflatten, {"theta": THETA}, ("theta",)),
    "MLP.flatten": Call(
        NET.flatten, {"layers": NET.unflatten(THETA), "out": np.empty(7, np.float32)}, ("layers",)
    ),
    "MLP.predict": Call(NET.predict, {"theta": THETA, "x": X, "context": None, **RUN}),
    "MLP.vjp": Call(NET.vjp, {"theta": THETA, "x": X, "cotangent": Y, **RUN}),
    "MLP.jvp": Call(NET.jvp, {"theta": THETA, "x": X, "v": VECTOR, **RUN}),
    "MLP.jacobian": Call(NET.jacobian, {"theta": THETA, "x": X, **RUN}),
    "MLP.input_vjp": Call(NET.input_vjp, {"theta": THETA, "x": X, "cotangent": Y, **RUN}),
    "MLP.input_jvp": Call(NET.input_jvp, {"theta": THETA, "x": X, "tangent": X, **RUN}),
    "MLP.input_jacobian": Call(NET.input_jacobian, {"theta": THETA, "x": X, **RUN}),
    "MLP.input_jacobian of lists": Call(
        NET.input_jacobian, {"theta": THETA, "x": [X[0], X[1, :2]], **RUN}
    ),
    "MLP.jet": Call(NET.jet, {"theta": THETA, "x": X, "directions": ALONG, "order": 2, **RUN}),
    "MLP.jet_vjp": Call(_jet_vjp, {"theta": THETA, "x": X, "directions": ALONG, **PARTS, **RUN}),
    "MLP.jet_vjp of a cotangent": Call(
        NET.jet_vjp, {"theta": THETA, "x": X, "directions": ALONG, "cotangent": ff.Jet(Y), **RUN}
    ),
    **_of_rows("loss"),
    **_of_rows("value_and_grad"),
    **_of_rows("hvp", v=VECTOR),
    **_of_rows("gnvp", v=VECTOR),
}

BATCHES: dict[str, Call] = {
    "TaskBatch": Call(
        ff.TaskBatch,
        {
            "x_support": X,
            "y_support": Y,
            "x_query": X,
            "y_query": Y,
            "weights_support": WEIGHTS,
            "weights_query": WEIGHTS[..., None],
            "mask_support": MASK,
            "mask_query": MASK[..., None],
            "task_weights": np.ones(2, np.float32),
            "class_mask": None,
            "dtype": None,
            "check_finite": True,
        },
    ),
    "TaskBatch of labels": Call(
        ff.TaskBatch,
        {
            "x_support": X,
            "y_support": LABELS,
            "x_query": X,
            "y_query": LABELS,
            "class_mask": CLASSES,
            "dtype": np.float64,
        },
    ),
    "TaskBatch of lists": Call(
        ff.TaskBatch,
        {
            "x_support": [X[0], X[1, :2]],
            "y_support": [LABELS[0], LABELS[1, :2]],
            "x_query": list(X),
            "y_query": list(LABELS),
        },
    ),
    "TaskBatch.take": Call(BATCH.take, {"indices": [0, 1]}),
}

META = {"reduction": "mean", "trace": True, **RUN, "on_divergence": "raise"}


def _stepped(theta, rates, moments, step, outer, algorithm):
    """`meta_step` of a state of these fields."""
    state = ff.State(theta, rates, moments, step)
    return ff.meta_step(NET, state, BATCH, algorithm, outer)


def _custom(returned):
    """A custom loss that returns something else."""
    net = ff.MLP([1, 2, 1], loss=ff.losses.Custom(lambda outputs, targets: returned))
    return net.value_and_grad(THETA, X, Y)


def _custom_parts(value, gradient, product):
    """A custom loss that returns these parts."""
    loss = ff.losses.Custom(lambda outputs, targets: (value, gradient, lambda v: product))
    return ff.MLP([1, 2, 1], loss=loss).hvp(THETA, X, Y, VECTOR)


def _custom_of_jets(value, gradient, first):
    """A custom loss on jets that returns these parts."""
    loss = ff.losses.Custom(lambda jet, y: (value, ff.Jet(gradient, first)), directions=ALONG)
    return ff.MLP([1, 2, 1], activation="tanh", loss=loss).value_and_grad(THETA, X, Y)


def _scheduled(lr):
    """A schedule of the outer rate that returns something else."""
    state = ff.init_state(NET, ff.fomaml(), ff.outer.SGD(lr=lambda step: lr))
    return ff.meta_step(NET, state, BATCH, ff.fomaml(), ff.outer.SGD(lr=lambda step: lr))


ADAPT = {"theta": THETA, "x": X, "y": Y, "weights": WEIGHTS, "mask": MASK}
LEARNING: dict[str, Call] = {
    "adapt": Call(
        ff.adapt,
        {
            "net": NET,
            **ADAPT,
            "algorithm": META_SGD,
            "steps": 2,
            "rates": VECTOR,
            "trace": False,
            **RUN,
            "on_divergence": "mask",
        },
    ),
    "adapt with a trace": Call(
        ff.adapt,
        {"net": NET, **ADAPT, "algorithm": ff.fomaml(), "trace": [0, 1], "class_mask": None},
    ),
    "adapt of labels": Call(
        ff.adapt,
        {
            "net": CLASSIFIER,
            "theta": THETA_OF_CLASSIFIER,
            "x": X,
            "y": LABELS,
            "class_mask": CLASSES,
            "algorithm": ff.fomaml(),
        },
    ),
    "adapt with a custom loss": Call(
        ff.adapt,
        {
            "net": CUSTOM,
            "theta": THETA,
            "x": X,
            "y": Y,
            "mask": MASK,
            "steps": 1,
            "algorithm": ff.fomaml(),
            "rates": None,
            "trace": True,
            **RUN,
        },
    ),
    "adapt of one task with a custom loss": Call(
        ff.adapt,
        {"net": CUSTOM, "theta": THETA, "x": X[0], "y": Y[0], "algorithm": ff.fomaml()},
    ),
    "evaluate": Call(
        ff.evaluate,
        {
            "net": NET,
            "theta": THETA,
            "batch": BATCH,
            "algorithm": META_SGD,
            "steps": (0, 2),
            "rates": VECTOR,
            **RUN,
            "on_divergence": "mask",
            "metrics": ("mae", "r2"),
        },
    ),
    "evaluate with a custom loss": Call(
        ff.evaluate,
        {"net": CUSTOM, "theta": THETA, "batch": BATCH, "algorithm": META_SGD, "rates": VECTOR},
    ),
    "meta_grad": Call(
        ff.meta_grad,
        {
            "net": NET,
            "theta": THETA,
            "batch": BATCH,
            "algorithm": META_SGD,
            "rates": VECTOR,
            "per_task": True,
            **META,
        },
    ),
    "meta_grad with a custom loss": Call(
        ff.meta_grad,
        {
            "net": CUSTOM,
            "theta": THETA,
            "batch": BATCH,
            "algorithm": META_SGD,
            "rates": VECTOR,
            "per_task": True,
            **META,
        },
    ),
    "init_state": Call(
        ff.init_state,
        {"net": NET, "algorithm": META_SGD, "outer": ADAM, "theta": THETA, "dtype": np.float32},
    ),
    "init_state of a seed": Call(
        ff.init_state,
        {"net": NET, "algorithm": ff.fomaml(), "outer": ADAM, "seed": 0, "dtype": np.float32},
    ),
    "meta_step": Call(
        ff.meta_step,
        {"net": NET, "state": STATE, "batch": BATCH, "algorithm": META_SGD, "outer": ADAM, **META},
    ),
    "meta_step with a custom loss": Call(
        ff.meta_step,
        {
            "net": CUSTOM,
            "state": STATE,
            "batch": BATCH,
            "algorithm": META_SGD,
            "outer": ADAM,
            **META,
        },
    ),
    "State": Call(_stepped, {**STATE._asdict(), "outer": ADAM, "algorithm": META_SGD}),
    "plan": Call(
        ff.plan,
        {
            "net": NET,
            "batch": BATCH,
            "algorithm": ff.fomaml(),
            "operation": "meta_grad",
            "threads": 1,
        },
    ),
}

SHARED_INNER = {
    "lr": 0.1,
    "weight_decay": 0.0,
    "decoupled_weight_decay": 0.0,
    "proximal": 0.0,
    "clip_norm": 1.0,
}


def _defaults(function: Callable[..., Any], **given: Any) -> Call:
    """A callable at its defaults."""
    found = inspect.signature(function).parameters.values()
    return Call(function, {p.name: given.get(p.name, p.default) for p in found})


SPECS: dict[str, Call] = {
    "Implicit": _defaults(ff.Implicit),
    "Algorithm": _defaults(ff.Algorithm, inner=ff.inner.SGD(0.1)),
    "Algorithm.initial_rates": Call(META_SGD.initial_rates, {"net": NET, "dtype": np.float64}),
    **{
        name: _defaults(getattr(ff.presets, name))
        for name in (
            "anil",
            "boil",
            "cavia",
            "fomaml",
            "imaml",
            "maml",
            "mamlpp",
            "meta_sgd",
            "reptile",
        )
    },
    **{
        f"inner.{name}": _defaults(kind)
        for name, kind in vars(ff.inner).items()
        if isinstance(kind, type)
        and issubclass(kind, ff.inner.Inner)
        and kind is not ff.inner.Inner
    },
    **{
        f"outer.{name}": _defaults(getattr(ff.outer, name), lr=0.1)
        for name in ("SGD", "Adam", "AdamW")
    },
    "outer.SGD with a schedule": Call(_scheduled, {"lr": 0.1}),
    "inner.get": _defaults(ff.inner.get, name="sgd"),
    "outer.get": _defaults(ff.outer.get, name="sgd"),
    "activations.get": Call(ff.activations.get, {"activation": "relu"}),
    "activations.LeakyReLU": _defaults(ff.activations.LeakyReLU),
    "activations.Sin": _defaults(ff.activations.Sin),
    "activations.ELU": _defaults(ff.activations.ELU),
    "losses.Huber": _defaults(ff.losses.Huber),
    "losses.Quantile": _defaults(ff.losses.Quantile),
    "losses.Custom": Call(ff.losses.Custom, {"fn": squares}),
    "losses.Custom of jets": Call(
        ff.losses.Custom, {"fn": squares, "directions": ALONG, "order": 1}
    ),
    "losses.Custom of jets that returns parts": Call(
        _custom_of_jets,
        {"value": np.ones(2), "gradient": np.ones((2, 3, 1)), "first": np.ones((2, 3, 2, 1))},
        ("value", "gradient", "first"),
    ),
    "losses.Custom that returns something": Call(
        _custom, {"returned": squares(X, Y)}, ("returned",)
    ),
    "losses.Custom that returns parts": Call(
        _custom_parts,
        {"value": np.ones(2), "gradient": np.ones((2, 3, 1)), "product": np.ones((2, 3, 1))},
        ("value", "gradient", "product"),
    ),
    "losses.get": Call(ff.losses.get, {"loss": "mse"}),
    "metrics.get": Call(ff.metrics.get, {"name": "mae"}),
    "schedules.cosine": _defaults(ff.schedules.cosine, lr=0.1, steps=10),
    "schedules.exponential": _defaults(ff.schedules.exponential, lr=0.1, decay=0.5),
    "schedules.piecewise": _defaults(ff.schedules.piecewise, rates=(0.1, 0.2), boundaries=(5,)),
    "schedules.derivative_order": _defaults(
        ff.schedules.derivative_order, algorithm=ff.fomaml(), switch=3
    ),
    "schedules.multi_step_weights": _defaults(
        ff.schedules.multi_step_weights, algorithm=ff.fomaml(steps=2), steps=3
    ),
}
CALLS: dict[str, Call] = {**NETWORK, **BATCHES, **LEARNING, **SPECS}
