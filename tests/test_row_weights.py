"""Weights and masks of rows, and masks of classes: every engine against the oracle."""

from __future__ import annotations

import numpy as np
import pytest

import fomaml_fast as ff
import oracle
from cases import DTYPES, GRADIENTS, build, parameters, ragged_rows
from fomaml_fast import _debug
from tolerances import assert_close

ENGINES = ff.build_info()["engines"]
LR, STEPS = 0.05, 2

# Sizes, loss, tasks or ragged rows, K, Q: what the engines treat apart.
SHAPES = {
    "small": ((3, 9, 6, 2), "mse", 18, 5, 7),
    "many rows": ((2, 8, 3), "huber", 5, 70, 131),
    "ragged": ((2, 20, 3), "quantile", ragged_rows(19), 0, 0),
    "one task": ((6, 16, 3), "binary_cross_entropy", 1, 5, 5),
    "classes": ((3, 7, 11, 5), "cross_entropy", 13, 6, 9),
    "many classes": ((4, 12, 17), "cross_entropy", ragged_rows(18, 1), 0, 0),
    "probabilities": ((3, 9, 5), "soft_cross_entropy", 17, 4, 6),
    "wide input": ((170, 33, 5), "cross_entropy", 6, 5, 15),
    "many parameters": ((170, 256, 32, 5), "cross_entropy", 5, 5, 15),
}


class Extras:
    """Weights, masks and classes of a case, and its tasks as the oracle may see them."""

    def __init__(self, case, *, weights=True, masks=True, classes=True, seed=0):
        rng = np.random.default_rng(seed)
        self.case, self.sets = case, ([], [])
        names = case.loss in ("cross_entropy", "soft_cross_entropy")
        self.classes = None
        if classes and names:
            self.classes = rng.random((len(case.tasks), case.sizes[-1])) < 0.6
            self.classes[:, 1] = True
        for t, task in enumerate(case.tasks):
            pairs = (task.x_support, task.y_support), (task.x_query, task.y_query)
            for which, (x, y) in enumerate(pairs):
                x, y = x.copy(), y.copy()
                if self.classes is not None and y.ndim == 1:
                    y[~self.classes[t][y]] = 1
                elif self.classes is not None:
                    y[:, ~self.classes[t]] = 0
                w = rng.normal(size=len(x)).astype(case.dtype) if weights else None
                mask = np.ones(len(x), bool)
                if weights:
                    w[rng.random(len(x)) < 0.2] = 0  # counts in n all the same
                if masks:
                    mask = rng.random(len(x)) < 0.7
                    mask[rng.integers(len(x))] = True
                    x[~mask] = np.nan
                    y[~mask] = -7 if y.ndim == 1 else np.inf
                    if weights:
                        w[~mask] = np.nan
                self.sets[which].append((x, y, w, mask if masks else None))

    def kept(self, which, t):
        """The oracle's x, y, weights and classes of a set of rows."""
        x, y, w, mask = self.sets[which][t]
        mask = np.ones(len(x), bool) if mask is None else mask
        classes = None if self.classes is None else self.classes[t]
        return x[mask], y[mask], None if w is None else w[mask], classes

    def columns(self, which, *, stack):
        columns = zip(*self.sets[which], strict=True)
        return [
            None if c[0] is None else np.stack(c) if stack else list(c) for c in map(list, columns)
        ]

    def batch(self, *, stack, **options):
        xs, ys, ws, ms = self.columns(0, stack=stack)
        xq, yq, wq, mq = self.columns(1, stack=stack)
        options = {"class_mask": self.classes, **options}
        return ff.TaskBatch(
            *(xs, ys, xq, yq),
            weights_support=ws,
            weights_query=wq,
            mask_support=ms,
            mask_query=mq,
            **options,
        )

    def path(self, t, steps=STEPS):
        x, y, w, classes = self.kept(0, t)
        thetas = [self.case.theta.astype(np.float64)]
        for _ in range(steps):
            g = oracle.gradient(self.case.net, thetas[-1], x, y, w, classes)
            thetas.append(thetas[-1] - LR * g)
        return thetas

    def expected(self, t, kind):
        """Query loss and meta-gradient of a task."""
        x, y, w, classes = self.kept(0, t)
        query = self.kept(1, t)
        thetas = self.path(t)
        value = oracle.loss(self.case.net, thetas[-1], *query)
        result = oracle.gradient(self.case.net, thetas[-1], *query)
        if kind == "exact":
            for theta in reversed(thetas[:-1]):
                result = result - LR * oracle.hvp(
                    self.case.net, theta, x, y, result, weights=w, classes=classes
                )
        return value, result


