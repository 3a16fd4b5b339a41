"""Jacobian products against the oracle, in every engine that computes them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fomaml_fast as ff
import oracle
from cases import DTYPES, build, parameters, ragged_rows
from fomaml_fast import _debug
from fomaml_fast._loader import core
from subject import mlp
from tolerances import assert_close

NORMS = (None, "layer", "batch", ("batch", None))
ENGINES = ff.build_info()["engines"]

every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_norm = pytest.mark.parametrize("norm", NORMS, ids=str)
every_loss = pytest.mark.parametrize("loss", ff.losses.names())


@pytest.fixture(params=[*ENGINES, "planned"])
def engine(request):
    with _debug.force_engine("" if request.param == "planned" else request.param):
        yield request.param


def supported(call):
    """The result, or a visible skip where the engine says that it does not compute this."""
    try:
        return call()
    except RuntimeError as error:
        assert "engine" in str(error)  # noqa: PT017
        return pytest.skip(str(error))


def directions(case, count=None, seed=5):
    """One direction of the parameters, or several."""
    rng = np.random.default_rng(seed)
    drawn = [parameters(case.sizes, rng, case.norms) for _ in range(count or 1)]
    return np.stack(drawn).astype(case.dtype) if count else drawn[0].astype(case.dtype)


def cotangents_of(case, arrays, seed=6):
    """One cotangent of the outputs for each set of rows."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(len(x), case.sizes[-1])).astype(case.dtype) for x in arrays]


@every_dtype
@every_norm
@pytest.mark.parametrize("activation", [*ff.activations.names(), *oracle.VARIANTS])
def test_products_of_one_task(engine, activation, norm, dtype):
    case = build((3, 9, 6, 4), activation, "mse", dtype, norm=norm)
    net, (x, y, _, _) = mlp(case), case.tasks[0]
    v, (c,) = directions(case), cotangents_of(case, [x])
    arguments = (case.net, case.theta, x)
    pulled = supported(lambda: net.vjp(case.theta, x, c))
    pushed = net.jvp(case.theta, x, v)
    product = net.gnvp(case.theta, x, y, v)
    assert pulled.dtype == pushed.dtype == product.dtype == case.dtype
    assert_close(pulled, oracle.vjp(*arguments, c), "gradient", dtype)
    assert_close(pushed, oracle.jvp(*arguments, v), "gradient", dtype)
    assert_close(product, oracle.gnvp(*arguments, y, v), "hvp", dtype)


# A normalised unit that is fed one number has no slope: in float32 only rounding is left of it.
@pytest.mark.parametrize(
    ("norm", "dtype"),
    [(None, "float32"), (None, "float64"), ("layer", "float64"), ("batch", "float64")],
)
@pytest.mark.parametrize("sizes", [(5, 3), (2, 33, 17, 1), (70, 8, 40), (1, 40, 40, 1)], ids=str)
@pytest.mark.parametrize("rows", [1, 5, 70, 200])
def test_sizes_and_many_rows(engine, rows, sizes, norm, dtype):
    case = build(sizes, "tanh", "mse", dtype, norm=norm, support=rows, n_tasks=1)
    net, (x, y, _, _) = mlp(case), case.tasks[0]
    v, (c,) = directions(case), cotangents_of(case, [x])
    pulled = supported(lambda: net.vjp(case.theta, x, c))
    assert_close(pulled, oracle.vjp(case.net, case.theta, x, c), "gradient", dtype)
    assert_close(
        net.jvp(case.theta, x, v), oracle.jvp(case.net, case.theta, x, v), "gradient", dtype
    )
    expected = oracle.gnvp(case.net, case.theta, x, y, v)
    assert_close(net.gnvp(case.theta, x, y, v), expected, "hvp", dtype)


