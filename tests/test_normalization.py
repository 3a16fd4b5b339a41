"""Networks with layer and batch normalisation against the oracle and PyTorch."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import fomaml_fast as ff
import oracle
from cases import DTYPES, GRADIENTS, LR, build, parameters, ragged_rows
from subject import algorithm, batch, meta_grad, mlp
from tolerances import assert_close

NORMS = ("layer", "batch", ("layer", "batch"), ("batch", None))
every_norm = pytest.mark.parametrize("norm", NORMS, ids=str)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def assert_task_matches_oracle(case):
    """All four functions on the first task's support set."""
    net, task = mlp(case), case.tasks[0]
    x, y = task.x_support, task.y_support
    v = parameters(case.sizes, np.random.default_rng(5), case.norms).astype(case.dtype)
    arguments = (case.net, case.theta, x, y)
    assert_close(net.predict(case.theta, x), oracle.predict(*arguments[:3]), "predict", case.dtype)
    value, gradient = net.value_and_grad(case.theta, x, y)
    assert_close(value, oracle.loss(*arguments), "loss", case.dtype)
    assert_close(gradient, oracle.gradient(*arguments), "gradient", case.dtype)
    expected = oracle.hvp(*arguments, v)
    assert_close(net.hvp(case.theta, x, y, v), expected, "normalised_hvp", case.dtype)


@every_dtype
@every_norm
@pytest.mark.parametrize("loss", ff.losses.names())
@pytest.mark.parametrize("activation", ff.activations.names())
def test_every_activation_and_loss(activation, loss, norm, dtype):
    assert_task_matches_oracle(build((3, 9, 6, 4), activation, loss, dtype, norm=norm))


@every_dtype
@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("width", [3, 7, 8, 17, 70])  # of two numbers only the order is left
def test_sizes_around_vector_widths(width, norm, dtype):
    case = build((width, width, 3), "tanh", "mse", dtype, norm=norm, support=width)
    assert_task_matches_oracle(case)


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_a_group_of_one_is_its_shift(norm):
    """Nothing is left of the inputs: the variance is 0 and stays harmless."""
    case = build((2, 1, 2), "tanh", norm=norm, support=1)
    assert_task_matches_oracle(case)
    net, x = mlp(case), case.tasks[0].x_support
    *_, shift = net.unflatten(case.theta)[0]
    (weights, bias) = net.unflatten(case.theta)[1]
    np.testing.assert_allclose(net.predict(case.theta, x)[0], np.tanh(shift) @ weights + bias)


@every_dtype
@every_norm
def test_tasks_are_normalised_apart(norm, dtype):
    case = build((2, 8, 6, 3), "silu", "mse", dtype, norm=norm, rows=ragged_rows(7))
    net, (x, y, _, _) = mlp(case), case.arrays(ragged=True)
    predicted = net.predict(case.theta, x)
    values, gradients = net.value_and_grad(case.theta, x, y)
    for i, rows in enumerate(zip(x, y, strict=True)):
        arguments = (case.net, case.theta, *rows)
        assert_close(predicted[i], oracle.predict(*arguments[:3]), "predict", dtype)
        assert_close(values[i], oracle.loss(*arguments), "loss", dtype)
        assert_close(gradients[i], oracle.gradient(*arguments), "gradient", dtype)


@every_norm
@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("ragged", [False, True])
def test_adaptation_and_meta_gradient(norm, gradient, ragged):
    """Support and query sets each have statistics of their own."""
    rows = ragged_rows(6) if ragged else [(4, 6)] * 5
    case = build((2, 8, 6, 3), "tanh", norm=norm, rows=rows)
    expected = case.expected(LR, 3, gradient)
    result = meta_grad(case, gradient, 3, ragged=ragged, per_task=True)
    assert_close(result.task_grads, expected.task_grads, "meta_gradient", case.dtype, tasks=True)
    assert_close(result.losses, expected.losses, "loss", case.dtype)
    tasks = batch(case, ragged=ragged)
    adapted = ff.adapt(mlp(case), case.theta, tasks.x_support, tasks.y_support, algorithm(steps=3))
    for theta, task in zip(adapted, case.tasks, strict=True):
        x, y = task.x_support, task.y_support
        last = oracle.adapt(case.net, case.theta, x, y, LR, 3)[-1]
        assert_close(theta, last, "adapt", case.dtype)


def test_layer_norm_ignores_the_scale_of_the_weights_before_it():
    net = ff.MLP((3, 64, 2), "tanh", norm="layer")
    theta = net.init(0, np.float64)
    scaled = theta.copy()
    net.unflatten(scaled)[0][0][...] *= 1000
    net.unflatten(theta)[0][0][...] *= 100
    x = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(net.predict(theta, x), net.predict(scaled, x), rtol=1e-5)