def extras_of(name, dtype, **options):
    sizes, loss, tasks, support, query = SHAPES[name]
    rows = tasks if isinstance(tasks, list) else [(support, query)] * tasks
    return Extras(build(sizes, "tanh", loss, dtype, rows=rows, steps=0), **options)


def stacks(name):
    return not isinstance(SHAPES[name][2], list)


@pytest.fixture(params=ENGINES)
def engine(request):
    with _debug.force_engine(request.param):
        yield request.param


def net_of(case):
    return ff.MLP(*case.spec)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("name", SHAPES)
def test_meta_gradient(engine, name, gradient, dtype):
    algorithm = ff.Algorithm(ff.inner.SGD(LR), steps=STEPS, gradient=gradient)
    for options in ({}, {"masks": False}, {"weights": False}):
        extras = extras_of(name, dtype, **options)
        tasks, net = extras.batch(stack=stacks(name)), net_of(extras.case)
        values, grads = zip(*(extras.expected(t, gradient) for t in range(len(tasks))), strict=True)
        result = ff.meta_grad(net, extras.case.theta, tasks, algorithm)
        each = ff.meta_grad(net, extras.case.theta, tasks, algorithm, per_task=True)
        for got in (result, each):
            # Losses of either sign nearly cancel: the scale is that of the whole batch.
            assert_close(got.losses, values, "loss", dtype)
            assert_close(got.grad, np.mean(grads, axis=0), "meta_gradient", dtype)
        assert_close(each.task_grads, grads, "meta_gradient", dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SHAPES)
def test_network_functions(engine, name, dtype):
    extras = extras_of(name, dtype)
    case, net = extras.case, net_of(extras.case)
    x, y, weights, mask = extras.columns(0, stack=stacks(name))
    extra = {"weights": weights, "mask": mask, "class_mask": extras.classes}
    v = parameters(case.sizes, np.random.default_rng(3)).astype(dtype)
    losses = net.loss(case.theta, x, y, **extra)
    losses_too, grads = net.value_and_grad(case.theta, x, y, **extra)
    products = net.hvp(case.theta, x, y, v, **extra)
    each = range(len(losses))
    sets = [(case.net, case.theta, *extras.kept(0, t)[:2]) for t in each]
    last = [dict(zip(("weights", "classes"), extras.kept(0, t)[2:], strict=True)) for t in each]
    pairs = list(zip(sets, last, strict=True))
    assert_close(losses, [oracle.loss(*a, **k) for a, k in pairs], "loss", dtype)
    np.testing.assert_array_equal(losses, losses_too)
    assert_close(grads, [oracle.gradient(*a, **k) for a, k in pairs], "gradient", dtype)
    assert_close(products, [oracle.hvp(*a, v, **k) for a, k in pairs], "hvp", dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SHAPES)
def test_adapt(engine, name, dtype):
    extras = extras_of(name, dtype)
    case = extras.case
    x, y, weights, mask = extras.columns(0, stack=stacks(name))
    adapted = ff.adapt(
        net_of(case),
        case.theta,
        x,
        y,
        ff.Algorithm(ff.inner.SGD(LR), steps=STEPS),
        weights=weights,
        mask=mask,
        class_mask=extras.classes,
    )
    expected = [extras.path(t)[-1] for t in range(len(case.tasks))]
    assert_close(adapted, expected, "adapt", dtype, tasks=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["small", "many rows", "classes"])
def test_rows_shared_by_many_thetas(engine, name, dtype):
    extras = extras_of(name, dtype)
    case, net = extras.case, net_of(extras.case)
    x, y, weights, mask = extras.sets[0][0]
    x_kept, y_kept, w_kept, _ = extras.kept(0, 0)
    rng = np.random.default_rng(4)
    thetas = np.stack([parameters(case.sizes, rng) for _ in range(11)]).astype(dtype)
    classes = [None] if extras.classes is None else [extras.classes[0], extras.classes[[0] * 11]]
    for own in classes:
        extra = {"weights": weights, "mask": mask, "class_mask": own}
        values, grads = net.value_and_grad(thetas, x, y, **extra)
        one = None if own is None else extras.classes[0]
        rest = (x_kept, y_kept, w_kept, one)
        assert_close(values, [oracle.loss(case.net, t, *rest) for t in thetas], "loss", dtype)
        expected = [oracle.gradient(case.net, t, *rest) for t in thetas]
        assert_close(grads, expected, "gradient", dtype)