@every_dtype
@pytest.mark.parametrize("norm", [None, "layer", "batch"])
@every_loss
def test_ragged_tasks(engine, loss, norm, dtype):
    rows = ragged_rows(19) if norm is None else [(k + 2, q) for k, q in ragged_rows(19)]
    case = build((3, 8, 4), "silu", loss, dtype, norm=norm, rows=rows)
    net, (x, y, _, _) = mlp(case), case.arrays(ragged=True)
    v, c = directions(case, len(x)), cotangents_of(case, x)
    pulled = supported(lambda: net.vjp(case.theta, x, c))
    pushed, products = net.jvp(case.theta, x, v), net.gnvp(case.theta, x, y, v)
    assert isinstance(pushed, list)
    for i, rows in enumerate(x):
        arguments = (case.net, case.theta, rows)
        assert_close(pulled[i], oracle.vjp(*arguments, c[i]), "gradient", dtype)
        assert_close(pushed[i], oracle.jvp(*arguments, v[i]), "gradient", dtype)
        assert_close(products[i], oracle.gnvp(*arguments, y[i], v[i]), "hvp", dtype)


@every_norm
@pytest.mark.parametrize("norm_of", ["theta", "rows", "both"])
def test_theta_rows_and_directions_broadcast_over_tasks(engine, norm_of, norm):
    case = build((3, 8, 5, 4), "tanh", norm=norm, n_tasks=5)
    net, (x, y, _, _) = mlp(case), case.arrays()
    thetas, vs = directions(case, 5, 1), directions(case, 5, 2)
    cs = np.stack(cotangents_of(case, x))
    theta = case.theta if norm_of == "rows" else thetas
    x_in, y_in = (x[0], y[0]) if norm_of == "theta" else (x, y)
    each_theta = np.broadcast_to(theta, thetas.shape)
    each_x, each_y = np.broadcast_to(x_in, x.shape), np.broadcast_to(y_in, y.shape)
    for v, c in ((vs[0], cs[0]), (vs, cs)):
        each_v, each_c = np.broadcast_to(v, vs.shape), np.broadcast_to(c, cs.shape)
        pulled = supported(lambda c=c: net.vjp(theta, x_in, c))
        pushed, products = net.jvp(theta, x_in, v), net.gnvp(theta, x_in, y_in, v)
        for i in range(5):
            arguments = (case.net, each_theta[i], each_x[i])
            assert_close(pulled[i], oracle.vjp(*arguments, each_c[i]), "gradient", case.dtype)
            assert_close(pushed[i], oracle.jvp(*arguments, each_v[i]), "gradient", case.dtype)
            expected = oracle.gnvp(*arguments, each_y[i], each_v[i])
            assert_close(products[i], expected, "hvp", case.dtype)


def test_directions_alone_make_tasks():
    case = build((3, 8, 4), "tanh")
    net, x, y = mlp(case), case.tasks[0].x_support, case.tasks[0].y_support
    vs, cs = directions(case, 3), np.stack(cotangents_of(case, [x] * 3))
    assert net.jvp(case.theta, x, vs).shape == (3, 5, 4)
    assert net.gnvp(case.theta, x, y, vs).shape == (3, case.theta.size)
    pulled = net.vjp(case.theta, x, cs)
    for i in range(3):
        np.testing.assert_allclose(pulled[i], net.vjp(case.theta, x, cs[i]), rtol=1e-12)
    assert net.vjp(case.theta, x, cs[:1]).shape == (1, case.theta.size)


@every_dtype
@every_norm
def test_derivative_of_a_pulled_back_cotangent(engine, norm, dtype):
    """R{J'c} is what Hessian-vector products of losses outside the core are made of."""
    case = build((3, 9, 6, 4), "gelu", "mse", dtype, norm=norm, rows=[(5, 1), (70, 1), (3, 1)])
    net, (x, _, _, _) = mlp(case), case.arrays(ragged=True)
    v = directions(case)
    c, c_tangent = (cotangents_of(case, x, seed) for seed in (1, 2))
    arrays = (case.theta, x, c, v, c_tangent)
    actual = supported(lambda: core.vjp_tangent(net._core, *arrays, 1, True))
    for i, of_task in enumerate(x):
        step = 1e-30  # a complex step: exact to rounding
        moved = case.theta.astype(np.complex128) + 1j * step * v
        turned = np.imag(oracle.vjp(case.net, moved, of_task, c[i])) / step
        expected = turned + oracle.vjp(case.net, case.theta, of_task, c_tangent[i])
        assert_close(actual[i], expected, "hvp", dtype)


