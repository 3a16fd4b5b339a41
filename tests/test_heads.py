"""Heads in closed form against the definition, number by number."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fomaml_fast as ff
from cases import DTYPES, parameters, targets
from fomaml_fast._debug import force_engine
from oracle import heads
from oracle.network import Net
from tolerances import assert_close

PRIORS = ("scalar", "diagonal", "full")
GRADIENTS = ("first", "exact")
ENGINES = ("reference", "lanes")


def tasks_of(sizes, loss, rows, rng, dtype=np.float64):
    made = []
    for k, q in rows:
        arrays = []
        for n in (k, q):
            arrays.append(rng.normal(size=(n, sizes[0])).astype(dtype))
            arrays.append(targets(loss, n, sizes[-1], dtype, rng))
        made.append(heads.Rows(*arrays))
    return made


def batch_of(tasks, ragged=False, **more):
    columns = list(
        zip(*((t.x_support, t.y_support, t.x_query, t.y_query) for t in tasks), strict=True)
    )
    return ff.TaskBatch(*(list(c) if ragged else np.stack(c) for c in columns), **more)


def numbers_of(head, m, outputs, rng, dtype=np.float64):
    """Away from those of a fresh state."""
    net = ff.MLP([m - 1, outputs])
    start = ff.Algorithm(head, learn_rates=True).initial_rates(net, dtype)
    return (start + rng.normal(0, 0.2, start.shape)).astype(dtype)


def check(sizes, activation, loss, head, gradient, rows, dtype="float64", seed=0, **options):
    """Meta-gradient, per task, over theta and the numbers; and what adapt returns."""
    rng = np.random.default_rng(seed)
    norms = options.pop("norm", None)
    predictive = options.pop("predictive", False)
    weigh = options.pop("weigh", None)
    ragged = len(set(rows)) > 1
    hidden = len(sizes) - 2
    net = ff.MLP(sizes, activation if hidden else "relu", loss, norms if hidden else None)
    slow = Net(sizes, (activation,) * hidden, loss, (norms,) * hidden if norms else ())
    theta = parameters(sizes, rng, slow.norm).astype(dtype)
    tasks = tasks_of(sizes, loss, rows, rng, dtype)
    more = {}
    if weigh is not None:
        tasks, more = weigh(tasks, rng, sizes[-1], dtype)
    numbers = numbers_of(head, sizes[-2] + 1, sizes[-1], rng, dtype)
    algorithm = ff.Algorithm(
        head,
        gradient=gradient,
        learn_rates=True,
        query_loss="gaussian_nll" if predictive else None,
    )
    batch = batch_of(tasks, ragged, **more)
    spec = heads.Head(
        head.prior, predictive, head.prior_mean == "zero", head.score_scale is not None
    )
    exact = gradient == "exact"
    values = [heads.loss(slow, spec, theta, numbers, task) for task in tasks]
    gradients = [heads.gradient(slow, spec, theta, numbers, task, exact) for task in tasks]
    adapted = [heads.adapted(slow, spec, theta, numbers, task) for task in tasks]
    of_numbers = np.mean([g[1] for g in gradients], axis=0)
    supports = batch.x_support, batch.y_support
    weights = {k.removesuffix("_support"): v for k, v in more.items() if k.endswith("_support")}
    plan = ff.plan(net, batch, algorithm)
    for engine in (e.name for e in plan.engines if e.unsupported is None):
        with force_engine(engine):
            found = ff.meta_grad(net, theta, batch, algorithm, rates=numbers, per_task=True)
            thetas = ff.adapt(net, theta, *supports, algorithm, rates=numbers, **weights)
        for t in range(len(tasks)):
            assert_close(found.losses[t], values[t], "combination", dtype)
            assert_close(thetas[t], adapted[t], "combination", dtype)
            if not exact and len(sizes) == 2:
                continue
            grads = gradients[t][0].copy()
            if not exact:  # w0 is held too
                grads[theta.size - (sizes[-2] + 1) * sizes[-1] :] = 0
            assert_close(found.task_grads[t], grads, "combination", dtype)
        np.testing.assert_allclose(
            found.rate_grad,
            of_numbers,
            rtol=0,
            atol=(1e-9 if dtype == "float64" else 1e-4) * max(1e-3, np.abs(of_numbers).max()),
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("predictive", [False, True])
@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("rows", [3, 9, 14], ids=lambda k: f"K={k}")  # m is 9
def test_regression(rows, prior, gradient, predictive, dtype):
    head = ff.inner.BayesianHead(prior)
    check(
        (2, 6, 8, 3), "tanh", "mse", head, gradient, [(rows, 5)] * 3, dtype, predictive=predictive
    )


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("loss", [*ff.losses.names()])
def test_query_losses(loss, gradient):
    scores = loss == "cross_entropy" or "cross" in loss
    head = ff.inner.BayesianHead("scalar", score_scale=1.5 if scores else None, prior_mean="zero")
    check((3, 7, 4), "gelu", loss, head, gradient, [(5, 6), (11, 3), (1, 1)])


@pytest.mark.parametrize("predictive", [False, True])
@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_normalised_networks(norm, predictive):
    check(
        (3, 6, 5, 2), "tanh", "mse", ff.inner.BayesianHead(), "exact", [(4, 5), (9, 3)],
        norm=norm, predictive=predictive,
    )  # fmt: skip


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("sizes", [(4, 3), (1, 1), (1, 33, 1), (5, 16, 12)], ids=str)
def test_sizes(sizes, prior):
    check(
        sizes, "silu", "mse", ff.inner.BayesianHead(prior), "exact", [(3, 2)] * 2, predictive=True
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("rows", [[(3, 2)] * 17, [(1 + t % 5, 1 + t % 3) for t in range(11)]])
def test_more_tasks_than_lanes(rows, prior, dtype):
    check((2, 4, 2), "relu", "mse", ff.inner.BayesianHead(prior), "exact", rows, dtype)


@pytest.mark.parametrize(
    ("sizes", "rows"),
    [((2, 3, 1), [(90, 100), (65, 1)]), ((1, 60, 1), [(9, 2)]), ((1, 20, 1), [(70, 3)] * 2),
     ((1, 6, 1), [(300, 4)])],
)  # fmt: skip
def test_many_rows_and_features(sizes, rows):
    check(sizes, "tanh", "mse", ff.inner.BayesianHead("diagonal"), "exact", rows, predictive=True)


def of_rows(tasks, rng, outputs, dtype):
    """Weights of rows, some of them 0."""
    made = [(rng.uniform(0, 2, len(t.x_support)) * (rng.random(len(t.x_support)) < 0.8),
             rng.normal(size=len(t.x_query))) for t in tasks]  # fmt: skip
    made = [tuple(w.astype(dtype) for w in both) for both in made]
    with_weights = [
        heads.Rows(t.x_support, t.y_support, t.x_query, t.y_query, *w)
        for t, w in zip(tasks, made, strict=True)
    ]
    support, query = (list(w) for w in zip(*made, strict=True))
    return with_weights, {"weights_support": support, "weights_query": query}


def of_outputs(tasks, rng, outputs, dtype):
    """Masks and weights of every target; each row keeps one."""
    with_weights, support, query, masks = [], [], [], ([], [])
    for t in tasks:
        both = []
        for n, into, kept in (
            (len(t.x_support), support, masks[0]),
            (len(t.x_query), query, masks[1]),
        ):
            known = rng.random((n, outputs)) < 0.6
            known[np.arange(n), rng.integers(0, outputs, n)] = True
            weights = rng.uniform(0.5, 2, (n, outputs)).astype(dtype)
            into.append(weights)
            kept.append(known)
            both.append(np.where(known, weights, np.nan))
        with_weights.append(heads.Rows(t.x_support, t.y_support, t.x_query, t.y_query, *both))
    return with_weights, {
        "weights_support": support,
        "weights_query": query,
        "mask_support": masks[0],
        "mask_query": masks[1],
    }


@pytest.mark.parametrize("predictive", [False, True])
@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("weigh", [of_rows, of_outputs])
def test_weights_and_masks(weigh, gradient, predictive):
    check(
        (2, 5, 3), "tanh", "mse", ff.inner.BayesianHead(), gradient, [(4, 5), (9, 6), (1, 2)],
        predictive=predictive, weigh=weigh,
    )  # fmt: skip


def test_one_row_at_a_time_and_ridge():
    """A scalar prior around 0 is ridge regression with the strength 1 / V."""
    rng = np.random.default_rng(0)
    net = ff.MLP([3, 2])
    x, y = rng.normal(size=(10, 3)), rng.normal(size=(10, 2))
    head = ff.inner.BayesianHead("scalar", prior_variance=0.25, prior_mean="zero")
    found = ff.adapt(net, net.init(0, np.float64), x, y, ff.Algorithm(head))
    phi = np.hstack([x, np.ones((10, 1))])
    expected = np.linalg.solve(phi.T @ phi + 4 * np.eye(4), phi.T @ y)
    np.testing.assert_allclose(found, expected.ravel(), rtol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_threads_do_not_change_the_bits(engine):
    rng = np.random.default_rng(0)
    sizes = (2, 9, 3)
    batch = batch_of(tasks_of(sizes, "mse", [(4, 5)] * 40, rng))
    net = ff.MLP(sizes, "tanh")
    algorithm = ff.Algorithm(
        ff.inner.BayesianHead(), gradient="exact", learn_rates=True, query_loss="gaussian_nll"
    )
    theta = net.init(0, np.float64)
    with force_engine(engine):
        one, *more = (ff.meta_grad(net, theta, batch, algorithm, threads=n) for n in (1, 2, 3))
    for other in more:
        np.testing.assert_array_equal(other.grad, one.grad)
        np.testing.assert_array_equal(other.rate_grad, one.rate_grad)


@pytest.mark.parametrize("engine", ENGINES)
def test_traces_evaluation_and_losses_before(engine):
    with force_engine(engine):
        check_traces()


def check_traces():
    rng = np.random.default_rng(1)
    sizes = (2, 5, 2)
    tasks = tasks_of(sizes, "mse", [(4, 5)] * 3, rng)
    batch, net, slow = batch_of(tasks), ff.MLP(sizes, "tanh"), Net(sizes, ("tanh",), "mse")
    theta = parameters(sizes, rng)
    for predictive, gradient in itertools.product((False, True), GRADIENTS):
        algorithm = ff.Algorithm(
            ff.inner.BayesianHead("diagonal"),
            gradient=gradient,
            query_loss="gaussian_nll" if predictive else None,
        )
        numbers = algorithm.initial_rates(net)
        spec = heads.Head("diagonal", predictive)
        trace = ff.meta_grad(net, theta, batch, algorithm, trace=True)
        assert trace.rate_grad is None
        found = ff.evaluate(net, theta, batch, algorithm, steps=(0, 1))
        nothing = [
            heads.Rows(t.x_support[:0], t.y_support[:0], t.x_query, t.y_query) for t in tasks
        ]
        before = [heads.loss(slow, spec, theta, numbers, t) for t in nothing]
        after = [heads.loss(slow, spec, theta, numbers, t) for t in tasks]
        assert_close(found.losses[:, 0], before, "combination", "float64")
        assert_close(found.losses[:, 1], after, "combination", "float64")
        assert_close(trace.losses_before, before, "combination", "float64")
        way = ff.adapt(net, theta, batch.x_support, batch.y_support, algorithm, trace=True)
        np.testing.assert_array_equal(way.thetas[:, 0], np.tile(theta, (3, 1)))
        adapted = ff.adapt(net, theta, batch.x_support, batch.y_support, algorithm)
        np.testing.assert_array_equal(way.thetas[:, 1], adapted)
        np.testing.assert_allclose(
            way.losses[:, 1], net.loss(adapted, batch.x_support, batch.y_support), rtol=1e-12
        )


@pytest.mark.parametrize("weigh", [None, of_rows, of_outputs])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("engine", ENGINES)
def test_metrics_of_the_predictive_distribution(engine, ragged, weigh):
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(5)
    rows = [(4, 9), (7, 3), (2, 30)] if ragged else [(4, 9)] * 3
    sizes, more = (2, 6, 2), {}
    tasks = tasks_of(sizes, "mse", rows, rng)
    if weigh is not None:
        tasks, more = weigh(tasks, rng, 2, np.float64)
        if weigh is of_rows:  # scores of negative weights mean nothing
            more["weights_query"] = [np.abs(w) for w in more["weights_query"]]
    batch = batch_of(tasks, True, **more)
    net, algorithm = ff.MLP(sizes, "tanh"), ff.alpaca("diagonal")
    theta = parameters(sizes, rng)
    numbers = numbers_of(algorithm.inner, 7, 2, rng)
    state = ff.init_state(net, algorithm, ff.outer.Adam(), theta=theta)._replace(rates=numbers)
    names = ("nll", "coverage_50", "coverage_90", "coverage_95", "calibration_error", "rmse")
    with force_engine(engine):
        found = ff.evaluate(
            net, theta, batch, algorithm, rates=numbers, metrics=names, steps=(1, 0)
        )
    for t, task in enumerate(tasks):
        given = {k[:-8]: v[t] for k, v in more.items() if k.endswith("_support")}
        known = ff.posterior(net, state, task.x_support, task.y_support, algorithm, **given)
        mean, std = known.predict(task.x_query, return_std=True)
        w = np.ones(mean.shape)
        if more:
            w = more["weights_query"][t].reshape(len(mean), -1) * np.ones(mean.shape)
            w = w * more["mask_query"][t] if "mask_query" in more else w
        z = (task.y_query - mean) / std

        def score(values, w=w):
            return np.mean((w * values).sum(0) / w.sum(0))

        def cover(p, z=z):
            return score(np.abs(z) <= stats.norm.ppf((1 + p) / 2))

        wanted = {
            "nll": score(-stats.norm(mean, std).logpdf(task.y_query)),
            **{f"coverage_{round(100 * p)}": cover(p) for p in (0.5, 0.9, 0.95)},
            "calibration_error": np.mean([abs(cover(p / 10) - p / 10) for p in range(1, 10)]),
        }
        for name, value in wanted.items():
            np.testing.assert_allclose(found.metrics[name].values[t, 0], value, rtol=1e-9)
    assert np.isfinite(found.metrics["nll"].values).all()


@pytest.mark.parametrize("algorithm", [ff.maml(), ff.r2d2()])
def test_other_algorithms_have_no_distribution(algorithm):
    batch = batch_of(tasks_of((2, 3, 2), "mse", [(4, 5)], np.random.default_rng(0)))
    net = ff.MLP((2, 3, 2))
    with pytest.raises(ValueError, match="nll is of a predictive distribution"):
        ff.evaluate(
            net, net.init(0, np.float64), batch, algorithm, metrics="nll", rates=None, steps=(0,)
        )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"prior": "wide"}, ValueError, "prior must be one of"),
        ({"noise": 0}, ValueError, "noise must be above 0"),
        ({"noise": -1.0}, ValueError, "noise must be at least 0"),
        ({"prior_variance": np.inf}, ValueError, "prior_variance must be finite"),
        ({"prior_mean": 0}, ValueError, "prior_mean must be one of"),
        ({"score_scale": "1"}, TypeError, "score_scale must be a number"),
    ],
)
def test_options_are_checked(options, error, message):
    with pytest.raises(error, match=message):
        ff.inner.BayesianHead(**options)


def test_what_a_head_asks_of_a_call():
    rng = np.random.default_rng(0)
    net, head = ff.MLP((2, 3, 2)), ff.Algorithm(ff.inner.BayesianHead())
    theta = net.init(0, np.float64)
    x, y = rng.normal(size=(3, 4, 2)), rng.normal(size=(3, 4, 2))
    batch = ff.TaskBatch(x, y, x, y, weights_support=-np.ones((3, 4)))
    with pytest.raises(ValueError, match="weights_support must not be negative where a head"):
        ff.meta_grad(net, theta, batch, head)
    with pytest.raises(ValueError, match="steps must be at most 1 where a head is solved for"):
        ff.adapt(net, theta, x, y, head, steps=2)
    np.testing.assert_array_equal(ff.adapt(net, theta, x, y, head, steps=0), np.tile(theta, (3, 1)))
    labels = np.zeros((3, 4), int)
    classes = ff.MLP((2, 3, 2), loss="cross_entropy")
    of_labels = ff.TaskBatch(x, labels, x, labels)
    with pytest.raises(ValueError, match="query_loss='gaussian_nll', as alpaca"):
        ff.meta_grad(classes, theta, of_labels, ff.alpaca())
    with pytest.raises(ValueError, match="rates must have shape"):
        ff.meta_grad(net, theta, ff.TaskBatch(x, y, x, y), head, rates=np.ones(3))
    names = {
        engine.name: engine.unsupported for engine in ff.plan(classes, of_labels, head).engines
    }
    assert names == {"reference": None, "rows": "a head in closed form", "lanes": None}
    assert ff.evaluate(net, theta, ff.TaskBatch(x, y, x, y), head).steps == (0, 1)


def test_a_step_of_training():
    rng = np.random.default_rng(0)
    sizes = (2, 5, 2)
    batch = batch_of(tasks_of(sizes, "mse", [(4, 5)] * 3, rng))
    net, algorithm, outer = ff.MLP(sizes, "tanh"), ff.alpaca(), ff.outer.SGD(0.1)
    state = ff.init_state(net, algorithm, outer, dtype=np.float64)
    np.testing.assert_array_equal(state.rates, algorithm.initial_rates(net))
    grads = ff.meta_grad(net, state.theta, batch, algorithm, rates=state.rates)
    after, metrics = ff.meta_step(net, state, batch, algorithm, outer)
    np.testing.assert_allclose(after.theta, state.theta - 0.1 * grads.grad, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(
        after.rates, state.rates - 0.1 * grads.rate_grad, rtol=1e-12, atol=1e-15
    )
    norm = np.sqrt((grads.grad**2).sum() + (grads.rate_grad**2).sum())
    assert metrics.grad_norm == pytest.approx(norm, rel=1e-12)
