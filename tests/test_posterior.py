"""The posterior of one task's head: against the definition, row by row, with forgetting."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import fomaml_fast as ff
from cases import DTYPES, parameters
from oracle import heads
from oracle.network import Net

SIZES = (2, 7, 3)
NET, SLOW = ff.MLP(SIZES, "tanh"), Net(SIZES, ("tanh",), "mse")
PRIORS = ("scalar", "diagonal", "full")


def state_of(prior="full", dtype="float64", seed=0, **options):
    """A state whose numbers beside theta were moved, and its algorithm."""
    rng = np.random.default_rng(seed)
    algorithm = ff.Algorithm(ff.inner.BayesianHead(prior, **options), learn_rates=True)
    theta = parameters(SIZES, rng).astype(dtype)
    state = ff.init_state(NET, algorithm, ff.outer.Adam(), theta=theta)
    moved = (state.rates + rng.normal(0, 0.2, state.rates.shape)).astype(dtype)
    return state._replace(rates=moved), algorithm


def rows_of(n, seed=1, dtype="float64"):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)).astype(dtype), rng.normal(size=(n, 3)).astype(dtype)


def expected(state, prior, x, y, at, weights=None):
    """Mean and deviation of new rows."""
    head = heads.Head(prior)
    task = heads.Rows(x, y, at, None, weights)
    w, spreads = heads.posterior(SLOW, head, state.theta, state.rates, task)
    phi = heads.features(SLOW, state.theta, at)
    noise = heads.parts(head, state.rates, len(w), 3)[1]
    v = np.stack([np.einsum("na,ab,nb->n", phi, s, phi) for s in spreads], 1)
    return phi @ w, noise * np.sqrt(1 + v)


def close(actual, wanted, dtype="float64"):
    limit = {"float64": 1e-10, "float32": 2e-4}[dtype]
    for a, b in zip(actual, wanted, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=limit * np.abs(b).max())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("n", [1, 8, 30])
def test_predictions(n, prior, dtype):
    state, algorithm = state_of(prior, dtype)
    (x, y), (at, _) = rows_of(n, dtype=dtype), rows_of(5, 2, dtype)
    found = ff.posterior(NET, state, x, y, algorithm)
    wanted = expected(state, prior, x, y, at)
    close(found.predict(at, return_std=True), wanted, dtype)
    np.testing.assert_array_equal(found.predict(at), found.predict(at, return_std=True)[0])
    adapted = ff.adapt(NET, state.theta, x, y, algorithm, rates=state.rates)
    close((found.theta,), (adapted,), dtype)
    close((NET.predict(found.theta, at),), wanted[:1], dtype)
    assert found.n_rows == n


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_row_at_a_time_is_all_rows_at_once(dtype):
    state, algorithm = state_of(dtype=dtype)
    x, y = rows_of(20, dtype=dtype)
    one = ff.posterior(NET, state, x[:1], y[:1], algorithm)
    for i in range(1, 20):
        assert one.update(x[i : i + 1], y[i : i + 1]) is one
    both = (p.predict(x, return_std=True) for p in (one, ff.posterior(NET, state, x, y, algorithm)))
    close(*both, dtype)


def test_weights_and_masks():
    state, algorithm = state_of()
    (x, y), (at, _) = rows_of(9), rows_of(4, 2)
    rng = np.random.default_rng(3)
    weights = rng.uniform(0, 2, 9)
    found = ff.posterior(NET, state, x, y, algorithm, weights=weights)
    close(found.predict(at, return_std=True), expected(state, "full", x, y, at, weights))
    mask = rng.random(9) < 0.6
    gaps = np.where(mask[:, None], y, np.nan)
    found = ff.posterior(NET, state, x, gaps, algorithm, mask=mask)
    assert found.n_rows == mask.sum()
    close(found.predict(at, return_std=True), expected(state, "full", x[mask], y[mask], at))
    each = rng.random((9, 3)) < 0.6
    each[:, 0] = True
    given = np.where(each, rng.uniform(0.5, 2, (9, 3)), np.nan)
    found = ff.posterior(
        NET, state, x, np.where(each, y, np.nan), algorithm, weights=given, mask=each
    )
    close(found.predict(at, return_std=True), expected(state, "full", x, y, at, given))


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("prior", PRIORS)
def test_forgetting(prior, each):
    """Row i of n counts ``forget ** (n - 1 - i)``."""
    state, algorithm = state_of(prior)
    (x, y), (at, _) = rows_of(12), rows_of(4, 2)
    mask = np.ones((12, 3), bool) if each else None
    found = ff.posterior(NET, state, x[:4], y[:4], algorithm, mask=mask[:4] if each else None)
    found.update(x[4:], y[4:], forget=0.8, mask=mask[4:] if each else None)
    weights = np.concatenate([np.full(4, 0.8**8), 0.8 ** np.arange(7, -1, -1)])
    close(found.predict(at, return_std=True), expected(state, prior, x, y, at, weights))
    found.update(x[:1], y[:1])  # and on without
    x, y, weights = np.vstack([x, x[:1]]), np.vstack([y, y[:1]]), np.append(weights, 1)
    close(found.predict(at, return_std=True), expected(state, prior, x, y, at, weights))


def test_a_million_rows_in_float32():
    state, algorithm = state_of("full", "float32")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1_000_000, 2)).astype(np.float32)
    y = np.stack([np.sin(x[:, 0]), x[:, 1], x[:, 0] * x[:, 1]], 1)
    y += rng.normal(0, 0.1, y.shape).astype(np.float32)
    found = ff.posterior(NET, state, x[:1], y[:1], algorithm).update(x[1:], y[1:])
    wide = state._replace(theta=state.theta.astype(float), rates=state.rates.astype(float))
    phi = heads.features(SLOW, wide.theta, x.astype(float))
    v = heads.parts(heads.Head("full"), wide.rates, phi.shape[1], 3)[0]
    a = np.linalg.inv(v) + phi.T @ phi
    start = np.vstack(NET.unflatten(wide.theta)[-1])
    w = start + np.linalg.solve(a, phi.T @ (y - phi @ start))
    head = found.theta[-w.size :].reshape(w.shape)
    np.testing.assert_allclose(head, w, rtol=0, atol=1e-3 * np.abs(w).max())
    _, roots, _ = found._core.read()
    spread = roots[0].astype(float) @ roots[0].astype(float).T
    assert np.linalg.eigvalsh(spread).min() > 0
    np.testing.assert_allclose(spread, np.linalg.inv(a), rtol=0, atol=1e-3 * np.abs(spread).max())


def test_samples_have_the_posteriors_moments():
    state, algorithm = state_of()
    (x, y), (at, _) = rows_of(5), rows_of(3, 2)
    found = ff.posterior(NET, state, x, y, algorithm)
    thetas = found.sample(20_000, 0)
    assert thetas.shape == (20_000, NET.n_params)
    np.testing.assert_array_equal(thetas[:10], found.sample(20_000, np.random.default_rng(0))[:10])
    values = NET.predict(thetas, at)
    mean, std = found.predict(at, return_std=True)
    noise = heads.parts(heads.Head("full"), state.rates, 8, 3)[1]
    of_function = np.sqrt(std**2 - noise**2)
    np.testing.assert_array_less(np.abs(values.mean(0) - mean), 5 * of_function / np.sqrt(20_000))
    np.testing.assert_allclose(values.std(0), of_function, rtol=0.03)


def test_log_prob_is_that_of_a_gaussian():
    stats = pytest.importorskip("scipy.stats")
    state, algorithm = state_of()
    (x, y), (at, there) = rows_of(5), rows_of(3, 2)
    found = ff.posterior(NET, state, x, y, algorithm)
    mean, std = found.predict(at, return_std=True)
    wanted = stats.norm(mean, std).logpdf(there).sum(1)
    np.testing.assert_allclose(found.log_prob(at, there), wanted, rtol=1e-12)
    gaps = there.copy()
    gaps[0, 1:], gaps[2] = np.nan, np.nan
    alone = stats.norm(mean[0, 0], std[0, 0]).logpdf(there[0, 0])
    np.testing.assert_allclose(found.log_prob(at, gaps), [alone, wanted[1], 0], rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s, a, x, y: ff.posterior(NET, s, x, y, ff.maml()), ValueError, "algorithm must h"),
        (lambda s, a, x, y: ff.posterior(NET, s, x, y, ff.r2d2()), ValueError, "score_scale"),
        (lambda s, a, x, y: ff.posterior(NET, s.theta, x, y, a), TypeError, "state must be a Sta"),
        (lambda s, a, x, y: ff.posterior(NET, s, x[0], y, a), ValueError, "x must be the rows"),
        (lambda s, a, x, y: ff.posterior(NET, s, x, y[:, :2], a), ValueError, "y must have 3 col"),
        (lambda s, a, x, y: ff.posterior(NET, s, x, y[:3], a), ValueError, "y must have"),
        (
            lambda s, a, x, y: ff.posterior(NET, s, x, y, a, weights=-np.ones(5)),
            ValueError,
            "weights must not be negative",
        ),
        (
            lambda s, a, x, y: ff.posterior(NET, s, x, y, a).update(x, y, forget=0),
            ValueError,
            "forget must be above 0",
        ),
        (
            lambda s, a, x, y: ff.posterior(NET, s, x, y, a).update(x, y, forget=1.1),
            ValueError,
            "forget must be above 0",
        ),
        (
            lambda s, a, x, y: ff.posterior(NET, s, x, y, a).update(x, y, weights=np.ones((5, 3))),
            ValueError,
            "weights and mask must be of rows",
        ),
        (
            lambda s, a, x, y: ff.posterior(NET, s, x, y, a).predict(x[:, :1]),
            ValueError,
            "x must have 2 columns",
        ),
        (lambda s, a, x, y: ff.posterior(NET, s, x, y, a).sample(0, 0), ValueError, "n must be"),
        (
            lambda s, a, x, y: ff.posterior(NET, s._replace(rates=s.rates[1:]), x, y, a),
            ValueError,
            "rates must have shape",
        ),
        (
            lambda s, a, x, y: ff.posterior(NET, s, x, np.full_like(y, np.nan), a),
            ValueError,
            "y must be finite",
        ),
    ],
)
def test_arguments_are_checked(call, error, message):
    state, algorithm = state_of()
    with pytest.raises(error, match=message):
        call(state, algorithm, *rows_of(5))


def test_no_rows_are_the_prior():
    state, algorithm = state_of()
    at, _ = rows_of(4, 2)
    none = np.empty((0, 2)), np.empty((0, 3))
    found = ff.posterior(NET, state, *none, algorithm)
    assert found.n_rows == 0
    close(found.predict(at, return_std=True), expected(state, "full", *none, at))
    np.testing.assert_array_equal(found.theta, state.theta)
    x, y = rows_of(5)
    before = ff.posterior(NET, state, x, y, algorithm)
    after = found.update(x, y).update(*none).update(x, y, mask=np.zeros(5, bool))
    np.testing.assert_array_equal(after.predict(at), before.predict(at))
    assert after.log_prob(*none).shape == (0,)
    with pytest.raises(ValueError, match=r"y must have shape \[0, 3\] where x has no rows"):
        found.update(none[0], y)


def test_copies_and_pickles():
    state, algorithm = state_of()
    x, y = rows_of(5)
    found = ff.posterior(NET, state, x, y, algorithm, mask=np.ones((5, 3), bool))
    others = found.copy(), copy.deepcopy(found), pickle.loads(pickle.dumps(found))
    before = found.predict(x, return_std=True)
    found.update(x, y)
    for other in others:
        assert other.n_rows == 5
        for a, b in zip(other.predict(x, return_std=True), before, strict=True):
            np.testing.assert_array_equal(a, b)
        other.update(x, y)
        np.testing.assert_array_equal(other.predict(x), found.predict(x))


def test_weights_of_one_column_are_of_the_one_output():
    net = ff.MLP([2, 3, 1], "tanh")
    algorithm = ff.Algorithm(ff.inner.BayesianHead())
    state = ff.init_state(net, algorithm, ff.outer.Adam(), dtype=np.float64)
    (x, y), weights = rows_of(5), np.arange(1.0, 6)
    y = y[:, :1]
    ours = [
        ff.posterior(net, state, x, y, algorithm, weights=w).predict(x, return_std=True)
        for w in (weights, weights[:, None])
    ]
    np.testing.assert_allclose(*ours, rtol=1e-12)


def test_what_is_not_finite_is_told_and_changes_nothing():
    state, algorithm = state_of("scalar")
    x, y = rows_of(5)
    large = state.rates.copy()
    large[0] = 800
    with pytest.raises(OverflowError, match="posterior is not finite"):
        ff.posterior(NET, state._replace(rates=large), x, y, algorithm)
    linear = ff.MLP([1, 1])
    head = ff.Algorithm(ff.inner.BayesianHead("scalar"))
    start = ff.init_state(linear, head, ff.outer.Adam(), dtype=np.float32)
    found = ff.posterior(linear, start, [[1.0]], [[1.0]], head)
    before = found.predict([[2.0]], return_std=True)
    with pytest.raises(OverflowError, match="posterior is not finite: float32"):
        found.predict([[1e20]], return_std=True)
    with pytest.raises(OverflowError, match="posterior is not finite"):
        found.update([[1.0], [1e25]], [[1.0], [1.0]])
    assert found.n_rows == 1
    np.testing.assert_array_equal(found.predict([[2.0]], return_std=True), before)


def test_labels_and_batch_normalisation_are_refused():
    classes = ff.MLP(SIZES, "tanh", "cross_entropy")
    state, algorithm = state_of()
    x, _ = rows_of(4)
    with pytest.raises(ValueError, match="y must be numbers of a float dtype, got int64"):
        ff.posterior(classes, state, x, np.array([0, 1, 2, 0]), algorithm)
    net = ff.MLP(SIZES, "tanh", norm="batch")
    start = ff.init_state(net, algorithm, ff.outer.Adam(), dtype=np.float64)
    with pytest.raises(ValueError, match="net must have no batch normalisation"):
        ff.posterior(net, start, *rows_of(4), algorithm)


def test_repr():
    state, algorithm = state_of("scalar")
    found = ff.posterior(NET, state, *rows_of(5), algorithm)
    assert repr(found) == "Posterior(BayesianHead(prior='scalar'), n_rows=5)"