@every_dtype
@every_norm
def test_jacobian(norm, dtype):
    case = build((3, 6, 5, 4), "tanh", "mse", dtype, norm=norm, n_tasks=3)
    net, (x, _, _, _) = mlp(case), case.arrays()
    thetas = directions(case, 3)
    shape = (5, 4, case.theta.size)
    one = net.jacobian(case.theta, x[0])
    assert one.shape == shape
    assert one.dtype == case.dtype
    assert_close(one, oracle.jacobian(case.net, case.theta, x[0]), "gradient", dtype)
    for theta, rows in ((case.theta, x), (thetas, x), (thetas, x[0])):
        many = net.jacobian(theta, rows)
        assert many.shape == (3, *shape)
        each_theta, each_x = np.broadcast_to(theta, thetas.shape), np.broadcast_to(rows, x.shape)
        for i in range(3):
            expected = oracle.jacobian(case.net, each_theta[i], each_x[i])
            assert_close(many[i], expected, "gradient", dtype)


@pytest.mark.parametrize("norm", [None, "batch"])
@pytest.mark.parametrize("per_task", [False, True])
def test_jacobian_of_ragged_tasks(per_task, norm):
    case = build((3, 6, 4), "tanh", norm=norm, rows=[(2, 1), (5, 1), (1, 1)])
    net, (x, _, _, _) = mlp(case), case.arrays(ragged=True)
    thetas = directions(case, 3)
    jacobians = net.jacobian(thetas if per_task else case.theta, x)
    for i, rows in enumerate(x):
        expected = oracle.jacobian(case.net, thetas[i] if per_task else case.theta, rows)
        assert_close(jacobians[i], expected, "gradient", case.dtype)


networks = st.builds(
    build,
    st.lists(st.integers(3, 12), min_size=2, max_size=5).map(tuple),
    st.sampled_from(ff.activations.names()),
    st.sampled_from(ff.losses.names()),
    norm=st.sampled_from([None, "layer", "batch"]),
    n_tasks=st.just(1),
    support=st.integers(2, 20),
    seed=st.integers(0, 1000),
)


@given(networks)
def test_pushing_and_pulling_are_adjoint(case):
    net, x = mlp(case), case.tasks[0].x_support
    v, (c,) = directions(case), cotangents_of(case, [x])
    pushed, pulled = net.jvp(case.theta, x, v), net.vjp(case.theta, x, c)
    scale = np.linalg.norm(c) * np.linalg.norm(pushed) + np.linalg.norm(pulled) * np.linalg.norm(v)
    assert abs(np.sum(c * pushed) - pulled @ v) <= 1e-13 * scale


@given(networks)
def test_gauss_newton_is_symmetric_and_positive(case):
    net, (x, y, _, _) = mlp(case), case.tasks[0]
    u, v = directions(case, 2)
    gu, gv = (net.gnvp(case.theta, x, y, w) for w in (u, v))
    scale = np.linalg.norm(gu) * np.linalg.norm(v) + np.linalg.norm(gv) * np.linalg.norm(u)
    assert abs(u @ gv - v @ gu) <= 1e-13 * scale
    assert v @ gv >= -1e-13 * scale


@every_loss
def test_gauss_newton_is_the_hessian_of_a_linear_network(loss):
    case = build((5, 3), loss=loss)
    net, (x, y, _, _) = mlp(case), case.tasks[0]
    v = directions(case)
    hv = net.hvp(case.theta, x, y, v)
    np.testing.assert_allclose(net.gnvp(case.theta, x, y, v), hv, atol=1e-14 * np.abs(hv).max())


