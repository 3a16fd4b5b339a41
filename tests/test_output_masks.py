"""Weights and masks of each output of each row: every engine against the oracle, and JAX."""

from __future__ import annotations

import numpy as np
import pytest

import fomaml_fast as ff
import oracle
from cases import DTYPES, GRADIENTS, build, parameters, ragged_rows
from fomaml_fast import _debug
from test_row_weights import LR, STEPS, Extras, net_of
from tolerances import assert_close

ENGINES = ff.build_info()["engines"]

# Sizes, loss, tasks or ragged rows, K, Q: what the engines treat apart.
SHAPES = {
    "small": ((3, 9, 6, 2), "mse", 18, 5, 7),
    "one output": ((2, 5, 1), "mse", 9, 4, 8),
    "many rows": ((2, 8, 3), "huber", 5, 70, 131),
    "ragged": ((2, 20, 3), "quantile", ragged_rows(19), 0, 0),
    "one task": ((6, 16, 3), "binary_cross_entropy", 1, 5, 5),
    "one row": ((3, 7, 17), "mse", 5, 1, 1),
    "many outputs": ((4, 12, 33), "huber", ragged_rows(11, 1), 0, 0),
    "wide input": ((170, 33, 9), "binary_cross_entropy", 6, 5, 15),
}
#: Whether weights and masks have an axis of outputs; None: there are none.
KINDS = {
    "mask": (None, True),
    "weights": (True, None),
    "both": (True, True),
    "weights of rows, mask of outputs": (False, True),
    "weights of outputs, mask of rows": (True, False),
}


class Known(Extras):
    """Weights and masks of outputs; the oracle's weights are NaN where a target is not known."""

    def __init__(self, case, kind="both", seed=0):
        rng = np.random.default_rng(seed)
        weighs, masks = KINDS[kind]
        self.case, self.classes, self.sets, self.oracles = case, None, ([], []), ([], [])
        for task in case.tasks:
            pairs = (task.x_support, task.y_support), (task.x_query, task.y_query)
            for which, (x, y) in enumerate(pairs):
                x, y = x.copy(), y.copy()
                known, of_oracle, w = np.ones(y.shape, bool), np.ones(y.shape), None
                if masks is not None:
                    mask = rng.random(y.shape if masks else len(y)) < 0.6
                    mask[rng.integers(len(y))] = True
                    known &= mask if masks else mask[:, None]
                if weighs is not None:
                    w = rng.normal(size=y.shape if weighs else len(y)).astype(case.dtype)
                    w[rng.random(w.shape) < 0.2] = 0  # counts in the mean all the same
                    of_oracle = of_oracle * (w if weighs else w[:, None])
                    w[~(known if weighs else known.any(axis=1))] = np.nan
                y[~known] = rng.choice([np.nan, np.inf, 7.0], np.sum(~known))
                x[~known.any(axis=1)] = np.nan
                self.sets[which].append((x, y, w, mask if masks is not None else None))
                kept = known.any(axis=1)
                of_oracle[~known] = np.nan
                self.oracles[which].append((x[kept], y[kept], of_oracle[kept], None))

    def kept(self, which, t):
        return self.oracles[which][t]


def known_of(name, dtype="float64", kind="both", **options):
    sizes, loss, tasks, support, query = SHAPES[name]
    rows = tasks if isinstance(tasks, list) else [(support, query)] * tasks
    return Known(build(sizes, "tanh", loss, dtype, rows=rows, steps=0, **options), kind)


def stacks(name):
    return not isinstance(SHAPES[name][2], list)


