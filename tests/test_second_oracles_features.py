"""JAX, PyTorch and optax against the package, and against our own oracle, over the product space.

Skipped, visibly, where they are not installed.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

import error_table
import oracle
import subject_points as subject
from oracle import inner_optimisers, rates
from points import ACTIVATIONS, FLOWS, LOSSES, MASKS, NORMS, OPTIMISERS, QUERY_LOSSES, RATES, Point
from tolerances import TOLERANCES, relative_error

#: Through the list of activations, to whose length it has no common divisor.
STRIDE = next(n for n in (3, 4, 5, 7) if math.gcd(n, len(ACTIVATIONS)) == 1)


def sample() -> list[Point]:
    """Every optimiser with every flow; the other axes turn at different speeds."""
    points = []
    for number, (optimiser, flow) in enumerate(itertools.product(OPTIMISERS, FLOWS)):
        implicit, differentiated = flow == "implicit", flow in ("first", "exact")
        turn = number + number // len(FLOWS)
        loss = LOSSES[turn % len(LOSSES)]
        points.append(
            Point(
                optimiser,
                RATES[turn % len(RATES)],
                MASKS[(turn // 2) % len(MASKS)],
                flow,
                learn=differentiated,
                step_weights=differentiated and number % 3 == 0,
                weight_decay=0.0 if implicit else 0.2 * (number % 2),
                decoupled_weight_decay=0.0 if implicit else 0.1 * (number % 3),
                proximal=0.0 if implicit else 0.3 * (number // 2 % 2),
                clip_norm=(None, 0.3, 40.0)[turn % 3],
                loss=loss,
                query_loss=QUERY_LOSSES[loss][number % len(QUERY_LOSSES[loss])],
                activation=ACTIVATIONS[(STRIDE * turn + 1) % len(ACTIVATIONS)],
                norm=NORMS[turn % len(NORMS)],
                stepped=not implicit and turn % 2 == 1,
                seed=number,
            )
        )
    contexts = [Point(context=2, flow=flow, learn=flow != "implicit") for flow in FLOWS]
    return [*points, *(point for point in contexts if point.flow != "reptile")]


def solves(task):
    """Conjugate gradients end where the system is indefinite; JAX's dense solve goes on."""
    return task.solver is None or not task.solver.indefinite


def test_most_implicit_points_are_solved():
    solved = [solves(p.expected.tasks[0]) for p in sample() if p.flow == "implicit"]
    assert sum(solved) > len(solved) / 2


every_point = pytest.mark.parametrize("point", sample(), ids=str)


def agree(pairs, limit):
    errors = {name: relative_error(actual, expected) for name, (actual, expected) in pairs.items()}
    assert all(error <= limit for error in errors.values()), errors
    return max(errors.values())


# -------------------------------------------------------------------------------------------- JAX


@pytest.fixture(scope="module")
def plain_jax(jax):
    import plain_jax

    return plain_jax


def jax_result(plain_jax, point):
    assert plain_jax.supports(point), "write the choice down in plain_jax.py"
    return plain_jax.first_task(point)


@every_point
def test_our_oracle_matches_jax(plain_jax, point):
    ours, theirs = point.expected.tasks[0], jax_result(plain_jax, point)
    pairs = {
        "grad": (ours.grad, theirs.grad),
        "loss": (ours.loss, theirs.loss),
        "adapted": (ours.path.points[-1], theirs.adapted),
    }
    if not solves(ours):
        del pairs["grad"]
    if theirs.rate_grad is not None:
        pairs["rates"] = (ours.rate_grad, theirs.rate_grad)
    agree(pairs, 1e-9)


@every_point
def test_package_matches_jax(plain_jax, point):
    theirs = jax_result(plain_jax, point)
    result = subject.meta_grad(point, tasks=[0])
    pairs = {
        "grad": (result.grad, theirs.grad),
        "loss": (result.loss, theirs.loss),
        "adapted": (subject.adapt(point)[0], theirs.adapted),
    }
    if not solves(point.expected.tasks[0]):
        del pairs["grad"]
    if point.learn:
        pairs["rates"] = (result.rate_grad, theirs.rate_grad)
    error_table.record(point, agree(pairs, TOLERANCES["combination"]["float64"]))


# ---------------------------------------------------------------------------------------- PyTorch

