"""What every call makes of support rows of every step: forms, results along the way, refusals."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import fomaml_fast as ff

T, S, K = 4, 3, 2
NET = ff.MLP([3, 7, 2], activation="tanh")
THETA = NET.init(0, np.float64)
MAML = ff.maml(0.1, steps=S)
RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((T, S, K, 3)), RNG.standard_normal((T, S, K, 2))
XQ, YQ = RNG.standard_normal((T, 6, 3)), RNG.standard_normal((T, 6, 2))
BATCH = ff.TaskBatch(X, Y, XQ, YQ)


def lists(array, ragged=False):
    """A list of one list a task; ``ragged`` drops the last row of every other set."""
    return [
        [one[: K - (ragged and (t + s) % 2)] for s, one in enumerate(of_task)]
        for t, of_task in enumerate(array)
    ]


def way(x=X, y=Y, steps=S, **rows):
    """Parameters ``[steps + 1]`` by gradients one at a time."""
    points = [np.tile(THETA, (T, 1))]
    for k in range(steps):
        of_step = {name: value[:, k] for name, value in rows.items()}
        gradient = NET.value_and_grad(points[-1], x[:, k], y[:, k], **of_step)[1]
        points.append(points[-1] - 0.1 * gradient)
    return points


def test_plain_descent_by_hand():
    points = way()
    adjoint = NET.value_and_grad(points[-1], XQ, YQ)[1]
    for k in reversed(range(S)):
        adjoint = adjoint - 0.1 * NET.hvp(points[k], X[:, k], Y[:, k], adjoint)
    found = ff.meta_grad(NET, THETA, BATCH, MAML, trace=True)
    np.testing.assert_allclose(found.grad, adjoint.mean(0), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found.support_losses, NET.loss(THETA, X[:, 0], Y[:, 0]), rtol=1e-12)
    np.testing.assert_allclose(found.losses_before, NET.loss(THETA, XQ, YQ), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_adapt_and_its_trace(dtype):
    points = np.stack(way(), axis=1)
    rtol = 1e-12 if dtype == np.float64 else 1e-4
    given = NET, THETA.astype(dtype), X.astype(dtype), Y.astype(dtype), MAML
    np.testing.assert_allclose(ff.adapt(*given), points[:, -1], rtol=rtol, atol=rtol)
    found = ff.adapt(*given, trace=True)
    np.testing.assert_allclose(found.thetas, points, rtol=rtol, atol=rtol)
    for k in range(S + 1):  # behind the last step, on the rows of the last
        of_step = min(k, S - 1)
        losses = NET.loss(points[:, k], X[:, of_step], Y[:, of_step])
        np.testing.assert_allclose(found.losses[:, k], losses, rtol=rtol)
    # The first steps of the stream alone.
    np.testing.assert_allclose(ff.adapt(*given, steps=2), points[:, 2], rtol=rtol, atol=rtol)
    first = ff.adapt(*given, steps=2, trace=[1])
    np.testing.assert_array_equal(first.losses, found.losses[:, :3])
    np.testing.assert_array_equal(first.thetas[:, 0], found.thetas[:, 1])
    assert ff.adapt(*given, steps=0).tobytes() == np.tile(given[1], (T, 1)).tobytes()


def test_adapt_of_one_task_from_many_starts():
    starts = THETA + np.arange(3)[:, None] * 0.01
    found = ff.adapt(NET, starts, X[:1], Y[:1], MAML)
    for start, one in zip(starts, found, strict=True):
        np.testing.assert_allclose(ff.adapt(NET, start, X[:1], Y[:1], MAML)[0], one, rtol=1e-12)


def test_evaluate_measures_as_far_as_there_are_rows():
    points = way()
    found = ff.evaluate(NET, THETA, BATCH, MAML, metrics="mae")
    assert found.steps == (0, 1, S)
    for column, k in enumerate(found.steps):
        expected = NET.loss(points[k], XQ, YQ)
        np.testing.assert_allclose(found.losses[:, column], expected, rtol=1e-12)
        mae = np.abs(NET.predict(points[k], XQ) - YQ).mean((1, 2))
        np.testing.assert_allclose(found.metrics["mae"].values[:, column], mae, rtol=1e-12)
    long = np.repeat(X, 4, axis=1), np.repeat(Y, 4, axis=1)
    assert ff.evaluate(NET, THETA, ff.TaskBatch(*long, XQ, YQ), MAML).steps == (0, 1, 5, 10)
    shared = ff.TaskBatch(X[:, 0], Y[:, 0], XQ, YQ)
    assert ff.evaluate(NET, THETA, shared, MAML).steps == (0, 1, 5, 10)


def test_training_steps():
    algorithm = ff.Algorithm(ff.inner.Adam(0.05), steps=S, gradient="exact", learn_rates=True)
    outer = ff.outer.SGD(0.1)
    state = ff.init_state(NET, algorithm, outer, theta=THETA)
    after, metrics = ff.meta_step(NET, state, BATCH, algorithm, outer)
    found = ff.meta_grad(NET, THETA, BATCH, algorithm, rates=state.rates)
    np.testing.assert_allclose(after.theta, THETA - 0.1 * found.grad, rtol=1e-12)
    np.testing.assert_allclose(after.rates, state.rates - 0.1 * found.rate_grad, rtol=1e-12)
    assert metrics.loss == found.loss
    assert ff.plan(NET, BATCH, algorithm).engine in ff.build_info()["engines"]


def test_masks_and_weights_of_every_step():
    weights = RNG.uniform(0.5, 2, (T, S, K))
    mask = RNG.random((T, S, K)) < 0.6
    mask[..., 0] |= ~mask.any(-1)
    unknown = np.where(mask[..., None], X, np.nan)
    batch = ff.TaskBatch(unknown, Y, XQ, YQ, weights_support=weights, mask_support=mask)
    points = way(weights=weights, mask=mask)
    np.testing.assert_allclose(
        ff.meta_grad(NET, THETA, batch, MAML).losses, NET.loss(points[-1], XQ, YQ), rtol=1e-12
    )
    again = pickle.loads(pickle.dumps(batch))
    assert [len(step) for task in again.x_support for step in task] == mask.sum(-1).ravel().tolist()
    adapted = ff.adapt(NET, THETA, unknown, Y, MAML, weights=weights, mask=mask)
    np.testing.assert_allclose(adapted, points[-1], rtol=1e-12)


def test_masks_and_weights_of_every_output():
    weights = RNG.uniform(0.5, 2, (T, S, K, 2))
    mask = RNG.random((T, S, K, 2)) < 0.7
    mask[..., 0] |= ~mask.any(-1)
    batch = ff.TaskBatch(
        *(X, np.where(mask, Y, np.nan), XQ, YQ), weights_support=weights, mask_support=mask
    )
    points = way(weights=weights, mask=mask)
    expected = NET.loss(points[-1], XQ, YQ)
    for same in (batch, pickle.loads(pickle.dumps(batch)), copy.deepcopy(batch)):
        np.testing.assert_allclose(
            ff.meta_grad(NET, THETA, same, MAML).losses, expected, rtol=1e-12
        )
        assert same.mask_support.shape == weights.shape


def test_classes_of_tasks():
    labels = RNG.integers(0, 2, (T, S, K))
    classes = np.array([[True, True, True], [True, True, False]] * 2)
    net = ff.MLP([3, 7, 3], activation="tanh", loss="cross_entropy")
    theta = point = net.init(0, np.float64)
    query = RNG.integers(0, 2, (T, 6))
    batch = ff.TaskBatch(X, labels, XQ, query, class_mask=classes)
    for k in range(S):
        gradient = net.value_and_grad(point, X[:, k], labels[:, k], class_mask=classes)[1]
        point = point - 0.1 * gradient
    found = ff.meta_grad(net, theta, batch, MAML).losses
    np.testing.assert_allclose(found, net.loss(point, XQ, query, class_mask=classes), rtol=1e-12)
    labels[1, 2, 1] = 2
    with pytest.raises(ValueError, match="row 1 of step 2 of task 1 names class 2"):
        ff.TaskBatch(X, labels, XQ, query, class_mask=classes)


@pytest.mark.parametrize("ragged", [False, True])
def test_lists_of_lists(ragged):
    batch = ff.TaskBatch(lists(X, ragged), lists(Y, ragged), XQ, YQ)
    text = f"TaskBatch(4 tasks of 3 steps, float64{', ragged' if ragged else ''})"
    expected = ff.meta_grad(NET, THETA, batch, MAML).grad
    if not ragged:
        np.testing.assert_array_equal(expected, ff.meta_grad(NET, THETA, BATCH, MAML).grad)
    copies = (pickle.loads(pickle.dumps(batch)), copy.copy(batch), batch.take(range(T)))
    for same in (batch, *copies):
        assert (repr(same), same.n_steps, len(same)) == (text, S, T)
        np.testing.assert_array_equal(ff.meta_grad(NET, THETA, same, MAML).grad, expected)
        if ragged:
            assert all(type(same.x_support[t]) is list for t in range(T))
            np.testing.assert_array_equal(same.y_support[1][2], Y[1, 2, : K - 1])
        else:
            np.testing.assert_array_equal(same.x_support, X)
    some = batch.take([2, 0])
    np.testing.assert_array_equal(some.x_support[1][2], X[0, 2])
    adapted = ff.adapt(NET, THETA, lists(X, ragged), lists(Y, ragged), MAML)
    np.testing.assert_array_equal(
        adapted, ff.adapt(NET, THETA, batch.x_support, batch.y_support, MAML)
    )
    tuples = tuple(map(tuple, lists(X, ragged))), tuple(map(tuple, lists(Y, ragged)))
    np.testing.assert_array_equal(ff.adapt(NET, THETA, *tuples, MAML), adapted)


def test_conversions():
    """Numbers without a dtype, strided arrays, and rows of arrays that are no steps."""
    plain = ff.TaskBatch(X.tolist(), Y.tolist(), XQ.tolist(), YQ.tolist(), dtype=np.float64)
    np.testing.assert_array_equal(plain.x_support, X)
    strided = ff.TaskBatch(np.asfortranarray(X), Y[::-1], XQ, YQ)
    np.testing.assert_array_equal(strided.y_support, Y[::-1])
    narrow = ff.TaskBatch(lists(X), lists(Y), XQ, YQ, dtype=np.float32)
    assert narrow.x_support.dtype == np.float32
    rows = [list(of_task) for of_task in XQ]
    assert ff.TaskBatch(rows, YQ, XQ, YQ).n_steps is None


def test_divergence_names_the_step():
    x = X.copy()
    x[2, 1] = 1e200
    batch, others = ff.TaskBatch(x, Y, XQ, YQ), ff.TaskBatch(x, Y, XQ, YQ).take([0, 1, 3])
    linear = ff.MLP([3, 2])
    theta = linear.init(0, np.float64)
    with pytest.raises(ff.DivergenceError, match=r"first at inner step 1: tasks \[2\]"):
        ff.meta_grad(linear, theta, batch, MAML)
    kept = ff.meta_grad(linear, theta, batch, MAML, on_divergence="drop")
    expected = ff.meta_grad(linear, theta, others, MAML)
    np.testing.assert_allclose(kept.grad, expected.grad, rtol=1e-12)
    adapted, diverged = ff.adapt(linear, theta, x, Y, MAML, on_divergence="mask")
    assert diverged.tolist() == [False, False, True, False]
    np.testing.assert_allclose(
        adapted[2], theta - 0.1 * linear.value_and_grad(theta, x[2, 0], Y[2, 0])[1], rtol=1e-12
    )
    assert ff.evaluate(linear, theta, batch, MAML).diverged[2].tolist() == [False, False, True]


def squared(outputs, targets):
    difference = outputs - targets
    size = difference[0].size

    def product(v):
        return 2 * v / size

    return (difference**2).mean((1, 2)), 2 * difference / size, product


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("inner", [ff.inner.SGD(0.1), ff.inner.Adam(0.05, eps=0.1)])
@pytest.mark.parametrize("gradient", ["first", "exact", "reptile"])
def test_losses_written_in_python(ragged, inner, gradient):
    own = ff.MLP(NET.sizes, activation="tanh", loss=ff.losses.Custom(squared))
    weights = {} if gradient == "reptile" else {"step_weights": (0.2, 0.3, 0.5)}
    algorithm = ff.Algorithm(inner, steps=S, gradient=gradient, **weights)
    x, y = lists(X, ragged), lists(Y, ragged)
    batch = ff.TaskBatch(x, y, XQ, YQ)
    expected, found = (ff.meta_grad(net, THETA, batch, algorithm) for net in (NET, own))
    np.testing.assert_allclose(found.grad, expected.grad, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(found.support_losses, expected.support_losses, rtol=1e-12)
    expected, found = (ff.adapt(net, THETA, x, y, algorithm, trace=True) for net in (NET, own))
    np.testing.assert_allclose(found.thetas, expected.thetas, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-10)
    expected, found = (ff.evaluate(net, THETA, batch, ff.maml(0.1)) for net in (NET, own))
    np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-10)
    for net in (NET, own):
        with pytest.raises(ValueError, match="x holds rows for 3 inner steps, but the algorithm"):
            ff.adapt(net, THETA, x, y, ff.maml(0.1, steps=2))
        with pytest.raises(ValueError, match="x_support holds rows for 3 inner steps, but the alg"):
            ff.meta_grad(net, THETA, batch, ff.maml(0.1, steps=2))
        with pytest.raises(ValueError, match="x_support holds rows for 3 inner steps, but 4 are"):
            ff.evaluate(net, THETA, batch, MAML, steps=(1, 4))


def test_calls_that_do_not_fit():
    for call in (ff.meta_grad, lambda *args: ff.meta_step(*args, ff.outer.SGD(0.1))):
        start = THETA
        if call is not ff.meta_grad:
            start = ff.init_state(NET, MAML, ff.outer.SGD(0.1), theta=THETA)
        with pytest.raises(ValueError, match="holds rows for 3 inner steps, but the algorithm tak"):
            call(NET, start, BATCH, ff.maml(0.1, steps=4))
    with pytest.raises(ValueError, match="holds rows for 3 inner steps, but the algorithm takes 1"):
        ff.plan(NET, BATCH, ff.maml(0.1, steps=1))
    assert ff.plan(NET, BATCH, ff.maml(0.1, steps=1), operation="predict").engine
    with pytest.raises(ValueError, match="holds rows for 3 inner steps, but the algorithm takes 1"):
        ff.adapt(NET, THETA, X, Y, ff.fomaml(0.1))
    with pytest.raises(ValueError, match="holds rows for 3 inner steps, but 4 are asked for"):
        ff.adapt(NET, THETA, X, Y, MAML, steps=4)
    implicit = ff.Algorithm(ff.inner.SGD(0.1), steps=S, gradient=ff.Implicit(1.0))
    with pytest.raises(ValueError, match="an implicit gradient needs the one loss whose minimum"):
        ff.meta_grad(NET, THETA, BATCH, implicit)


def cut(rows, t, s, value):
    """Lists of lists with one item replaced; ``s`` None replaces the list."""
    changed = lists(rows)
    if s is None:
        changed[t] = value
    else:
        changed[t][s] = value
    return changed


FLAGS = np.ones((T, S, K), bool)
NONE_LEFT = FLAGS.copy()
NONE_LEFT[1, 2] = False
LABELS = np.zeros((T, S, K), np.int64)
LABELS[1, 0, 1] = -1
NAN = X.copy()
NAN[1, 2, 0, 1] = np.nan

REFUSED = {
    "another number of steps": (
        {"y_support": Y[:, :2]},
        "y_support must have shape [4, 3, rows, outputs], with the axis of steps that x_support "
        "has, got [4, 2, 2, 2]",
    ),
    "no axis of steps": (
        {"y_support": Y[:, 0]},
        "y_support must have shape [4, 3, rows], with the axis of steps that x_support has, got "
        "[4, 2, 2]",
    ),
    "x alone has none": (
        {"x_support": X[:, 0]},
        "y_support must have shape [tasks, rows, outputs], got [4, 3, 2, 2]",
    ),
    "too many axes": (
        {"x_support": X[None]},
        "x_support must have shape [tasks, rows, columns], or [tasks, steps, rows, columns] for "
        "rows of their own at every inner step, or be a list of [rows, columns], got "
        "[1, 4, 3, 2, ...]",
    ),
    "fewer rows": (
        {"y_support": Y[:, :, :1]},
        "y_support must have as many rows as x_support, but step 0 of task 0 has 1 against 2",
    ),
    "weights": (
        {"weights_support": np.ones((T, S, K + 1))},
        "weights_support must have shape [4, 3, 2], weights of tasks and rows, got [4, 3, 3]",
    ),
    "weights without steps": (
        {"weights_support": np.ones((T, S))},
        "weights_support must have shape [4, 3, rows], with the axis of steps that x_support has, "
        "got [4, 3]",
    ),
    "mask of one step": (
        {"mask_support": NONE_LEFT},
        "mask_support must leave at least one row a step; step 2 of task 1 has none",
    ),
    "not finite": (
        {"x_support": NAN},
        "x_support must be finite, but x_support[1, 2, 0, 1] is nan",
    ),
    "labels": (
        {"y_support": LABELS},
        "y_support must hold labels of at least 0, but y_support[1, 0, 1] is -1",
    ),
    "no step": (
        {"x_support": X[:, :0]},
        "x_support must hold rows of at least one step, got shape [4, 0, 2, 3]",
    ),
    "no task": ({"x_support": X[:0], "y_support": Y[:0]}, "x_support holds no task: shape [0, 3,"),
    "no row": (
        {"x_support": X[:, :, :0]},
        "x_support must have at least one row a step; step 0 of task 0 has none",
    ),
    "steps of the query": (
        {"x_query": X},
        "x_query must have shape [tasks, rows, columns] or be a list of [rows, columns], got [4,",
    ),
    "tasks of other steps": (
        {"x_support": cut(X, 1, None, lists(X)[1][:2])},
        "x_support[1] must hold rows of as many steps as the first task, 3, got 2",
    ),
    "targets of other steps": (
        {"y_support": cut(Y, 1, None, lists(Y)[1][:2])},
        "y_support[1] must hold rows of 3 steps as x_support does, got 2",
    ),
    "targets of fewer tasks": (
        {"y_support": lists(Y)[:2]},
        "y_support must hold 4 tasks as x_support does, got 2",
    ),
    "targets of other rows": (
        {"x_support": lists(X), "y_support": cut(Y, 1, 2, Y[1, 2, :1])},
        "y_support must have as many rows as x_support, but step 2 of task 1 has 1 against 2",
    ),
    "columns of one step": (
        {"x_support": cut(X, 1, 2, X[1, 2, :, :2])},
        "x_support[1][2] must have shape [rows, 3], got [2, 2]",
    ),
    "not finite in a list": (
        {"x_support": lists(NAN)},
        "x_support[1][2] must be finite, but x_support[1][2][0, 1] is nan",
    ),
    "an array among lists": (
        {"x_support": cut(X, 1, None, X[1])},
        "x_support[1] must be a list of arrays, one a step, as others of x_support are, got ndarr",
    ),
    "a number among arrays": (
        {"x_support": cut(X, 1, 0, 3)},
        "x_support[1][0] must be an array of rows, got one number",
    ),
    "a list of one array a task": (
        {"x_support": list(X)},
        "x_support[0] must have shape [rows, columns], or be a list of such arrays, one a step, "
        "got [3, 2, 3]",
    ),
    "targets in one list": (
        {"y_support": list(Y)},
        "y_support must be a list of lists of arrays, one a task and step, as x_support has rows "
        "of their own at every step",
    ),
}


@pytest.mark.parametrize(("change", "sentence"), REFUSED.values(), ids=REFUSED)
def test_refusals(change, sentence):
    arguments = {"x_support": X, "y_support": Y, "x_query": XQ, "y_query": YQ, **change}
    with pytest.raises((ValueError, TypeError)) as error:
        ff.TaskBatch(**arguments)
    assert str(error.value).startswith(sentence)
    assert "_query" in sentence or "x_query" not in str(error.value)