@pytest.fixture(params=ENGINES)
def engine(request):
    with _debug.force_engine(request.param):
        yield request.param


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_meta_gradients(engine, gradient, name, dtype):
    known = known_of(name, dtype)
    net, tasks = net_of(known.case), known.batch(stack=stacks(name))
    algorithm = ff.Algorithm(ff.inner.SGD(LR), steps=STEPS, gradient=gradient)
    both = [known.expected(t, gradient) for t in range(len(tasks))]
    values, grads = ([pair[i] for pair in both] for i in (0, 1))
    whole = ff.meta_grad(net, known.case.theta, tasks, algorithm)
    each = ff.meta_grad(net, known.case.theta, tasks, algorithm, per_task=True)
    for got in (whole, each):
        assert_close(got.losses, values, "loss", dtype)
        assert_close(got.grad, np.mean(grads, axis=0), "meta_gradient", dtype)
    assert_close(each.task_grads, grads, "meta_gradient", dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["small", "ragged"])
def test_network_functions(engine, name, kind):
    known = known_of(name, kind=kind)
    case, net = known.case, net_of(known.case)
    x, y, weights, mask = known.columns(0, stack=stacks(name))
    extra = {"weights": weights, "mask": mask}
    v = parameters(case.sizes, np.random.default_rng(3))
    losses = net.loss(case.theta, x, y, **extra)
    losses_too, grads = net.value_and_grad(case.theta, x, y, **extra)
    sets = [known.kept(0, t)[:3] for t in range(len(losses))]
    expected = [oracle.loss(case.net, case.theta, *rows) for rows in sets]
    assert_close(losses, expected, "loss", "float64")
    np.testing.assert_array_equal(losses, losses_too)
    expected = [oracle.gradient(case.net, case.theta, *rows) for rows in sets]
    assert_close(grads, expected, "gradient", "float64")
    # Lanes leaves Gauss-Newton products to the others.
    for product in ("hvp", "gnvp") if engine != "lanes" else ("hvp",):
        got = getattr(net, product)(case.theta, x, y, v, **extra)
        wanted = getattr(oracle, product)
        expected = [wanted(case.net, case.theta, a, b, v, weights=w) for a, b, w in sets]
        assert_close(got, expected, "hvp", "float64")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SHAPES)
def test_adapt_and_evaluate(engine, name, dtype):
    known = known_of(name, dtype)
    case, net = known.case, net_of(known.case)
    x, y, weights, mask = known.columns(0, stack=stacks(name))
    algorithm = ff.Algorithm(ff.inner.SGD(LR), steps=STEPS)
    adapted = ff.adapt(net, case.theta, x, y, algorithm, weights=weights, mask=mask)
    expected = [known.path(t)[-1] for t in range(len(case.tasks))]
    assert_close(adapted, expected, "adapt", dtype, tasks=True)
    tasks = known.batch(stack=stacks(name))
    result = ff.evaluate(net, case.theta, tasks, algorithm, steps=(0, STEPS))
    losses = [
        [oracle.loss(case.net, known.path(t)[s], *known.kept(1, t)[:3]) for s in (0, STEPS)]
        for t in range(len(tasks))
    ]
    assert_close(result.losses, losses, "loss", dtype)


def test_one_set_of_rows_and_many_thetas(engine):
    known = known_of("small")
    case, net = known.case, net_of(known.case)
    x, y, weights, mask = known.sets[0][2]
    rows = known.kept(0, 2)[:3]
    value = net.loss(case.theta, x, y, weights=weights, mask=mask)
    assert isinstance(value, float)
    assert value == pytest.approx(oracle.loss(case.net, case.theta, *rows), rel=1e-13)
    lists = {"weights": weights.tolist(), "mask": mask.tolist()}
    assert net.loss(case.theta, x.tolist(), y.tolist(), **lists) == value
    rng = np.random.default_rng(4)
    thetas = np.stack([parameters(case.sizes, rng) for _ in range(11)])
    values, grads = net.value_and_grad(thetas, x, y, weights=weights, mask=mask)
    expected = [oracle.loss(case.net, theta, *rows) for theta in thetas]
    assert_close(values, expected, "loss", "float64")
    expected = [oracle.gradient(case.net, theta, *rows) for theta in thetas]
    assert_close(grads, expected, "gradient", "float64")


