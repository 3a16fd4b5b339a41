"""Sums over many rows, tasks or parameters in float32: as exact as NumPy's pairwise sum.

Terms have one sign, so that a sum is well conditioned and its rounding alone is seen.  Where all
are equal, every addition to a long sum rounds the same way: the worst case, and a natural one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fomaml_fast as ff
import oracle
from fomaml_fast import _debug
from tolerances import assert_close

ENGINES = ("reference", "rows", "lanes")
#: One more than are added one after another; what straddles blocks, pieces, runs and stretches.
ROWS = (81, 333, 1_537, 20_000)
NET = oracle.Net((3, 5, 2), ("tanh",), "mse")
LINEAR = oracle.Net((3, 2), (), "mse")


@pytest.fixture(params=ENGINES)
def engine(request):
    with _debug.force_engine(request.param):
        yield request.param


@pytest.fixture(params=ROWS)
def n(request):
    return request.param


@pytest.fixture(params=["random", "equal"])
def rows(request, n):
    """Inputs, and targets far above any output: every unit's terms have one sign."""
    rng = np.random.default_rng(n)
    if request.param == "equal":
        return np.full((n, 3), 0.7, np.float32), np.full((n, 2), 9.1, np.float32)
    return (1 + rng.random((n, 3), np.float32)), (9 + rng.random((n, 2), np.float32))


def theta_of(net: oracle.Net) -> Any:
    return np.linspace(0.05, 0.25, net.n_params).astype(np.float32)


def mlp(net: oracle.Net) -> ff.MLP:
    return ff.MLP(net.sizes, list(net.activations) or "relu", net.loss, list(net.norm) or None)


def close(net: oracle.Net, actual: Any, expected: Any) -> None:
    """Every weight matrix and every row of biases by itself: none hides behind a larger one."""
    pairs = zip(oracle.unflatten(net, actual), oracle.unflatten(net, expected), strict=True)
    for ours, right in pairs:
        for a, b in zip(ours, right, strict=True):
            assert_close(a, b, "long_sum", "float32")


#: From so many rows on an engine leaves a computation to others.
DECLINED = {
    ("lanes", "jacobian"): 0,
    ("lanes", "momentum"): 65,
    ("lanes", "batch"): 65,
    ("rows", "batch"): 193,
}


def unless_declined(engine: str, what: str | None, n: int, call: Callable[[], Any]) -> Any:
    """The call's result; an engine declines what the table says, and nothing else."""
    if n < DECLINED.get((engine, what), math.inf):
        return call()
    with pytest.raises(RuntimeError, match="does not support"):
        call()
    pytest.skip("declined")


def test_gradient(engine, rows):
    theta = theta_of(NET)
    loss, gradient = mlp(NET).value_and_grad(theta, *rows)
    close(NET, gradient, oracle.gradient(NET, theta, *rows))
    assert_close(loss, oracle.loss(NET, theta, *rows), "long_sum", "float32")


def test_hessian_vector_product(engine, rows):
    theta, v = theta_of(NET), theta_of(NET)[::-1].copy()
    product = mlp(NET).hvp(theta, *rows, v)
    close(NET, product, oracle.hvp(NET, theta, *rows, v))


@pytest.mark.parametrize("name", ["gnvp", "vjp"])
def test_products_with_the_jacobian(engine, rows, name):
    theta, v = theta_of(NET), theta_of(NET)[::-1].copy()
    x, y = rows
    if name == "gnvp":
        product = unless_declined(engine, "jacobian", len(x), lambda: mlp(NET).gnvp(theta, x, y, v))
        close(NET, product, oracle.gnvp(NET, theta, x, y, v))
    else:
        product = unless_declined(engine, "jacobian", len(x), lambda: mlp(NET).vjp(theta, x, y))
        close(NET, product, oracle.vjp(NET, theta, x, y))


