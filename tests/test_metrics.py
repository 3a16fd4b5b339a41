"""Metrics of `evaluate`: scikit-learn's definitions, task by task, after every number of steps."""

from __future__ import annotations

import contextlib
import copy
import pickle
import warnings

import numpy as np
import pytest
import sklearn.metrics as sklearn

import fomaml_fast as ff
from fomaml_fast import _evaluated
from garbage import GARBAGE

T, STEPS = 5, (0, 1, 3)
SIZES = {"stacked": [9] * T, "ragged": [9, 1, 17, 4, 2], "one row": [1] * T}


def numbers(rng, rows, outputs):
    return [rng.standard_normal((n, outputs)) for n in rows]


def tasks(kind, form, dtype="float64", seed=0, **extras):
    """A network and a batch whose query rows have these lengths."""
    rng = np.random.default_rng(seed)
    rows = SIZES[form]
    net = ff.MLP([3, 6, 4 if kind == "labels" else 2], activation="tanh", loss=LOSSES[kind])
    x_query = [x.astype(dtype) for x in numbers(rng, rows, 3)]
    x, support = rng.standard_normal((T, 5, 3)).astype(dtype), [5] * T
    if kind == "labels":
        y, y_query = ([rng.integers(0, 4, n) for n in lengths] for lengths in (support, rows))
    elif kind == "flags":
        y, y_query = (
            [rng.integers(0, 2, (n, 2)).astype(dtype) for n in lengths]
            for lengths in (support, rows)
        )
    else:
        y, y_query = ([a.astype(dtype) for a in numbers(rng, n, 2)] for n in (support, rows))
        if kind == "probabilities":
            y, y_query = ([np.exp(a) for a in arrays] for arrays in (y, y_query))
    if form != "ragged":
        x_query, y_query = np.stack(x_query), np.stack(y_query)
    return net, ff.TaskBatch(x, np.stack(y), x_query, y_query, **extras)


LOSSES = {
    "labels": "cross_entropy",
    "probabilities": "cross_entropy",
    "flags": "binary_cross_entropy",
    "numbers": "huber",
}
OF = {
    "labels": ("accuracy", "balanced_accuracy"),
    "probabilities": ("accuracy", "balanced_accuracy"),
    "flags": ("accuracy",),
    "numbers": ("r2", "rmse", "mae"),
}


def theirs(name, kind, outputs, targets, weights):
    if kind == "numbers":
        function = {
            "r2": sklearn.r2_score,
            "rmse": sklearn.root_mean_squared_error,
            "mae": sklearn.mean_absolute_error,
        }[name]
        return function(targets, outputs, sample_weight=weights)
    if kind == "flags":
        return sklearn.accuracy_score(targets > 0.5, outputs > 0, sample_weight=weights)
    known = targets if kind == "labels" else targets.argmax(1)
    function = getattr(sklearn, f"{name}_score")
    return function(known, outputs.argmax(1), sample_weight=weights)


def expected(net, theta, batch, algorithm, name, kind):
    """[T, len(STEPS)] by `adapt`, `predict` and scikit-learn, a task at a time."""
    found = np.empty((T, len(STEPS)))
    for t in range(T):
        for i, steps in enumerate(STEPS):
            adapted = ff.adapt(
                net, theta, batch.x_support[t], batch.y_support[t], algorithm, steps=steps
            )
            outputs = net.predict(adapted, batch.x_query[t])
            if batch.class_mask is not None:
                outputs = np.where(batch.class_mask[t], outputs, -np.inf)
            weights = None if batch.weights_query is None else batch.weights_query[t]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # one row, classes that only predictions hold
                found[t, i] = theirs(name, kind, outputs, batch.y_query[t], weights)
    return found


@pytest.mark.parametrize("form", SIZES)
@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("weighs", [False, True])
def test_scikit_learns_values(kind, form, weighs):
    rng = np.random.default_rng(1)
    extras = {}
    if weighs:
        weights = [rng.uniform(0.5, 2, n) for n in SIZES[form]]
        extras["weights_query"] = weights if form == "ragged" else np.stack(weights)
    net, batch = tasks(kind, form, **extras)
    theta, algorithm = net.init(2, np.float64), ff.maml(0.1)
    found = ff.evaluate(net, theta, batch, algorithm, steps=STEPS, metrics=OF[kind])
    assert tuple(found.metrics) == OF[kind]
    for name in OF[kind]:
        wanted = expected(net, theta, batch, algorithm, name, kind)
        np.testing.assert_allclose(found.metrics[name].values, wanted, rtol=1e-9, atol=1e-12)
    plain = ff.evaluate(net, theta, batch, algorithm, steps=STEPS)
    np.testing.assert_array_equal(found.losses, plain.losses)
    assert plain.metrics == {}


