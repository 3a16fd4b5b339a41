"""Derivatives over the inputs against the oracle's complex steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fomaml_fast as ff
import oracle
from cases import DTYPES, WIDTHS, build, parameters, ragged_rows
from oracle import jets
from subject import mlp
from tolerances import assert_close

every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_norm = pytest.mark.parametrize("norm", [None, "layer", "batch", ("batch", None)], ids=str)


def thetas_of(case, count, seed=5):
    rng = np.random.default_rng(seed)
    drawn = [parameters(case.sizes, rng, case.norms) for _ in range(count)]
    return np.stack(drawn).astype(case.dtype)


def rows_like(arrays, columns, dtype, seed=6):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(len(x), columns)).astype(dtype) for x in arrays]


@every_dtype
@every_norm
@pytest.mark.parametrize("activation", [*ff.activations.names(), *oracle.VARIANTS])
def test_products_of_one_task(activation, norm, dtype):
    case = build((3, 9, 6, 4), activation, "mse", dtype, norm=norm)
    net, x = mlp(case), case.tasks[0].x_support
    (c,), (u,) = rows_like([x], 4, dtype), rows_like([x], 3, dtype)
    pulled, pushed = net.input_vjp(case.theta, x, c), net.input_jvp(case.theta, x, u)
    assert pulled.dtype == pushed.dtype == case.dtype
    quantity = "hvp" if norm is None else "normalised_hvp"
    assert_close(pulled, jets.input_vjp(case.net, case.theta, x, c), quantity, dtype)
    assert_close(pushed, jets.input_jvp(case.net, case.theta, x, u), quantity, dtype)


@every_dtype
@pytest.mark.parametrize("norm", [None, "layer"])
@pytest.mark.parametrize("sizes", [(3, 6, 5, 4), (4, 6, 3), (1, 1), (5, 3), (1, 8, 1)], ids=str)
def test_jacobian(sizes, norm, dtype):
    case = build(sizes, "tanh", "mse", dtype, norm=norm if len(sizes) > 2 else None)
    net, (x, _, _, _) = mlp(case), case.arrays()
    one = net.input_jacobian(case.theta, x[0])
    assert one.shape == (5, sizes[-1], sizes[0])
    assert one.dtype == case.dtype
    assert_close(one, jets.input_jacobian(case.net, case.theta, x[0]), "hvp", dtype)
    thetas = thetas_of(case, 3)
    for theta, rows in ((case.theta, x), (thetas, x), (thetas, x[0])):
        many = net.input_jacobian(theta, rows)
        each_theta, each_x = np.broadcast_to(theta, thetas.shape), np.broadcast_to(rows, x.shape)
        for t in range(3):
            expected = jets.input_jacobian(case.net, each_theta[t], each_x[t])
            assert_close(many[t], expected, "hvp", dtype)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("rows", [1, 15, 17, 300])
def test_widths_and_many_rows(width, rows):
    case = build((2, width, 3), "gelu", support=rows, n_tasks=1)
    net, x = mlp(case), case.tasks[0].x_support
    (c,), (u,) = rows_like([x], 3, case.dtype), rows_like([x], 2, case.dtype)
    # Without normalisation no row sees another: some of them stand for all.
    some = slice(None, None, max(1, rows // 7))
    pulled, pushed = net.input_vjp(case.theta, x, c), net.input_jvp(case.theta, x, u)
    expected = jets.input_vjp(case.net, case.theta, x[some], c[some])
    assert_close(pulled[some], expected, "gradient", case.dtype)
    expected = jets.input_jvp(case.net, case.theta, x[some], u[some])
    assert_close(pushed[some], expected, "gradient", case.dtype)


@every_dtype
@pytest.mark.parametrize("norm", [None, "batch"])
def test_ragged_tasks(norm, dtype):
    rows = [(k + 2, q) for k, q in ragged_rows(9)]
    case = build((3, 8, 4), "silu", "mse", dtype, norm=norm, rows=rows)
    net, (x, _, _, _) = mlp(case), case.arrays(ragged=True)
    c, u, thetas = rows_like(x, 4, dtype), rows_like(x, 3, dtype), thetas_of(case, len(x))
    pulled, pushed = net.input_vjp(thetas, x, c), net.input_jvp(thetas, x, u)
    assert isinstance(pulled, list)
    assert isinstance(pushed, list)
    for t, of_task in enumerate(x):
        arguments = (case.net, thetas[t], of_task)
        assert_close(pulled[t], jets.input_vjp(*arguments, c[t]), "normalised_hvp", dtype)
        assert_close(pushed[t], jets.input_jvp(*arguments, u[t]), "normalised_hvp", dtype)
    if norm is None:
        jacobians = net.input_jacobian(case.theta, x)
        for t, of_task in enumerate(x):
            expected = jets.input_jacobian(case.net, case.theta, of_task)
            assert_close(jacobians[t], expected, "hvp", dtype)


def test_what_is_given_once_is_that_of_every_task():
    case = build((3, 8, 4), "tanh", n_tasks=3)
    net, (x, _, _, _) = mlp(case), case.arrays()
    c, u = np.stack(rows_like(x, 4, np.float64)), np.stack(rows_like(x, 3, np.float64))
    thetas = thetas_of(case, 3)
    for theta, rows, cotangent, tangent in (
        (thetas, x, c[0], u[0]),
        (thetas, x[0], c, u),
        (case.theta, x[0], c, u),
        (thetas, x[0], c[0], u[0]),
    ):
        pulled, pushed = net.input_vjp(theta, rows, cotangent), net.input_jvp(theta, rows, tangent)
        assert pulled.shape == (3, 5, 3)
        assert pushed.shape == (3, 5, 4)
        for t in range(3):
            of_task = theta[t] if theta.ndim == 2 else theta
            x_t = rows[t] if rows.ndim == 3 else rows
            c_t = cotangent[t] if cotangent.ndim == 3 else cotangent
            u_t = tangent[t] if tangent.ndim == 3 else tangent
            expected = jets.input_vjp(case.net, of_task, x_t, c_t)
            assert_close(pulled[t], expected, "gradient", np.float64)
            expected = jets.input_jvp(case.net, of_task, x_t, u_t)
            assert_close(pushed[t], expected, "gradient", np.float64)


@pytest.mark.parametrize("norm", [None, "batch"])
def test_threads_do_not_change_the_bits(norm):
    case = build((3, 17, 4), "tanh", norm=norm, n_tasks=9, support=40)
    net, (x, _, _, _) = mlp(case), case.arrays()
    c, u = np.stack(rows_like(x, 4, np.float64)), np.stack(rows_like(x, 3, np.float64))
    results = [
        (
            net.input_vjp(case.theta, x, c, threads=threads),
            net.input_jvp(case.theta, x, u, threads=threads),
        )
        for threads in (1, 2, 3)
    ]
    for pulled, pushed in results[1:]:
        np.testing.assert_array_equal(pulled, results[0][0])
        np.testing.assert_array_equal(pushed, results[0][1])


networks = st.builds(
    build,
    st.lists(st.integers(1, 12), min_size=2, max_size=5).map(tuple),
    st.sampled_from(ff.activations.names()),
    norm=st.sampled_from([None, "batch"]),
    n_tasks=st.just(1),
    support=st.integers(2, 20),
    seed=st.integers(0, 1000),
)


@given(networks)
def test_pushing_and_pulling_are_adjoint(case):
    net, x = mlp(case), case.tasks[0].x_support
    (c,), (u,) = rows_like([x], case.sizes[-1], np.float64), rows_like([x], x.shape[1], np.float64)
    pushed, pulled = net.input_jvp(case.theta, x, u), net.input_vjp(case.theta, x, c)
    scale = np.linalg.norm(c) * np.linalg.norm(pushed) + np.linalg.norm(pulled) * np.linalg.norm(u)
    assert abs(np.sum(c * pushed) - np.sum(pulled * u)) <= 1e-13 * scale


def test_a_linear_network_is_its_weights():
    net = ff.MLP([3, 2])
    theta = net.init(0, np.float64)
    weights = net.unflatten(theta)[0][0]
    x = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_array_equal(net.input_jacobian(theta, x), np.tile(weights.T, (4, 1, 1)))


def test_no_rows():
    net = ff.MLP((2, 3, 4))
    theta, x = net.init(0, np.float64), np.empty((0, 2))
    assert net.input_jvp(theta, x, x).shape == (0, 4)
    assert net.input_vjp(theta, x, np.empty((0, 4))).shape == (0, 2)
    assert net.input_jacobian(theta, x).shape == (0, 4, 2)
    assert net.input_jacobian(theta, np.empty((3, 0, 2))).shape == (3, 0, 4, 2)


def test_arrays_in_any_layout_and_lists():
    case = build((3, 6, 4), "tanh", n_tasks=2)
    net, (x, _, _, _) = mlp(case), case.arrays()
    c = np.stack(rows_like(x, 4, np.float64))
    expected = net.input_vjp(case.theta, x, c)
    flipped = np.asfortranarray(x)
    flipped.setflags(write=False)
    np.testing.assert_array_equal(net.input_vjp(case.theta, flipped, c[:, ::-1][:, ::-1]), expected)
    one = net.input_vjp(case.theta, x[0].tolist(), c[0].tolist())
    np.testing.assert_array_equal(one, expected[0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda n, t, x: n.input_vjp(t, x, np.ones((5, 3))), ValueError, "cotangent must have sha"),
        (lambda n, t, x: n.input_jvp(t, x, np.ones((5, 4))), ValueError, "tangent must have shape"),
        (lambda n, t, x: n.input_jvp(t, x, np.ones((4, 3))), ValueError, "tangent must have shape"),
        (lambda n, t, x: n.input_jvp(t, x, None), TypeError, "tangent must be"),
        (
            lambda n, t, x: n.input_jvp(t, x, np.ones((5, 3), np.float32)),
            TypeError,
            "tangent is float32",
        ),
        (lambda n, t, x: n.input_jacobian(t, x[:, :2]), ValueError, "x must have 3 columns"),
        (lambda n, t, x: n.input_jacobian(t[:-1], x), ValueError, "theta must"),
        (lambda n, t, x: n.input_jacobian(t, x, threads=0), ValueError, "threads must be"),
        (lambda n, t, x: n.input_jvp(t, x, np.full((5, 3), np.nan)), ValueError, "tangent"),
    ],
)
def test_arguments_are_checked(call, error, message):
    case = build((3, 6, 4))
    with pytest.raises(error, match=message):
        call(mlp(case), case.theta, case.tasks[0].x_support)


def test_batch_normalisation_has_no_jacobian_of_a_row():
    net = ff.MLP((2, 3, 4), norm="batch")
    with pytest.raises(ValueError, match="without batch normalisation"):
        net.input_jacobian(net.init(0, np.float64), np.ones((5, 2)))


def test_overflow_is_told():
    net = ff.MLP((1, 1))
    with pytest.raises(OverflowError, match="not finite"):
        net.input_jvp(np.array([1e300, 0.0]), [[1.0]], [[1e300]])
