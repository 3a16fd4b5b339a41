"""Jets, and their pull-back to the parameters, against the oracle."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fomaml_fast as ff
import oracle
from cases import DTYPES, WIDTHS, build, parameters, ragged_rows
from fomaml_fast import _debug
from fomaml_fast._loader import core
from oracle import jets
from subject import mlp
from tolerances import assert_close

every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_order = pytest.mark.parametrize("order", [1, 2])


def directions_of(case, count, seed=7):
    return np.random.default_rng(seed).normal(size=(count, case.sizes[0])).astype(case.dtype)


def cotangent_of(case, n, count, order=2, seed=8):
    rng, outputs = np.random.default_rng(seed), case.sizes[-1]
    shapes = ((n, outputs), *[(n, count, outputs)] * order)
    return ff.Jet(*(rng.normal(size=shape).astype(case.dtype) for shape in shapes))


def assert_jet(actual, expected, dtype, order=2):
    for name in ("value", "first", "second")[: 1 + order]:
        part = getattr(actual, name)
        assert part.dtype == dtype
        assert_close(part, getattr(expected, name), "hvp", dtype)
    assert (actual.second is None) == (order == 1)


@every_dtype
@every_order
@pytest.mark.parametrize("activation", [*ff.activations.names(), *oracle.VARIANTS])
def test_one_task(activation, order, dtype):
    case = build((3, 9, 6, 4), activation, "mse", dtype)
    net, x, along = mlp(case), case.tasks[0].x_support, directions_of(case, 2)
    jet = net.jet(case.theta, x, along, order=order)
    assert_jet(jet, jets.jet(case.net, case.theta, x, along), case.dtype, order)
    c = cotangent_of(case, len(x), 2, order)
    pulled = net.jet_vjp(case.theta, x, along, c)
    assert pulled.dtype == case.dtype
    expected = jets.jet_vjp(case.net, case.theta, x, along, c)
    assert_close(pulled, expected, "normalised_hvp", dtype)


@pytest.mark.parametrize("count", [1, 3, 8])
@pytest.mark.parametrize("width", WIDTHS)
def test_widths_and_directions(width, count):
    case = build((2, width, 1), "softplus", n_tasks=1, support=4)
    net, x, along = mlp(case), case.tasks[0].x_support, directions_of(case, count)
    jet = net.jet(case.theta, x, along)
    assert_jet(jet, jets.jet(case.net, case.theta, x, along), case.dtype)
    c = cotangent_of(case, len(x), count)
    expected = jets.jet_vjp(case.net, case.theta, x, along, c)
    assert_close(net.jet_vjp(case.theta, x, along, c), expected, "hvp", case.dtype)


def test_parts_of_a_cotangent_may_be_none():
    case = build((3, 6, 2), "gelu")
    net, x, along = mlp(case), case.tasks[0].x_support, directions_of(case, 2)
    whole = cotangent_of(case, len(x), 2)
    for parts in (("value",), ("first",), ("second",), ("value", "second")):
        c = ff.Jet(*(whole[i] if f in parts else None for i, f in enumerate(ff.Jet._fields)))
        expected = jets.jet_vjp(case.net, case.theta, x, along, c)
        assert_close(net.jet_vjp(case.theta, x, along, c), expected, "hvp", case.dtype)


@every_dtype
def test_ragged_tasks(dtype):
    case = build((3, 8, 4), "silu", "mse", dtype, rows=ragged_rows(9))
    net, (x, _, _, _), along = mlp(case), case.arrays(ragged=True), directions_of(case, 2)
    rng = np.random.default_rng(1)
    thetas = np.stack([parameters(case.sizes, rng) for _ in x]).astype(case.dtype)
    found = net.jet(thetas, x, along)
    c = [cotangent_of(case, len(rows), 2, seed=t) for t, rows in enumerate(x)]
    pulled = net.jet_vjp(thetas, x, along, c)
    assert pulled.shape == (9, net.n_params)
    for t, rows in enumerate(x):
        assert_jet(found[t], jets.jet(case.net, thetas[t], rows, along), case.dtype)
        expected = jets.jet_vjp(case.net, thetas[t], rows, along, c[t])
        assert_close(pulled[t], expected, "normalised_hvp", dtype)


def test_tasks_share_rows_parameters_or_cotangents():
    case = build((3, 8, 4), "tanh", n_tasks=3)
    net, (x, _, _, _), along = mlp(case), case.arrays(), directions_of(case, 2)
    rng = np.random.default_rng(1)
    thetas = np.stack([parameters(case.sizes, rng) for _ in x])
    c = cotangent_of(case, 5, 2)
    for theta, rows in ((case.theta, x), (thetas, x), (thetas, x[0])):
        found, pulled = net.jet(theta, rows, along), net.jet_vjp(theta, rows, along, c)
        assert found.first.shape == (3, 5, 2, 4)
        for t in range(3):
            arguments = (case.net, theta[t] if theta.ndim == 2 else theta)
            x_t = rows[t] if rows.ndim == 3 else rows
            expected = jets.jet(*arguments, x_t, along)
            assert_jet(ff.Jet(*(part[t] for part in found)), expected, case.dtype)
            expected = jets.jet_vjp(*arguments, x_t, along, c)
            assert_close(pulled[t], expected, "hvp", case.dtype)


@pytest.mark.parametrize("activation", ["tanh", "gelu", "sin(frequency=30)", "elu"])
def test_tangent_of_the_pull_back_is_its_difference(activation):
    """What Hessian-vector products of losses on jets are made of."""
    case = build((2, 7, 5, 2), activation)
    net, x, along = mlp(case), case.tasks[0].x_support, directions_of(case, 2)
    rng = np.random.default_rng(2)
    v, c, rc = (
        rng.normal(size=shape) for shape in (net.n_params, (len(x), 5 * 2), (len(x), 5 * 2))
    )
    step = 1e-6 if "frequency" not in activation else 1e-8

    def moved(sign):
        theta = case.theta + sign * step * v
        cotangents = c + sign * step * rc
        return core.jet_vjp(net._core, theta, x, along, 2, cotangents, 1, True)

    actual = core.jet_vjp_tangent(net._core, case.theta, x, along, 2, c, v, rc, 1, True)
    np.testing.assert_allclose(
        actual, (moved(1) - moved(-1)) / (2 * step), rtol=0, atol=2e-6 * np.abs(actual).max()
    )
    pushed = core.jet_jvp(net._core, case.theta, x, along, 2, v, 1, True)
    assert abs(np.sum(pushed * c) - moved(0) @ v) <= 1e-12 * np.abs(pushed).sum() * np.abs(c).max()


def test_many_rows_are_summed_in_blocks():
    case = build((2, 5, 1), "tanh", n_tasks=1, support=3)
    net, along = mlp(case), np.eye(2)
    x = np.tile(case.tasks[0].x_support, (7000, 1))
    c = cotangent_of(case, 3, 2)
    many = ff.Jet(*(np.tile(part, (7000, *[1] * (part.ndim - 1))) for part in c))
    expected = 7000 * jets.jet_vjp(case.net, case.theta, x[:3], along, c)
    assert_close(net.jet_vjp(case.theta, x, along, many), expected, "gradient", np.float64)


def test_threads_do_not_change_the_bits():
    case = build((3, 17, 4), "tanh", n_tasks=9, support=40)
    net, (x, _, _, _), along = mlp(case), case.arrays(), directions_of(case, 3)
    c = cotangent_of(case, 40, 3)
    first = net.jet(case.theta, x, along, threads=1)
    pulled = net.jet_vjp(case.theta, x, along, c, threads=1)
    for threads in (2, 3):
        for a, b in zip(net.jet(case.theta, x, along, threads=threads), first, strict=True):
            np.testing.assert_array_equal(a, b)
        again = net.jet_vjp(case.theta, x, along, c, threads=threads)
        np.testing.assert_array_equal(again, pulled)


def test_the_fast_engines_say_that_they_decline():
    net = ff.MLP((2, 3, 1))
    theta, x, along = net.init(0, np.float64), np.ones((1, 2)), np.eye(2)
    for engine in set(ff.build_info()["engines"]) - {"reference"}:
        with (
            _debug.force_engine(engine),
            pytest.raises(RuntimeError, match=f"engine '{engine}' does not support this call"),
        ):
            net.jet(theta, x, along)


networks = st.builds(
    build,
    st.lists(st.integers(1, 9), min_size=2, max_size=4).map(tuple),
    st.sampled_from(ff.activations.names()),
    n_tasks=st.just(1),
    support=st.integers(1, 9),
    seed=st.integers(0, 1000),
)


@given(networks, st.integers(1, 4))
def test_value_and_slopes_are_those_of_the_other_methods(case, count):
    net, x, along = mlp(case), case.tasks[0].x_support, directions_of(case, count)
    jet = net.jet(case.theta, x, along)
    slopes = np.einsum("nji,di->ndj", net.input_jacobian(case.theta, x), along)
    np.testing.assert_allclose(jet.value, net.predict(case.theta, x), rtol=0, atol=1e-12)
    np.testing.assert_allclose(jet.first, slopes, rtol=1e-10, atol=1e-12)
    # Twice as far is four times the bend.
    bends = net.jet(case.theta, x, 2 * along).second
    np.testing.assert_allclose(bends, 4 * jet.second, rtol=1e-12, atol=1e-14)


def test_no_rows():
    net = ff.MLP((2, 3, 4))
    theta, x = net.init(0, np.float64), np.empty((0, 2))
    jet = net.jet(theta, x, np.eye(2))
    assert (jet.value.shape, jet.first.shape) == ((0, 4), (0, 2, 4))
    with pytest.raises(ValueError, match="x must have at least one row"):
        net.jet_vjp(theta, x, np.eye(2), jet)


def test_a_jet_is_a_value():
    jet = ff.Jet(np.ones((3, 1)), np.ones((3, 2, 1)))
    assert repr(jet) == "Jet(value=[3, 1], first=[3, 2, 1], second=None)"
    again = pickle.loads(pickle.dumps(copy.deepcopy(jet)))
    np.testing.assert_array_equal(again.first, jet.first)


X, ALONG = np.ones((5, 3)), np.eye(3)[:2]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda n, t: n.jet(t, X, ALONG, order=3), ValueError, "order must be 1 or 2, got 3"),
        (lambda n, t: n.jet(t, X, ALONG, order=0), ValueError, "order must"),
        (lambda n, t: n.jet(t, X, ALONG, order=1.5), TypeError, "order must"),
        (lambda n, t: n.jet(t, X, ALONG[:, :2]), ValueError, r"directions must have shape \[direc"),
        (lambda n, t: n.jet(t, X, ALONG[:0]), ValueError, "at least one direction"),
        (lambda n, t: n.jet(t, X, ALONG[0]), ValueError, "directions must have shape"),
        (lambda n, t: n.jet(t, X, None), TypeError, "directions must be"),
        (lambda n, t: n.jet(t, X, ALONG * np.nan), ValueError, "directions"),
        (lambda n, t: n.jet(t, X, ALONG.astype(np.float32)), TypeError, "directions is float32"),
        (lambda n, t: n.jet_vjp(t, X, ALONG, X), TypeError, "cotangent must be a Jet"),
        (lambda n, t: n.jet_vjp(t, X, ALONG, []), TypeError, "cotangent must be a Jet"),
        (lambda n, t: n.jet_vjp(t, X, ALONG, ff.Jet(None)), ValueError, "part that is not None"),
        (
            lambda n, t: n.jet_vjp(t, X, ALONG, ff.Jet(np.ones((4, 2)))),
            ValueError,
            r"cotangent must have shape \[5, ",
        ),
        (
            lambda n, t: n.jet_vjp(t, X, ALONG, ff.Jet(np.ones((5, 2)), np.ones((5, 3, 2)))),
            ValueError,
            r"cotangent.first must have shape \[5, 2, 2\] beside .* 2 directions, got \[5, 3",
        ),
        (
            lambda n, t: n.jet_vjp(t, X, ALONG, ff.Jet(np.ones((5, 2), np.float32))),
            TypeError,
            "cotangent.value is float32",
        ),
        (
            lambda n, t: n.jet_vjp(t, X, ALONG, ff.Jet(np.full((5, 2), "a"))),
            TypeError,
            "cotangent.value",
        ),
    ],
)
def test_arguments_are_checked(call, error, message):
    case = build((3, 6, 2))
    with pytest.raises(error, match=message):
        call(mlp(case), case.theta)


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_normalised_networks_have_no_jets(norm):
    net = ff.MLP((2, 3, 4), norm=norm)
    with pytest.raises(ValueError, match=f"networks without normalisation, got .*{norm}"):
        net.jet(net.init(0, np.float64), np.ones((5, 2)), np.eye(2))


def test_overflow_is_told():
    net = ff.MLP((1, 1, 1), activation="softplus")
    with pytest.raises(OverflowError, match="not finite"):
        net.jet(np.array([1e200, 0, 1.0, 0]), [[0.0]], [[1.0]])