def test_statistics_leave_out_what_is_not_defined():
    net, batch = tasks("numbers", "ragged")
    theta = net.init(0, np.float64)
    r2 = ff.evaluate(net, theta, batch, ff.maml(0.1), steps=(1,), metrics="r2").metrics["r2"]
    kept = r2.values[[0, 2, 3, 4], 0]
    assert np.isnan(r2.values[1, 0])
    assert r2.n_tasks == [4]
    np.testing.assert_allclose(r2.mean, kept.mean())
    np.testing.assert_allclose(r2.median, np.median(kept))
    np.testing.assert_allclose(r2.interval, 1.959963984540054 * kept.std(ddof=1) / 2)


def test_classes_that_a_task_lacks_are_not_predicted():
    allowed = np.ones((T, 4), bool)
    allowed[1, 2:], allowed[3, 0] = False, False
    rng = np.random.default_rng(0)
    y = np.stack([rng.choice(np.flatnonzero(allowed[t]), 9) for t in range(T)])
    x = rng.standard_normal((T, 9, 3))
    net = ff.MLP([3, 6, 4], loss="cross_entropy")
    batch = ff.TaskBatch(x, y, x, y, class_mask=allowed)
    theta, algorithm = net.init(0, np.float64), ff.maml(0.1)
    metrics = {"accuracy": "accuracy", "worst": lambda outputs, _: outputs.min()}
    found = ff.evaluate(net, theta, batch, algorithm, steps=STEPS, metrics=metrics).metrics
    wanted = expected(net, theta, batch, algorithm, "accuracy", "labels")
    np.testing.assert_allclose(found["accuracy"].values, wanted, rtol=1e-12)
    assert np.isinf(found["worst"].values[[1, 3]]).all()


def test_masked_rows_are_left_out():
    net, batch = tasks("numbers", "stacked")
    mask = np.random.default_rng(0).random((T, 9)) < 0.5
    mask[:, 0] = True
    arrays = batch.x_support, batch.y_support, batch.x_query, batch.y_query
    masked = ff.TaskBatch(*arrays, mask_query=mask)
    kept = [[a[t][mask[t]] for t in range(T)] for a in arrays[2:]]
    by_hand = ff.TaskBatch(*arrays[:2], *kept)
    theta = net.init(0, np.float64)
    found = [
        ff.evaluate(net, theta, b, ff.maml(0.1), steps=STEPS, metrics=["mae", "rmse"]).metrics
        for b in (masked, by_hand)
    ]
    for name in found[0]:
        np.testing.assert_array_equal(found[0][name].values, found[1][name].values)


def test_unknown_targets_count_nowhere():
    net, batch = tasks("numbers", "stacked")
    known = np.random.default_rng(3).random((T, 9, 2)) < 0.5
    known[:, 0], known[1, 1:, 0], known[2, :, 1] = True, False, False
    y = np.where(known, batch.y_query, np.nan)
    masked = ff.TaskBatch(batch.x_support, batch.y_support, batch.x_query, y, mask_query=known)
    seen = []
    metrics = {name: name for name in OF["numbers"]}
    theta = net.init(0, np.float64)
    found = ff.evaluate(
        *(net, theta, masked, ff.maml(0.1)),
        steps=(1,),
        metrics={**metrics, "own": lambda outputs, targets: seen.append(targets) or 0.0},
    ).metrics
    for t, targets in enumerate(seen):
        np.testing.assert_array_equal(targets, y[t][known[t].any(1)])
    for t in range(T):
        adapted = ff.adapt(net, theta, batch.x_support[t], batch.y_support[t], ff.maml(0.1))
        outputs = net.predict(adapted, batch.x_query[t])
        for name in OF["numbers"]:
            each = [
                theirs(name, "numbers", outputs[k, j], y[t][k, j], None)
                for j, k in enumerate(known[t].T)
                if k.sum() >= (2 if name == "r2" else 1)
            ]
            np.testing.assert_allclose(found[name].values[t, 0], np.mean(each), rtol=1e-9)