def test_statistics_of_many_float32_rows_keep_their_digits():
    rng = np.random.default_rng(8)
    x = rng.normal(30, 1, (100_000, 1)).astype(np.float32)
    net = ff.MLP((1, 1, 1), "identity", norm="batch")
    theta = np.array([1, 0, 1, 0, 1, 0], dtype=np.float32)
    exact = x.astype(np.float64)
    expected = (exact - exact.mean()) / np.sqrt(exact.var() + 1e-5)
    assert np.abs(net.predict(theta, x) - expected).max() < 3 * np.spacing(np.float32(35))


@pytest.mark.parametrize("kind", ["layer", "batch"])
@pytest.mark.parametrize("activation", ["tanh", "gelu", "relu"])
def test_matches_torch(torch, activation, kind):
    functional = torch.nn.functional
    case = build((3, 7, 5, 2), activation, norm=kind, support=6)
    net, (x, y, _, _) = mlp(case), case.tasks[0]
    sigma = {
        "tanh": torch.tanh,
        "gelu": lambda z: functional.gelu(z, approximate="tanh"),
        "relu": torch.relu,
    }[activation]

    def loss(theta):
        h, start = torch.tensor(x), 0

        def take(*shape):
            nonlocal start
            count = int(np.prod(shape))
            start += count
            return theta[start - count : start].reshape(shape)

        for n_in, n_out in ((3, 7), (7, 5), (5, 2)):
            h = h @ take(n_in, n_out) + take(n_out)
            if n_out == 2:
                return torch.mean((h - torch.tensor(y)) ** 2)
            gamma, beta = take(n_out), take(n_out)
            if kind == "layer":
                h = functional.layer_norm(h, (n_out,), gamma, beta)
            else:
                h = functional.batch_norm(h, None, None, gamma, beta, training=True)
            h = sigma(h)
        return h

    theta, v = torch.tensor(case.theta), np.random.default_rng(3).normal(size=case.theta.size)
    gradient = torch.func.grad(loss)
    value, ours = net.value_and_grad(case.theta, x, y)
    _, product = torch.func.jvp(gradient, (theta,), (torch.tensor(v),))
    assert_close(value, loss(theta).numpy(), "loss", np.float64)
    assert_close(ours, gradient(theta).numpy(), "gradient", np.float64)
    assert_close(net.hvp(case.theta, x, y, v), product.numpy(), "hvp", np.float64)


def test_parameters_of_a_normalised_layer():
    net = ff.MLP((3, 4, 5, 2), norm=("layer", None))
    assert net.norms == ("layer", None)
    assert net.n_params == (3 * 4 + 3 * 4) + (4 * 5 + 5) + (5 * 2 + 2)
    layers = net.unflatten(net.init(0))
    assert [len(layer) for layer in layers] == [4, 2, 2]
    _, bias, gamma, beta = layers[0]
    assert not bias.any()
    assert (gamma == 1).all()
    assert not beta.any()
    theta = np.arange(2.0 * net.n_params).reshape(2, -1)
    first, *_ = layers = net.unflatten(theta)
    np.testing.assert_array_equal(first[2][0], [16, 17, 18, 19])
    assert all(np.shares_memory(part, theta) for layer in layers for part in layer)
    np.testing.assert_array_equal(net.flatten(layers), theta)
    with pytest.raises(ValueError, match=r"layers\[0\] must hold \(W, b, gamma, beta\), got 2"):
        net.flatten([layers[0][:2], *layers[1:]])
    with pytest.raises(ValueError, match=r"layers\[0\]\[3\] must have shape \[2, 4\]"):
        net.flatten([(*layers[0][:3], np.zeros(4)), *layers[1:]])


def test_norm_is_part_of_the_network():
    net = ff.MLP((2, 3, 3, 1), norm="batch")
    assert net == ff.MLP((2, 3, 3, 1), norm=["batch", "batch"])
    assert hash(net) == hash(ff.MLP((2, 3, 3, 1), norm=["batch", "batch"]))
    assert net != ff.MLP((2, 3, 3, 1))
    assert repr(net) == "MLP([2, 3, 3, 1], activation='relu', loss=MSE(), norm='batch')"
    assert "norm=['batch', None]" in repr(ff.MLP((2, 3, 3, 1), norm=("batch", None)))
    assert "norm" not in repr(ff.MLP((2, 3, 3, 1)))
    net.n_params  # noqa: B018  fills the cache, which must not be pickled
    again = pickle.loads(pickle.dumps(net))
    assert again == net
    assert again.n_params == net.n_params


@pytest.mark.parametrize(
    ("norm", "error", "message"),
    [
        ("group", ValueError, "norm must be one of None, 'layer', 'batch', got 'group'"),
        ("none", ValueError, "norm must be one of"),
        (["layer"], ValueError, "norm must be one name or 2, one per hidden layer, got 1"),
        ([None, "instance"], ValueError, r"norm\[1\] must be one of"),
        (3, TypeError, "norm must be a name or a sequence"),
    ],
)
def test_norm_is_checked(norm, error, message):
    with pytest.raises(error, match=message):
        ff.MLP((2, 3, 3, 1), norm=norm)