def test_more_rows_than_an_engine_takes_at_once(engine):
    case = build((2, 5, 3), "tanh", "huber", rows=[(3001, 1), (2600, 1)], steps=0)
    known = Known(case)
    net, v = net_of(case), parameters(case.sizes, np.random.default_rng(3))
    x, y, weights, mask = known.columns(0, stack=False)
    products = net.hvp(case.theta, x, y, v, weights=weights, mask=mask)
    values, grads = net.value_and_grad(case.theta, x, y, weights=weights, mask=mask)
    for t in range(2):
        a, b, w, _ = known.kept(0, t)
        rows = case.net, case.theta, a, b
        assert values[t] == pytest.approx(oracle.loss(*rows, w), rel=1e-12)
        assert_close(grads[t], oracle.gradient(*rows, w), "gradient", "float64")
        assert_close(products[t], oracle.hvp(*rows, v, w), "hvp", "float64")


@pytest.mark.parametrize(
    ("name", "norm"),
    [*((name, None) for name in SHAPES), ("ragged", "layer"), ("small", "batch")],
)
def test_a_mask_of_rows_is_the_special_case(engine, name, norm):
    """Spread over the outputs it gives what it gives as it is; so do weights of rows."""
    sizes, loss, tasks, support, query = SHAPES[name]
    rows = tasks if isinstance(tasks, list) else [(support, query)] * tasks
    case = build(sizes, "tanh", loss, rows=rows, steps=0, norm=norm)
    extras = Extras(case)
    if norm == "batch":  # which Lanes wants of tasks of one length
        extras = Extras(case, masks=False)
        extras.sets = tuple(
            [(x, y, w, np.arange(len(x)) != 1) for x, y, w, _ in sets] for sets in extras.sets
        )
    net = ff.MLP(case.sizes, activation="tanh", loss=loss, norm=norm)
    plain = extras.batch(stack=False)
    for sets in extras.sets:
        for t, (x, y, w, mask) in enumerate(sets):
            spread = [np.repeat(a[:, None], y.shape[1], axis=1) for a in (w, mask)]
            sets[t] = (x, y, *spread)
    by_output = extras.batch(stack=False)
    algorithm = ff.Algorithm(ff.inner.SGD(LR), steps=STEPS, gradient="exact")
    one, other = (
        ff.meta_grad(net, case.theta, batch, algorithm, per_task=True)
        for batch in (plain, by_output)
    )
    np.testing.assert_allclose(other.losses, one.losses, rtol=1e-13)
    scale = np.abs(one.task_grads).max()
    np.testing.assert_allclose(other.task_grads, one.task_grads, rtol=1e-12, atol=1e-14 * scale)


def test_the_mean_is_over_known_targets_and_weights_are_not_divided_by():
    net, theta = ff.MLP([1, 2]), np.array([1.0, 1.0, 0.0, 0.0])
    x, y = [[1.0], [2.0]], [[0.0, np.nan], [0.0, 5.0]]
    mask = [[True, False], [True, True]]
    for options, expected in (
        ({"mask": mask}, (1 + 4 + 9) / 3),
        ({"mask": mask, "weights": [[1.0, 9.0], [0.0, -2.0]]}, (1 - 18) / 3),
        ({"mask": mask, "weights": [2.0, 1.0]}, (2 + 4 + 9) / 3),
        ({"mask": [[True, False], [False, False]]}, 1.0),
    ):
        assert net.loss(theta, x, y, **options) == pytest.approx(expected, rel=1e-15)
    y[0][1] = 1.0
    assert net.loss(theta, x, y, weights=[[4.0, 0.0], [0.0, 0.0]]) == 1.0


