"""JAX and PyTorch autodiff as second oracles; skipped, visibly, where they are not installed.

They differentiate the plainest statement of the algorithm, so they share nothing with our formulas.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fomaml_fast as ff
import oracle
from cases import DTYPES, GRADIENTS, LR, build
from subject import meta_grad, mlp
from tolerances import assert_close

ACTIVATIONS = ff.activations.names()
LOSSES = ff.losses.names()
STEPS = (0, 1, 3)

every_combination = pytest.mark.parametrize(
    ("activation", "loss", "gradient"), list(itertools.product(ACTIVATIONS, LOSSES, GRADIENTS))
)


def case_of(activation, loss, dtype="float64"):
    return build((3, 7, 5, 4), activation, loss, dtype, n_tasks=2)


# ---------------------------------------------------------------------------------------- PyTorch


def torch_loss(torch, case, theta, x, y):
    from torch.nn import functional

    apply = {
        "relu": torch.relu,
        "leaky_relu": functional.leaky_relu,
        "elu": functional.elu,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "softplus": lambda z: functional.softplus(z, threshold=100),
        "gelu": lambda z: functional.gelu(z, approximate="tanh"),
        "silu": functional.silu,
        "sin": torch.sin,
        "identity": lambda z: z,
    }
    h, start = torch.as_tensor(x), 0
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(case.sizes)):
        weights = theta[start : start + n_in * n_out].reshape(n_in, n_out)
        start += n_in * n_out
        h = h @ weights + theta[start : start + n_out]
        start += n_out
        if layer < len(case.activations):
            h = apply[case.activations[layer]](h)
    loss = {
        "mse": functional.mse_loss,
        "cross_entropy": functional.cross_entropy,
        "soft_cross_entropy": functional.cross_entropy,
        "binary_cross_entropy": functional.binary_cross_entropy_with_logits,
        "huber": functional.huber_loss,
        "quantile": lambda o, y: torch.maximum(0.5 * (y - o), -0.5 * (y - o)).mean(),
    }[case.loss]
    return loss(h, torch.as_tensor(y))


def torch_task_gradient(torch, case, task, gradient, steps):
    start = torch.tensor(case.theta, requires_grad=True)
    theta = start
    for _ in range(steps):
        loss = torch_loss(torch, case, theta, task.x_support, task.y_support)
        (step,) = torch.autograd.grad(loss, theta, create_graph=gradient == "exact")
        theta = theta - LR * step
    loss = torch_loss(torch, case, theta, task.x_query, task.y_query)
    (result,) = torch.autograd.grad(loss, start)
    return float(loss.detach()), result.numpy()


@every_combination
@pytest.mark.parametrize("dtype", DTYPES)
def test_meta_gradient_matches_torch(torch, activation, loss, gradient, dtype):
    case = case_of(activation, loss, dtype)
    reference = case_of(activation, loss)  # torch computes in float64, from the same numbers
    reference = type(case)(
        *reference.spec,
        reference.dtype,
        case.theta.astype(np.float64),
        tuple(
            oracle.Task(*(a.astype(np.float64) if a.dtype.kind == "f" else a for a in task))
            for task in case.tasks
        ),
    )
    for steps in STEPS:
        ours = meta_grad(case, gradient, steps, per_task=True)
        for i, task in enumerate(reference.tasks):
            value, expected = torch_task_gradient(torch, reference, task, gradient, steps)
            assert_close(ours.losses[i], value, "loss", dtype)
            assert_close(ours.task_grads[i], expected, "meta_gradient", dtype)


@pytest.mark.parametrize(("activation", "loss"), list(itertools.product(ACTIVATIONS, LOSSES)))
def test_hvp_matches_torch(torch, activation, loss):
    case = case_of(activation, loss)
    x, y, _, _ = case.tasks[0]
    v = np.random.default_rng(1).normal(size=case.theta.size)
    _, expected = torch.autograd.functional.hvp(
        lambda theta: torch_loss(torch, case, theta, x, y),
        torch.tensor(case.theta),
        torch.tensor(v),
    )
    assert_close(mlp(case).hvp(case.theta, x, y, v), expected.numpy(), "hvp", "float64")


TORCH_OPTIMISERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.2}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.2}),
    ("Adam", {}),
    ("Adam", {"lr": 0.02, "betas": (0.5, 0.8), "eps": 0.1, "weight_decay": 0.3}),
    ("Adam", {"lr": 0.02, "betas": (0.5, 0.8), "amsgrad": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.02, "weight_decay": 0.5, "amsgrad": True}),
]


@pytest.mark.parametrize(("name", "options"), TORCH_OPTIMISERS)
def test_outer_optimisers_match_torch(torch, name, options):
    case = case_of("tanh", "mse")
    outer = getattr(ff.outer, name)(**{"lr": 1e-3, **options})
    net, inner = mlp(case), ff.maml(LR)
    tasks = ff.TaskBatch(*case.arrays())
    state = ff.init_state(net, inner, outer, theta=case.theta)
    theta = torch.tensor(case.theta, requires_grad=True)
    optimiser = getattr(torch.optim, name)([theta], **{"lr": 1e-3, **options})
    for _ in range(8):
        current = theta.detach().numpy()
        theta.grad = torch.tensor(ff.meta_grad(net, current, tasks, inner).grad)
        optimiser.step()
        state, _ = ff.meta_step(net, state, tasks, inner, outer)
        assert_close(state.theta, theta.detach().numpy(), "outer", "float64")


@pytest.mark.parametrize("clip_norm", [0.05, 1e3])
def test_clipping_matches_torch(torch, clip_norm):
    case = case_of("tanh", "mse")
    net, inner, outer = mlp(case), ff.fomaml(LR), ff.outer.SGD(1.0, clip_norm=clip_norm)
    tasks = ff.TaskBatch(*case.arrays())
    state = ff.init_state(net, inner, outer, theta=case.theta)
    state, metrics = ff.meta_step(net, state, tasks, inner, outer)
    theta = torch.tensor(case.theta, requires_grad=True)
    theta.grad = torch.tensor(ff.meta_grad(net, case.theta, tasks, inner).grad)
    norm = torch.nn.utils.clip_grad_norm_([theta], clip_norm)
    assert metrics.grad_norm == pytest.approx(float(norm), rel=1e-12)
    step = case.theta - state.theta
    np.testing.assert_allclose(step, theta.grad.numpy(), rtol=1e-12, atol=1e-15)


def test_torch_tensors_are_arrays(torch):
    case = case_of("tanh", "cross_entropy")
    tensors = [torch.tensor(array) for array in case.arrays()]
    tasks = ff.TaskBatch(*tensors)
    theta = torch.tensor(case.theta)
    result = ff.meta_grad(mlp(case), theta, tasks, ff.maml(LR))
    assert isinstance(result.grad, np.ndarray)
    np.testing.assert_array_equal(result.grad, meta_grad(case, "exact").grad)


# -------------------------------------------------------------------------------------------- JAX


def jax_loss(jax, case, theta, x, y):
    apply = {
        "relu": jax.nn.relu,
        "leaky_relu": jax.nn.leaky_relu,
        "elu": jax.nn.elu,
        "tanh": jax.numpy.tanh,
        "sigmoid": jax.nn.sigmoid,
        "softplus": jax.nn.softplus,
        "gelu": lambda z: jax.nn.gelu(z, approximate=True),
        "silu": jax.nn.silu,
        "sin": jax.numpy.sin,
        "identity": lambda z: z,
    }
    h, start = x, 0
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(case.sizes)):
        weights = theta[start : start + n_in * n_out].reshape(n_in, n_out)
        start += n_in * n_out
        h = h @ weights + theta[start : start + n_out]
        start += n_out
        if layer < len(case.activations):
            h = apply[case.activations[layer]](h)
    logs, mean = jax.nn.log_softmax, jax.numpy.mean
    sizes = jax.numpy.abs(h - y) if y.ndim == 2 else None
    loss = {
        "mse": lambda: mean((h - y) ** 2),
        "cross_entropy": lambda: -mean(logs(h)[jax.numpy.arange(len(y)), y]),
        "soft_cross_entropy": lambda: -mean(jax.numpy.sum(y * logs(h), axis=1)),
        "binary_cross_entropy": lambda: mean(
            -y * jax.nn.log_sigmoid(h) - (1 - y) * jax.nn.log_sigmoid(-h)
        ),
        "huber": lambda: mean(jax.numpy.where(sizes <= 1, sizes**2 / 2, sizes - 0.5)),
        "quantile": lambda: mean(sizes) / 2,
    }[case.loss]
    return loss()


def jax_task_gradient(jax, case, task, gradient, steps):
    x, y, x_query, y_query = (jax.numpy.asarray(array) for array in task)

    def query_loss(theta):
        for _ in range(steps):
            step = jax.grad(lambda theta: jax_loss(jax, case, theta, x, y))(theta)
            if gradient == "first":
                step = jax.lax.stop_gradient(step)
            theta = theta - LR * step
        return jax_loss(jax, case, theta, x_query, y_query)

    return jax.value_and_grad(query_loss)(jax.numpy.asarray(case.theta))


@every_combination
def test_meta_gradient_matches_jax(jax, activation, loss, gradient):
    case = case_of(activation, loss)
    for steps in (1, 2):
        ours = meta_grad(case, gradient, steps, per_task=True)
        value, expected = jax_task_gradient(jax, case, case.tasks[0], gradient, steps)
        assert_close(ours.losses[0], value, "loss", "float64")
        assert_close(ours.task_grads[0], expected, "meta_gradient", "float64")


def test_jax_arrays_are_arrays(jax):
    case = case_of("tanh", "cross_entropy")
    tasks = ff.TaskBatch(*(jax.numpy.asarray(array) for array in case.arrays()))
    result = ff.meta_grad(mlp(case), jax.numpy.asarray(case.theta), tasks, ff.maml(LR))
    assert isinstance(result.grad, np.ndarray)
    np.testing.assert_array_equal(result.grad, meta_grad(case, "exact").grad)