#: Options in the names of both torch.optim and the package.
SHARED = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.8}),
    ("SGD", {"momentum": 0.8, "nesterov": True, "weight_decay": 0.2}),
    ("Adam", {}),
    ("Adam", {"betas": (0.5, 0.8), "eps": 0.1, "weight_decay": 0.3}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.7, "eps": 0.1, "momentum": 0.6, "weight_decay": 0.3}),
    ("RMSprop", {"alpha": 0.7, "centered": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr_decay": 0.4, "initial_accumulator_value": 0.3, "weight_decay": 0.2}),
]


def torch_adapted(torch, name, options, point, values, steps=4):
    """torch.optim run on the oracle's gradients, one group of parameters a layer."""
    task, layers = point.tasks[0], rates.layer_of(point.net)
    parts = [
        torch.tensor(point.theta[layers == layer], requires_grad=True)
        for layer in range(len(values))
    ]
    groups = [{"params": [p], "lr": float(lr)} for p, lr in zip(parts, values, strict=True)]
    optimiser = getattr(torch.optim, name)(groups, **options)
    for _ in range(steps):
        theta = torch.cat(parts).detach().numpy()
        g = oracle.gradient(point.net, theta, task.x_support, task.y_support)
        for layer, part in enumerate(parts):
            part.grad = torch.tensor(g[layers == layer])
        optimiser.step()
    return torch.cat(parts).detach().numpy()


LAYER_RATES = np.array([0.01, 0.02, 0.005])


@pytest.mark.parametrize(("name", "options"), SHARED)
def test_our_optimisers_match_torch(torch, name, options):
    point = Point(activation="relu")
    own = {k: v for k, v in options.items() if k != "weight_decay"}
    algorithm = replace(
        point.algorithm,
        optimiser=getattr(inner_optimisers, name)(**own),
        weight_decay=options.get("weight_decay", 0.0),
        rates=LAYER_RATES,
        rate_kind="layer",
        steps=4,
        gradient="reptile",
    )
    result = oracle.flows.task_result(point.net, point.theta, point.tasks[0], algorithm)
    expected = torch_adapted(torch, name, options, point, LAYER_RATES)
    np.testing.assert_allclose(result.path.points[-1], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("name", "options"), SHARED)
def test_inner_optimisers_match_torch(torch, name, options):
    import fomaml_fast as ff

    point = Point(activation="relu")
    task = point.tasks[0]
    inner = getattr(ff.inner, name)(LAYER_RATES, **options)
    algorithm = ff.Algorithm(inner, steps=4)
    adapted = ff.adapt(subject.mlp(point), point.theta, task.x_support, task.y_support, algorithm)
    expected = torch_adapted(torch, name, options, point, LAYER_RATES)
    assert relative_error(adapted, expected) <= 1e-12


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad"])
def test_signatures_and_defaults_are_those_of_torch(torch, name):
    import inspect

    import fomaml_fast as ff

    theirs = inspect.signature(getattr(torch.optim, name)).parameters
    for key, parameter in inspect.signature(getattr(ff.inner, name)).parameters.items():
        if key in theirs and theirs[key].default is not inspect.Parameter.empty:
            assert parameter.default == theirs[key].default, key


def torch_meta_gradient(torch, point):
    """torch.func.grad through an unrolled Adam on the outputs of a network written out."""
    from torch.func import grad

    task = [torch.as_tensor(a) for a in point.tasks[0]]
    _, options, _ = OPTIMISERS[point.optimiser]
    (b1, b2), eps = options["betas"], options["eps"]
    rate = float(point.rates)

    def loss(theta, x, y):
        start = 0
        for i, (n_in, n_out) in enumerate(itertools.pairwise(point.sizes)):
            weights = theta[start : start + n_in * n_out].reshape(n_in, n_out)
            start += n_in * n_out
            x = x @ weights + theta[start : start + n_out]
            start += n_out
            if i < len(point.sizes) - 2:
                x = torch.tanh(x)
        return torch.mean((x - y) ** 2)

    def meta_loss(theta):
        m = v = torch.zeros_like(theta)
        for t in range(1, point.steps + 1):
            g = grad(loss)(theta, task[0], task[1])
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
            theta = theta - rate * (m / (1 - b1**t)) / (torch.sqrt(v / (1 - b2**t)) + eps)
        return loss(theta, task[2], task[3])

    return grad(meta_loss)(torch.tensor(point.theta)).numpy()


@pytest.mark.parametrize("steps", [2, 5])
def test_adam_matches_torch_func(torch, steps):
    point = Point("adam, eps 0.1", steps=steps)
    expected = torch_meta_gradient(torch, point)
    assert relative_error(point.expected.tasks[0].grad, expected) <= 1e-12
    ours = subject.meta_grad(point, per_task=True).task_grads[0]
    assert relative_error(ours, expected) <= TOLERANCES["combination"]["float64"]


# ------------------------------------------------------------------------------------------ optax


@pytest.mark.parametrize("case", ["sgd", "momentum", "nesterov", "adam", "rmsprop", "centered"])
def test_our_optimisers_match_optax(plain_jax, case):
    """Where optax defines the same thing; its Adagrad puts eps inside the root."""
    optax = pytest.importorskip("optax")
    rmsprop = {"decay": 0.7, "eps": 0.1, "eps_in_sqrt": False, "momentum": 0.6}
    theirs, ours = {
        "sgd": (optax.sgd(1.0), inner_optimisers.SGD()),
        "momentum": (optax.sgd(1.0, 0.8), inner_optimisers.SGD(0.8)),
        "nesterov": (optax.sgd(1.0, 0.8, nesterov=True), inner_optimisers.SGD(0.8, True)),
        "adam": (optax.adam(1.0, 0.5, 0.8, 0.1), inner_optimisers.Adam((0.5, 0.8), 0.1)),
        "rmsprop": (optax.rmsprop(1.0, **rmsprop), inner_optimisers.RMSprop(0.7, 0.1, 0.6)),
        "centered": (
            optax.rmsprop(1.0, **rmsprop, centered=True),
            inner_optimisers.RMSprop(0.7, 0.1, 0.6, True),
        ),
    }[case]
    gradients = np.random.default_rng(0).normal(size=(5, 7))
    state, own_state = theirs.init(np.zeros(7)), ()
    for t, g in enumerate(gradients, start=1):
        update, state = theirs.update(g, state)
        d, own_state = ours.direction(g, own_state, t)
        np.testing.assert_allclose(d, -np.asarray(update), rtol=1e-12)