def test_an_output_that_nobody_knows_gets_no_gradient(engine):
    known = known_of("small")
    case, net = known.case, net_of(known.case)
    x, y, _, mask = known.columns(0, stack=True)
    mask[..., 0], mask[..., 1], y[..., 0] = True, False, 0.5
    x = np.nan_to_num(x)
    grads = net.value_and_grad(case.theta, x, y, mask=mask)[1]
    weights, bias = net.unflatten(grads[3])[-1]
    assert (weights[:, 1] == 0).all()
    assert bias[1] == 0
    assert (weights[:, 0] != 0).all()


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_any_number_of_threads_gives_the_same_bits(engine, gradient):
    known = known_of("small", "float32")
    tasks, net = known.batch(stack=True), net_of(known.case)
    algorithm = ff.Algorithm(ff.inner.SGD(LR), steps=STEPS, gradient=gradient)
    one, two = (
        ff.meta_grad(net, known.case.theta, tasks, algorithm, threads=n).grad for n in (1, 2)
    )
    np.testing.assert_array_equal(one, two)


def test_diverged_tasks_are_dropped_with_what_they_know(engine):
    known = known_of("small")
    net, algorithm = net_of(known.case), ff.fomaml(LR, 3)
    for sets in known.sets:
        for _, _, weights, _ in sets:
            np.abs(weights, out=weights)
    known.sets[0][1][2][:] = 1e200
    batch = known.batch(stack=True)
    result = ff.meta_grad(net, known.case.theta, batch, algorithm, on_divergence="drop")
    assert np.flatnonzero(result.diverged).tolist() == [1]
    rest = batch.take([t for t in range(len(batch)) if t != 1])
    expected = ff.meta_grad(net, known.case.theta, rest, algorithm)
    np.testing.assert_allclose(result.grad, expected.grad, rtol=1e-12, atol=1e-15)
    x, y, weights, mask = known.columns(0, stack=True)
    _, diverged = ff.adapt(
        *(net, known.case.theta, x, y, algorithm),
        weights=weights,
        mask=mask,
        on_divergence="mask",
    )
    assert np.flatnonzero(diverged).tolist() == [1]


@pytest.mark.parametrize("loss", ["mse", "huber", "quantile", "binary_cross_entropy"])
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_meta_gradient_matches_jax(jax, gradient, loss):
    """The mean over the known targets, written once in JAX and differentiated through the loop."""
    import plain_jax

    case = build((3, 7, 5, 4), "tanh", loss, n_tasks=3, support=6, query=5)
    known = Known(case)
    algorithm = ff.Algorithm(ff.inner.SGD(LR), steps=STEPS, gradient=gradient)
    both = [jax_meta_gradient(jax, plain_jax, known, t, gradient) for t in range(3)]
    for engine in ENGINES:
        with _debug.force_engine(engine):
            batch = known.batch(stack=True)
            got = ff.meta_grad(net_of(case), case.theta, batch, algorithm, per_task=True)
        np.testing.assert_allclose(got.losses, [value for value, _ in both], rtol=1e-12)
        for ours, (_, theirs) in zip(got.task_grads, both, strict=True):
            assert np.abs(ours - theirs).max() <= 1e-13 * np.abs(theirs).max()


def jax_meta_gradient(jax, plain, known, t, gradient):
    """Loss and meta-gradient of one task."""
    jnp, net = jax.numpy, known.case.net
    layers = oracle.unflatten(net, np.arange(net.n_params))

    def one(o, y):
        return plain.LOSSES[net.loss](o[None, None], y[None, None])

    def of(theta, rows):
        x, y, weights, _ = rows
        h = jnp.asarray(x)
        for i, (w, b) in enumerate(layers):
            h = h @ theta[w.astype(int)] + theta[b.astype(int)]
            h = jnp.tanh(h) if i < len(layers) - 1 else h
        each = jax.vmap(jax.vmap(one))(h, jnp.where(np.isnan(weights), 0.0, y))
        return jnp.sum(np.nan_to_num(weights) * each) / np.sum(~np.isnan(weights))

    def meta(theta):
        fast = theta
        for _ in range(STEPS):
            g = jax.grad(of)(fast, known.kept(0, t))
            fast = fast - LR * (g if gradient == "exact" else jax.lax.stop_gradient(g))
        return of(fast, known.kept(1, t))

    value, grad = jax.value_and_grad(meta)(jnp.asarray(known.case.theta))
    return float(value), np.asarray(grad)