@pytest.mark.parametrize(
    "inner",
    [
        ff.inner.SGD(1.0),
        ff.inner.SGD([1.0]),
        ff.inner.SGD(1.0, momentum=0.5),
    ],
    ids=["fused", "rate-per-layer", "momentum"],
)
def test_an_inner_step(engine, rows, inner):
    x, y = rows
    theta = np.zeros(LINEAR.n_params, np.float32)
    algorithm = ff.Algorithm(inner)
    adapted = unless_declined(
        engine,
        "momentum" if inner.momentum else None,
        len(x),
        lambda: ff.adapt(mlp(LINEAR), theta, x[None], y[None], algorithm),
    )
    close(LINEAR, adapted[0], -oracle.gradient(LINEAR, theta, x, y))


def test_rates_of_two_layers(engine, rows):
    x, y = rows
    theta = theta_of(NET) * np.float32(1e-3)  # too small to round what is added
    algorithm = ff.Algorithm(ff.inner.SGD([3.0, 2.0]))
    adapted = ff.adapt(mlp(NET), theta, x[None], y[None], algorithm)
    rates = np.repeat([3.0, 2.0], [4 * 5, 6 * 2])
    close(NET, adapted[0], theta - rates * oracle.gradient(NET, theta, x, y))


@pytest.mark.parametrize("gradient", ["first", "exact"])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("long", ["support", "query"])
def test_meta_gradient(engine, rows, gradient, momentum, long):
    x, y = rows
    few = x[:7], y[:7]
    theta, support, query = theta_of(NET), few, rows
    if long == "support":
        support, query = rows, few
    batch = ff.TaskBatch(*(part[None] for part in (*support, *query)))
    algorithm = ff.Algorithm(ff.inner.SGD(1e-3, momentum=momentum), steps=2, gradient=gradient)
    ours = unless_declined(
        engine,
        "momentum" if momentum else None,
        len(x),
        lambda: ff.meta_grad(mlp(NET), theta, batch, algorithm).grad,
    )
    # Momentum b' = m b + g from b = 0, over two steps: rates r, then the second step repeats m g.
    expected = two_steps(theta, support, query, 1e-3, momentum, exact=gradient == "exact")
    close(NET, ours, expected)


def two_steps(theta, support, query, rate, momentum, *, exact):
    first = theta.astype(np.float64)
    g0 = oracle.gradient(NET, first, *support)
    second = first - rate * g0
    g1 = oracle.gradient(NET, second, *support)
    last = second - rate * (momentum * g0 + g1)
    lam = oracle.gradient(NET, last, *query)
    if not exact:
        return lam
    # last = second - rate (m g(first) + g(second)), second = first - rate g(first).
    to_second = lam - rate * oracle.hvp(NET, second, *support, lam)
    return (
        to_second
        - rate * oracle.hvp(NET, first, *support, to_second)
        - rate * momentum * oracle.hvp(NET, first, *support, lam)
    )


@pytest.mark.parametrize("kind", ["layer", "batch"])
def test_normalised_layers(engine, n, kind):
    # One hidden layer without activation: the gradients on gamma, beta and the top layer are sums
    # of d W' xhat, d W' and h d, written out.
    rng = np.random.default_rng(n)
    x, y = 1 + rng.random((n, 3), np.float32), 9 + rng.random((n, 2), np.float32)
    net = ff.MLP([3, 4, 2], "identity", norm=kind)
    theta = np.linspace(0.05, 0.25, net.n_params).astype(np.float32)
    theta[:12] = rng.standard_normal(12)
    (w, b, gamma, beta), (top, shift) = net.unflatten(theta.astype(np.float64))
    xhat = oracle.normalize(kind, x.astype(np.float64) @ w + b)
    h = gamma * xhat + beta
    d = 2 * (h @ top + shift - y) / (n * 2)
    gradient = unless_declined(engine, kind, n, lambda: net.value_and_grad(theta, x, y)[1])
    (_, _, *ours), (on_top, on_shift) = net.unflatten(gradient)
    # The sum on a gain has terms of both signs: it is as exact as that of their sizes.
    scale = np.abs((d @ top.T) * xhat).sum(axis=0).max()
    error = np.abs(ours[0] - ((d @ top.T) * xhat).sum(axis=0)).max() / scale
    assert error < 2e-6
    assert_close(ours[1], (d @ top.T).sum(axis=0), "long_sum", "float32")
    assert_close(on_shift, d.sum(axis=0), "long_sum", "float32")
    scale = np.abs(h[:, :, None] * d[:, None]).sum(axis=0).max()
    assert np.abs(on_top - h.T @ d).max() / scale < 2e-6