def test_gauss_newton_sees_weights_masks_and_classes(engine):
    net = ff.MLP((5, 4), loss="cross_entropy")
    rng = np.random.default_rng(3)
    theta, v = rng.normal(size=(2, net.n_params))
    x, y = rng.normal(size=(2, 6, 5)), rng.integers(0, 3, (2, 6))
    options = {
        "weights": rng.normal(size=(2, 6)),
        "mask": rng.random((2, 6)) < 0.7,
        "class_mask": np.array([[True, True, True, False]] * 2),
    }
    product = supported(lambda: net.gnvp(theta, x, y, v, **options))
    assert_close(product, net.hvp(theta, x, y, v, **options), "hvp", np.float64, tasks=True)


@every_loss
def test_gradient_is_a_pulled_back_cotangent(loss):
    case = build((3, 8, 4), "gelu", loss)
    net, (x, y, _, _) = mlp(case), case.tasks[0]
    cotangent = oracle.LOSSES[loss].gradient(net.predict(case.theta, x), y)
    _, gradient = net.value_and_grad(case.theta, x, y)
    assert_close(net.vjp(case.theta, x, cotangent), gradient, "gradient", case.dtype)


def test_no_rows():
    net = ff.MLP((2, 3, 4))
    theta, x = net.init(0, np.float64), np.empty((0, 2))
    assert net.jvp(theta, x, theta).shape == (0, 4)
    assert net.jacobian(theta, x).shape == (0, 4, theta.size)
    with pytest.raises(ValueError, match="x must have at least one row"):
        net.vjp(theta, x, np.empty((0, 4)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda n, t, x: n.vjp(t, x, np.ones((5, 3))), ValueError, r"cotangent must have shape"),
        (lambda n, t, x: n.vjp(t, x, np.ones((4, 4))), ValueError, r"cotangent must have shape"),
        (lambda n, t, x: n.vjp(t, x, np.ones(4)), ValueError, "cotangent must have shape"),
        (lambda n, t, x: n.vjp(t, x, np.ones((5, 4), np.float32)), TypeError, "cotangent is float"),
        (
            lambda n, t, x: n.vjp(t, [x, x], [x]),
            ValueError,
            "cotangent must hold 2 tasks as x does, got 1",
        ),
        (
            lambda n, t, x: n.vjp(t, [x, x], [np.ones((5, 4)), x]),
            ValueError,
            r"cotangent\[1\] must have shape \[5, 4\]",
        ),
        (
            lambda n, t, x: n.vjp(t, [x, x[:2]], np.ones((2, 5, 4))),
            ValueError,
            "cotangent must be a list",
        ),
        (lambda n, t, x: n.jvp(t, x, t[:-1]), ValueError, "v must have shape"),
        (lambda n, t, x: n.jvp(t, x, t.astype(np.float32)), TypeError, "v is float32"),
        (lambda n, t, x: n.gnvp(t, x, x[:, :1], t), ValueError, "y must have 4 columns"),
        (lambda n, t, x: n.jacobian(t, x[:, :2]), ValueError, "x must have 3 columns"),
        (lambda n, t, x: n.jacobian(t * np.nan, x), ValueError, "theta must be finite"),
    ],
)
def test_errors_name_the_argument(call, error, message):
    net = ff.MLP((3, 6, 4))
    with pytest.raises(error, match=message):
        call(net, net.init(0, np.float64), np.ones((5, 3)))


def test_no_rows_of_many_vectors_keep_the_task_axis():
    net = ff.MLP([2, 3, 4])
    one, many, x = net.init(0, np.float64), np.zeros((5, net.n_params)), np.empty((0, 2))
    assert net.predict(many, x).shape == (5, 0, 4)
    assert net.predict(many, x[None]).shape == (5, 0, 4)
    assert net.predict(one, np.empty((7, 0, 2))).shape == (7, 0, 4)
    assert net.jvp(one, x, many).shape == (5, 0, 4)
    assert net.jacobian(many, x).shape == (5, 0, 4, net.n_params)