def test_one_set_of_rows(engine):
    extras = extras_of("classes", "float64")
    case, net = extras.case, net_of(extras.case)
    x, y, weights, mask = extras.sets[0][2]
    expected = oracle.loss(case.net, case.theta, *extras.kept(0, 2))
    extra = {"weights": weights, "mask": mask, "class_mask": extras.classes[2]}
    value = net.loss(case.theta, x, y, **extra)
    assert isinstance(value, float)
    assert value == pytest.approx(expected, rel=1e-13)
    lists = {name: value.tolist() for name, value in extra.items()}
    assert net.loss(case.theta, x, y, **lists) == value
    adapted = ff.adapt(net, case.theta, x, y, ff.fomaml(LR, STEPS), **extra)
    assert_close(adapted, extras.path(2)[-1], "adapt", "float64")
    # The same rows of one theta in tasks with classes of their own.
    y[mask] = 1
    values = net.loss(case.theta, x, y, weights=weights, mask=mask, class_mask=extras.classes)
    kept = extras.kept(0, 2)[:3]
    expected = [oracle.loss(case.net, case.theta, *kept, own) for own in extras.classes]
    assert_close(values, expected, "loss", "float64")


def test_weight_zero_counts_in_the_mean_and_a_masked_row_does_not():
    net, theta = ff.MLP([1, 1]), np.array([1.0, 0.0])
    x, y = [[1.0], [2.0]], [[0.0], [0.0]]
    assert net.loss(theta, x, y) == 2.5
    assert net.loss(theta, x, y, weights=[1.0, 0.0]) == 0.5
    assert net.loss(theta, x, y, mask=[True, False]) == 1.0
    assert net.loss(theta, x, y, weights=[-1.0, 3.0], mask=[True, False]) == -1.0


def test_class_left_out_has_no_gradient_and_softmax_zero():
    """Whatever its output: the other classes share the whole probability."""
    net = ff.MLP([1, 3], loss="cross_entropy")
    for output in (0.0, 30.0, 1e30):
        theta = np.array([0.0, 0.0, output, 0.5, 0.25, 0.0])
        value, grad = net.value_and_grad(
            theta, [[1.0]], np.array([0]), class_mask=[True, True, False]
        )
        assert value == pytest.approx(np.log1p(np.exp(-0.25)), rel=1e-14)
        assert grad[[2, 5]].tolist() == [0, 0]
        assert grad[:2].sum() == pytest.approx(0, abs=1e-15)
        hv = net.hvp(theta, [[1.0]], np.array([0]), np.ones(6), class_mask=[True, True, False])
        assert hv[[2, 5]].tolist() == [0, 0]
        assert np.abs(hv).max() < 1e-15  # a softmax does not feel equal shifts


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_any_number_of_threads_gives_the_same_bits(gradient):
    extras = extras_of("classes", "float32")
    tasks, net = extras.batch(stack=True), net_of(extras.case)
    algorithm = ff.Algorithm(ff.inner.SGD(LR), steps=STEPS, gradient=gradient)
    one, two = (
        ff.meta_grad(net, extras.case.theta, tasks, algorithm, threads=n).grad for n in (1, 2)
    )
    np.testing.assert_array_equal(one, two)


def test_evaluate_uses_weights_masks_and_classes():
    extras = extras_of("classes", "float64")
    tasks, net = extras.batch(stack=True), net_of(extras.case)
    algorithm = ff.Algorithm(ff.inner.SGD(LR), steps=STEPS)
    result = ff.evaluate(net, extras.case.theta, tasks, algorithm, steps=(0, STEPS))
    expected = [
        [oracle.loss(extras.case.net, extras.path(t)[s], *extras.kept(1, t)) for s in (0, STEPS)]
        for t in range(len(tasks))
    ]
    assert_close(result.losses, expected, "loss", "float64")