@pytest.mark.parametrize("context", [1, 3])
def test_context_parameters(rows, context):
    x, y = rows
    net = oracle.Net((3 + context, 5, 2), ("tanh",), "mse", context=context)
    theta = theta_of(net)
    adapted = ff.adapt(mlp(net), theta, x[None], y[None], ff.cavia(1.0, context=context))
    gradient = oracle.gradient(net, np.r_[theta, np.zeros(context)], x, y)
    assert_close(adapted[0], -gradient[net.n_params :], "long_sum", "float32")


@pytest.mark.parametrize("tasks", [500, 5_000, 50_000])
@pytest.mark.parametrize(
    "algorithm",
    [
        ff.fomaml(1e-3),
        ff.maml(1e-3),
        ff.Algorithm(ff.inner.SGD(1e-3), learn_rates=True),
        ff.Algorithm(ff.inner.SGD(1e-3, momentum=0.5)),
    ],
    ids=["first", "exact", "rates", "momentum"],
)
@pytest.mark.parametrize("equal", [False, True])
def test_many_tasks(engine, tasks, algorithm, equal):
    rng = np.random.default_rng(tasks)
    x = np.full((tasks, 1, 3), 0.7, np.float32)
    y = np.full((tasks, 1, 2), 9.1, np.float32)
    if not equal:
        x, y = 1 + rng.random(x.shape, np.float32), 9 + rng.random(y.shape, np.float32)
    theta = theta_of(NET)
    result = ff.meta_grad(mlp(NET), theta, ff.TaskBatch(x, y, x, y), algorithm)
    each = per_task(theta, x, y, algorithm)
    close(NET, result.grad, each.mean(axis=0))
    if algorithm.learn_rates:  # -g_query . g_support; the two sets are one
        before = per_task(theta, x, y, ff.fomaml(0.0))
        expected = -(each * before).sum(axis=1).mean()
        assert_close(result.rate_grad, expected, "long_sum", "float32")


def per_task(theta, x, y, algorithm):
    """Each task's meta-gradient in float64: none is a long sum."""
    arrays = [part.astype(np.float64) for part in (x, y, x, y)]
    with _debug.force_engine("reference"):
        batch = ff.TaskBatch(*arrays)
        theta = theta.astype(np.float64)
        return ff.meta_grad(mlp(NET), theta, batch, algorithm, per_task=True).task_grads


def test_tasks_of_a_large_network_are_summed_in_rounds():
    # Rows defers the products of large layers until a round of 4,096 rows is full.
    with _debug.force_engine("rows"):
        sizes, tasks, k = (200, 256, 4), 300, 40
        rng = np.random.default_rng(0)
        net = ff.MLP(sizes, "relu")
        theta = np.abs(net.init(0))
        x = 1 + rng.random((tasks, k, 200), np.float32)
        y = np.full((tasks, k, 4), 1e4, np.float32)
        batch = ff.TaskBatch(x[:, :1], y[:, :1], x, y)
        got = ff.meta_grad(net, theta, batch, ff.fomaml(0.0)).grad
    spec = oracle.Net(sizes, ("relu",), "mse")
    flat = x.reshape(-1, 200), y.reshape(-1, 4)
    close(spec, got, oracle.gradient(spec, theta, *flat))


def test_rates_over_many_parameters(engine):
    # d = x is the direction in every weight of 10^5, and the cotangent the same: their product is
    # summed over the layer.
    size = 100_000
    x = np.full((1, 1, size), 0.7, np.float32)
    y = np.ones((1, 1, 1), np.float32)
    net, theta = ff.MLP([size, 1]), np.zeros(size + 1, np.float32)
    algorithm = ff.Algorithm(ff.inner.SGD(0.0), learn_rates=True)
    result = ff.meta_grad(net, theta, ff.TaskBatch(x, y, x, y), algorithm)
    expected = -(2.0**2) * (size * float(np.float32(0.7)) ** 2 + 1)
    assert_close(result.rate_grad, expected, "long_sum", "float32")