def test_flags_of_which_some_are_unknown():
    net, batch = tasks("flags", "stacked")
    known = np.random.default_rng(3).random((T, 9, 2)) < 0.7
    known[:, 0] = True
    masked = ff.TaskBatch(
        batch.x_support, batch.y_support, batch.x_query, batch.y_query, mask_query=known
    )
    theta = net.init(0, np.float64)
    found = ff.evaluate(net, theta, masked, ff.maml(0.1), steps=(0,), metrics="accuracy")
    right = ((net.predict(theta, batch.x_query) > 0) == (batch.y_query > 0.5)) | ~known
    wanted = [right[t].all(1)[known[t].any(1)].mean() for t in range(T)]
    np.testing.assert_allclose(found.metrics["accuracy"].values[:, 0], wanted, rtol=1e-12)


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy"])
def test_one_flag_a_row_is_a_class(name):
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((T, 9, 3)), rng.integers(0, 2, (T, 9, 1)).astype(float)
    known, weights = rng.random((T, 9, 1)) < 0.7, rng.uniform(0.5, 2, (T, 9, 1))
    known[:, :2] = True
    net = ff.MLP([3, 6, 1], activation="tanh", loss="binary_cross_entropy")
    batch = ff.TaskBatch(x, y, x, y, mask_query=known, weights_query=weights)
    theta = net.init(0, np.float64)
    found = ff.evaluate(net, theta, batch, ff.maml(0.1), steps=(0,), metrics=name).metrics[name]
    predicted = net.predict(theta, x) > 0
    for t in range(T):
        k = known[t]
        given = y[t][k] > 0.5, predicted[t][k]
        wanted = getattr(sklearn, f"{name}_score")(*given, sample_weight=weights[t][k])
        np.testing.assert_allclose(found.values[t, 0], wanted, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", ["stacked", "ragged"])
def test_a_function_sees_each_task_and_threads_change_nothing(form, dtype):
    net, batch = tasks("numbers", form, dtype)
    theta, seen = net.init(0, dtype), []

    def worst(outputs, targets):
        seen.append((outputs.shape, outputs.dtype, targets.dtype))
        return np.abs(outputs - targets).max()

    one, two = (
        ff.evaluate(net, theta, batch, ff.maml(0.1), steps=(3, 0), metrics=worst, threads=n)
        for n in (1, 2)
    )
    assert set(seen) == {((n, 2), np.dtype(dtype), np.dtype(dtype)) for n in SIZES[form]}
    values = one.metrics["worst"].values
    np.testing.assert_array_equal(values, two.metrics["worst"].values)
    adapted = ff.adapt(net, theta, batch.x_support, batch.y_support, ff.maml(0.1), steps=3)
    for t in range(T):
        outputs = net.predict(adapted[t], batch.x_query[t])
        wanted = np.abs(outputs - batch.y_query[t]).max()
        np.testing.assert_allclose(values[t, 0], wanted, rtol=1e-5)


def test_custom_losses_context_and_query_losses():
    net, batch = tasks("numbers", "stacked")

    def square(outputs, targets):
        error = outputs - targets
        return (error**2).mean(axis=(1, 2)), 2 * error / error[0].size

    own = ff.MLP(net.sizes, activation="tanh", loss=ff.losses.Custom(square))
    mse = ff.MLP(net.sizes, activation="tanh")
    theta = net.init(0, np.float64)
    found = [
        ff.evaluate(n, theta, batch, ff.fomaml(0.1), steps=STEPS, metrics="rmse").metrics["rmse"]
        for n in (own, mse)
    ]
    np.testing.assert_allclose(found[0].values, found[1].values, rtol=1e-12)

    with_context = ff.MLP([5, 6, 2], activation="tanh")
    theta, cavia = with_context.init(0, np.float64), ff.cavia(context=2, lr=0.5)
    values = ff.evaluate(with_context, theta, batch, cavia, steps=(2,), metrics="mae").metrics
    context = ff.adapt(with_context, theta, batch.x_support, batch.y_support, cavia, steps=2)
    outputs = with_context.predict(theta, batch.x_query, context=context)
    wanted = np.abs(outputs - batch.y_query).mean((1, 2))
    np.testing.assert_allclose(values["mae"].values[:, 0], wanted, rtol=1e-12)


def test_diverged_tasks_have_no_value():
    net, batch = tasks("numbers", "stacked")
    arrays = [a.copy() for a in (batch.x_support, batch.y_support, batch.x_query, batch.y_query)]
    arrays[1][2] = 1e200
    net = ff.MLP(net.sizes, activation="identity")
    found = ff.evaluate(
        *(net, net.init(0, np.float64), ff.TaskBatch(*arrays), ff.maml(1e3)),
        steps=(0, 3),
        metrics=["mae", "r2"],
    )
    assert found.diverged[2].tolist() == [False, True]
    assert np.isnan(found.metrics["mae"].values[2]).tolist() == [False, True]
    assert found.metrics["mae"].n_tasks.tolist() == [T, T - 1]


def test_parts_of_a_batch_are_the_whole(monkeypatch):
    net, batch = tasks("numbers", "ragged")
    theta = net.init(0, np.float64)
    whole, parts = [], []
    for found, most in ((whole, 2**24), (parts, 2 * len(STEPS) * net.n_params)):
        monkeypatch.setattr(_evaluated, "MOST_NUMBERS", most)
        found.append(
            ff.evaluate(net, theta, batch, ff.maml(0.1), steps=STEPS, metrics=["mae", "r2"])
        )
    np.testing.assert_allclose(whole[0].losses, parts[0].losses, rtol=1e-12)
    for name in ("mae", "r2"):
        wanted = whole[0].metrics[name].values
        np.testing.assert_allclose(parts[0].metrics[name].values, wanted, rtol=1e-11)


def test_what_is_printed_names_the_metrics():
    net, batch = tasks("labels", "stacked")
    found = ff.evaluate(net, net.init(0, np.float64), batch, ff.maml(), metrics="balanced_accuracy")
    head, *rows = repr(found).splitlines()[1:]
    assert "balanced_accuracy" in head
    assert {len(row) for row in rows} == {len(head)}
    assert "<th>balanced_accuracy</th>" in found._repr_html_()


@pytest.mark.parametrize(
    ("kind", "metrics", "error", "text"),
    [
        ("numbers", "rsme", ValueError, "did you mean 'rmse'"),
        ("numbers", "accuracy", ValueError, "accuracy compares classes, but .* are numbers"),
        ("labels", ["mae"], ValueError, "mae compares numbers, but .* are classes"),
        ("flags", "balanced_accuracy", ValueError, "needs one class a row, .* 2 flags"),
        ("numbers", ["mae", "mae"], ValueError, "'mae' stands twice"),
        ("numbers", lambda o, y: 0.0, ValueError, "has no name"),
        ("numbers", 3, TypeError, "metrics must be a name, a function"),
        ("numbers", {"own": 3}, TypeError, r"metrics\['own'\] must be a name"),
        ("numbers", {3: "mae"}, TypeError, "names for keys"),
        ("numbers", {"own": lambda o, y: "?"}, TypeError, r"metrics\['own'\] must return a number"),
    ],
)
def test_what_does_not_fit_is_refused(kind, metrics, error, text):
    net, batch = tasks(kind, "stacked")
    with pytest.raises(error, match=text):
        ff.evaluate(net, net.init(0, np.float64), batch, ff.maml(), metrics=metrics)


def test_nothing_is_computed_before_metrics_fit():
    net, batch = tasks("numbers", "stacked")
    theta = np.full(net.n_params, np.nan)
    with pytest.raises(ValueError, match="compares classes"):
        ff.evaluate(net, theta, batch, ff.maml(), metrics="accuracy")


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_in_what_a_function_returns(kind):
    net, batch = tasks("numbers", "stacked")
    value, theta = GARBAGE[kind](), net.init(0, np.float64)
    with contextlib.suppress(TypeError):
        ff.evaluate(net, theta, batch, ff.maml(), metrics={"own": lambda o, y: value})


def test_named_metrics_refuse_targets_with_more_columns_than_outputs():
    """A custom loss may carry flags and weights in its targets."""

    def fn(outputs, targets):
        error = outputs - targets[..., :1]
        return (error**2).mean(axis=(1, 2)), 2 * error / error[0].size

    net = ff.MLP([1, 1], loss=ff.losses.Custom(fn))
    x, y = np.ones((2, 3, 1)), np.ones((2, 3, 3))
    batch = ff.TaskBatch(x, y, x, y)
    with pytest.raises(ValueError, match="rmse needs targets of the network's 1 outputs, got 3"):
        ff.evaluate(net, np.zeros(2), batch, ff.fomaml(), metrics="rmse")
    own = {"first": lambda o, t: abs(o - t[:, :1]).mean()}
    found = ff.evaluate(net, np.zeros(2), batch, ff.fomaml(), metrics=own, steps=(0,))
    assert found.metrics["first"].mean == [1]


def test_evaluations_can_be_copied_and_pickled():
    net, rows = ff.MLP([1, 3, 1]), np.ones((2, 3, 1))
    batch = ff.TaskBatch(rows, rows, rows, rows)
    thetas = np.stack([net.init(seed, np.float64) for seed in range(2)])
    for theta in (thetas[0], thetas):
        found = ff.evaluate(net, theta, batch, ff.maml(0.1), metrics="rmse")
        for again in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
            np.testing.assert_array_equal(again.losses, found.losses)
            values = again.metrics["rmse"].values
            np.testing.assert_array_equal(values, found.metrics["rmse"].values)
            with pytest.raises(TypeError):
                again.metrics["rmse"] = values