def test_clipping_over_many_parameters(engine):
    size = 100_000
    x = np.full((1, 1, size), 0.7, np.float32)
    net, theta = ff.MLP([size, 1]), np.zeros(size + 1, np.float32)
    algorithm = ff.Algorithm(ff.inner.SGD(1.0, clip_norm=1e-3))
    adapted = ff.adapt(net, theta, x, np.ones((1, 1, 1), np.float32), algorithm)[0]
    direction = np.r_[np.full(size, float(np.float32(0.7))), 1.0]
    assert_close(adapted, 1e-3 * direction / np.linalg.norm(direction), "long_sum", "float32")


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_many_outputs(engine, loss):
    size = 100_000
    net = ff.MLP([1, size], loss=loss)
    theta = np.full(2 * size, -0.3, np.float32)
    x = np.zeros((2, 1), np.float32)
    if loss == "mse":
        value, gradient = net.value_and_grad(theta, x, np.zeros((2, size), np.float32))
        assert_close(value, float(np.float32(0.3)) ** 2, "long_sum", "float32")
    else:
        theta[size:] = np.linspace(-0.3, -0.2, size)
        value, gradient = net.value_and_grad(theta, x, np.zeros(2, np.int32))
        logits = theta[size:].astype(np.float64)
        assert_close(value, np.log(np.exp(logits).sum()) - logits[0], "long_sum", "float32")
        softmax = np.exp(logits) / np.exp(logits).sum()
        assert_close(gradient[size + 1 :], softmax[1:], "long_sum", "float32")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_million_rows(engine, dtype):
    n = 1_000_000
    x = np.random.default_rng(0).standard_normal((n, 1)).astype(dtype)
    y, theta = np.full((n, 1), 3, dtype), np.array([0.1, 0.2], dtype)
    loss, gradient = ff.MLP([1, 1]).value_and_grad(theta, x, y)
    # In float64 the residuals are rounded too: their sum is compared to its last digits but two.
    residuals = x.astype(np.float64)[:, 0] * float(theta[0]) + float(theta[1]) - 3
    assert_close(loss, math.fsum(residuals**2) / n, "long_sum", dtype)
    assert_close(gradient[1], 2 * math.fsum(residuals) / n, "long_sum", dtype)
    equal = ff.MLP([1, 1]).value_and_grad(theta, np.ones_like(x), y)[1]
    expected = 2 * (float(theta[0]) + float(theta[1]) - 3)
    assert_close(equal, np.full(2, expected), "long_sum", dtype)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_bits_do_not_depend_on_threads(engine, threads):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2_000, 3), np.float32)
    y = rng.standard_normal((2_000, 2), np.float32)
    batch = ff.TaskBatch(x[:, None], y[:, None], x[:, None], y[:, None])
    theta, net = theta_of(NET), mlp(NET)
    calls = (
        lambda t: net.value_and_grad(theta, x, y, threads=t)[1],
        lambda t: ff.meta_grad(net, theta, batch, ff.maml(0.1), threads=t).grad,
    )
    for call in calls:
        assert call(threads).tobytes() == call(1).tobytes()


def test_threads_that_share_the_products_of_one_task():
    # Rows shares the panels of a long product: 3 panels among as many threads.
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 4_000, 64), np.float32)
    y = rng.standard_normal((1, 4_000, 192), np.float32)
    net = ff.MLP([64, 192])
    with _debug.force_engine("rows"):
        one, *others = (
            ff.adapt(net, net.init(0), x, y, ff.fomaml(0.1), threads=t) for t in (1, 2, 3)
        )
    assert all(one.tobytes() == other.tobytes() for other in others)
    spec = oracle.Net((64, 192), (), "mse")
    expected = net.init(0) - 0.1 * oracle.gradient(spec, net.init(0), x[0], y[0])
    assert_close(one[0], expected, "adapt", "float32")
