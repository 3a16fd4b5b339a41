"""Every engine that is built, forced in turn, against the oracle; the planner picks only by shape.

To check a new engine, register it: the list comes from the build.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys

import numpy as np
import pytest

import fomaml_fast as ff
import oracle
from cases import DTYPES, GRADIENTS, LR, build, parameters, ragged_rows
from fomaml_fast import _debug
from oracle import flows, unroll
from subject import algorithm, batch, mlp
from tolerances import assert_close

ENGINES = ff.build_info()["engines"]

# Sizes, activation, loss, tasks or ragged rows, K, Q, S
SHAPES = {
    "sine": ((1, 40, 40, 1), "relu", "mse", 25, 10, 10, 1),
    "sine, 5 steps": ((1, 40, 40, 1), "softplus", "mse", 25, 10, 10, 5),
    "few tasks": ((6, 16, 16, 3), "tanh", "mse", 1, 5, 5, 3),
    "odd everything": ((3, 7, 11, 5), "gelu", "cross_entropy", 13, 3, 9, 2),
    "no hidden layer": ((5, 3), "tanh", "cross_entropy", 17, 4, 6, 2),
    "no step": ((2, 9, 2), "silu", "mse", 19, 4, 6, 0),
    "one row": ((2, 8, 1), "sigmoid", "mse", 33, 1, 1, 2),
    "wide input": ((170, 33, 17, 5), "tanh", "cross_entropy", 6, 5, 15, 2),
    "wide layers": ((9, 70, 130, 5), "identity", "cross_entropy", 5, 25, 31, 2),
    "one wide task": ((9, 300, 420, 5), "tanh", "cross_entropy", 1, 40, 33, 2),
    "powers of two": ((64, 32, 128, 5), "tanh", "mse", 9, 4, 3, 2),
    "ragged": ((2, 20, 3), "tanh", "mse", ragged_rows(37), 0, 0, 2),
    "ragged classes": ((4, 20, 5), "silu", "cross_entropy", ragged_rows(18, 1), 0, 0, 3),
    "mixed": ((2, 5, 6, 7, 3), ("relu", "tanh", "softplus"), "mse", 21, 6, 5, 2),
}


def shape_case(name, dtype):
    sizes, activation, loss, tasks, support, query, steps = SHAPES[name]
    rows = tasks if isinstance(tasks, list) else [(support, query)] * tasks
    return build(sizes, activation, loss, dtype, rows=rows, steps=steps), steps


@pytest.fixture(params=ENGINES)
def engine(request):
    with _debug.force_engine(request.param):
        yield request.param


def computed(call):
    """The result: every engine computes what is asked below, and one that declines fails."""
    return call()


#: What engines decline, and nothing else: one that quietly stops computing something fails here.
DECLINED = {
    "reference": set(),
    "rows": {"context", "batch norm of long sets"},
    "lanes": {
        "Jacobian",
        "Gauss-Newton",
        "batch norm of long sets",
        "batch norm of ragged sets",
        "Adam on long sets",
    },
}


def declinable():
    """Problems at the edges of what engines compute, by the names of `DECLINED`."""
    rng = np.random.default_rng(0)
    net = ff.MLP((3, 8, 2), activation="tanh")
    batch_norm = ff.MLP((3, 8, 2), activation="tanh", norm="batch")
    theta, normed = net.init(0), batch_norm.init(0)
    adam = ff.Algorithm(ff.inner.Adam(0.1), 2)

    def rows(n, columns=3):
        return rng.normal(size=(2, n, columns)).astype(np.float32)

    def ragged(columns=3):
        return [array[0, :n] for array, n in zip(rows(9, columns)[:, None], (4, 9), strict=True)]

    return {
        "plain": lambda: ff.adapt(net, theta, rows(5), rows(5, 2), ff.fomaml(0.1, 2)),
        "Adam": lambda: ff.adapt(net, theta, rows(5), rows(5, 2), adam),
        "Adam on long sets": lambda: ff.adapt(net, theta, rows(65), rows(65, 2), adam),
        "long sets": lambda: ff.adapt(net, theta, rows(300), rows(300, 2), ff.fomaml(0.1, 2)),
        "ragged sets": lambda: ff.adapt(net, theta, ragged(), ragged(2), adam),
        "batch norm": lambda: batch_norm.loss(normed, rows(64), rows(64, 2)),
        "batch norm of long sets": lambda: batch_norm.loss(normed, rows(193), rows(193, 2)),
        "batch norm of ragged sets": lambda: batch_norm.loss(normed, ragged(), ragged(2)),
        "context": lambda: ff.adapt(net, theta, rows(5, 2), rows(5, 2), ff.cavia(0.1, 2, 1)),
        "Jacobian": lambda: net.jacobian(theta, rows(5)),
        "Gauss-Newton": lambda: net.gnvp(theta, rows(5), rows(5, 2), theta),
    }


@pytest.mark.parametrize("name", declinable())
def test_what_an_engine_declines(engine, name):
    call = declinable()[name]
    if name in DECLINED[engine]:
        with pytest.raises(RuntimeError, match=f"'{engine}' does not support"):
            call()
    else:
        call()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("name", SHAPES)
def test_meta_gradient(engine, name, gradient, dtype):
    case, steps = shape_case(name, dtype)
    tasks = batch(case, ragged=name.startswith("ragged"))
    net, inner = mlp(case), algorithm(gradient, steps)
    expected = case.expected(LR, steps, gradient)
    plain = computed(lambda: ff.meta_grad(net, case.theta, tasks, inner))
    each = computed(lambda: ff.meta_grad(net, case.theta, tasks, inner, per_task=True))
    for result in (plain, each):
        assert_close(result.grad, expected.task_grads.mean(axis=0), "meta_gradient", dtype)
        assert_close(result.losses, expected.losses, "loss", dtype)
        if steps:
            assert_close(result.support_losses, expected.support_losses, "loss", dtype)
    assert_close(each.task_grads, expected.task_grads, "meta_gradient", dtype, tasks=True)


# Steps whose layers share a rate are computed another way than steps whose layers do not.
RATE_TABLES = {
    "one step, by layer": [[0.1, 0.05, 0.2]],
    "by layer": [[0.1, 0.05, 0.2]] * 3,
    "by step": [[0.1] * 3, [0.02] * 3, [0.3] * 3, [0.05] * 3],
    "by both": [[0.1] * 3, [0.05, 0.1, 0.0], [0.0] * 3, [0.2] * 3],
}


@functools.cache
def rates_case(sizes, activation, support, rates, gradient, dtype):
    """What all engines are held to: slow to compute."""
    case = build(sizes, activation, "mse", dtype, n_tasks=9, support=support, query=4)
    table = RATE_TABLES[rates]
    inner = unroll.Algorithm(
        rates=table, rate_kind="step_layer", steps=len(table), gradient=gradient
    )
    return case, flows.result(case.net, case.theta, case.tasks, inner)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("rates", RATE_TABLES)
@pytest.mark.parametrize(
    ("sizes", "activation", "support"),
    [((3, 9, 7, 2), "tanh", 5), ((3, 5, 4, 2), "silu", 70), ((33, 9, 7, 2), "tanh", 4)],
)
def test_rates_by_layer_and_step(engine, sizes, activation, support, rates, gradient, dtype):
    table = np.array(RATE_TABLES[rates])
    inner = ff.Algorithm(ff.inner.SGD(table), steps=len(table), gradient=gradient)
    case, expected = rates_case(sizes, activation, support, rates, gradient, dtype)
    net, tasks, (x, y, _, _) = mlp(case), batch(case), case.arrays()
    adapted = computed(lambda: ff.adapt(net, case.theta, x, y, inner))
    assert_close(
        adapted, [task.path.points[-1] for task in expected.tasks], "adapt", dtype, tasks=True
    )
    for per_task in (False, True):
        result = computed(
            lambda: ff.meta_grad(net, case.theta, tasks, inner, per_task=per_task)  # noqa: B023
        )
        assert_close(result.grad, expected.grad, "meta_gradient", dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SHAPES)
def test_adapt_and_evaluate(engine, name, dtype):
    case, steps = shape_case(name, dtype)
    ragged = name.startswith("ragged")
    x, y, _, _ = case.arrays(ragged=ragged)
    net, inner = mlp(case), algorithm(steps=steps)
    paths = np.array(
        [
            oracle.adapt(case.net, case.theta, t.x_support, t.y_support, LR, steps)
            for t in case.tasks
        ]
    )
    adapted = computed(lambda: ff.adapt(net, case.theta, x, y, inner))
    assert_close(adapted, paths[:, -1], "adapt", dtype, tasks=True)
    trace = computed(lambda: ff.adapt(net, case.theta, x, y, inner, trace=True))
    assert_close(trace.thetas, paths, "adapt", dtype, tasks=True)
    counts = (0, steps)
    result = computed(
        lambda: ff.evaluate(net, case.theta, batch(case, ragged=ragged), inner, steps=counts)
    )
    expected = np.stack([case.expected(LR, s, "first").losses for s in counts], axis=1)
    assert_close(result.losses, expected, "loss", dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in SHAPES if not name.startswith("ragged")])
def test_network_functions(engine, name, dtype):
    case, _ = shape_case(name, dtype)
    net, (x, y, _, _) = mlp(case), case.arrays()
    rng = np.random.default_rng(2)
    thetas = np.stack([parameters(case.sizes, rng) for _ in case.tasks]).astype(dtype)
    if "relu" in case.activations:  # fresh parameters may sit on a corner: keep the case's own
        thetas = np.stack([case.theta] * len(case.tasks))
    v = np.stack([parameters(case.sizes, rng) for _ in case.tasks]).astype(dtype)
    rows = list(zip(thetas, x, y, v, strict=True))
    checks = {
        "predict": (
            lambda: net.predict(thetas, x),
            [oracle.predict(case.net, t, x) for t, x, y, v in rows],
        ),
        "loss": (
            lambda: net.loss(thetas, x, y),
            [oracle.loss(case.net, t, x, y) for t, x, y, v in rows],
        ),
        "gradient": (
            lambda: net.value_and_grad(thetas, x, y)[1],
            [oracle.gradient(case.net, t, x, y) for t, x, y, v in rows],
        ),
        "hvp": (
            lambda: net.hvp(thetas, x, y, v),
            [oracle.hvp(case.net, t, x, y, v) for t, x, y, v in rows],
        ),
    }
    for quantity, (call, expected) in checks.items():
        # One prediction may be near 0 by cancellation, so predictions share one scale.
        assert_close(computed(call), expected, quantity, dtype, tasks=quantity != "predict")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("name", SHAPES)
def test_threads_do_not_change_a_bit(engine, name, gradient, dtype):
    case, steps = shape_case(name, dtype)
    tasks = batch(case, ragged=name.startswith("ragged"))
    net, inner = mlp(case), algorithm(gradient, steps)
    bits = {
        computed(
            lambda threads=threads: ff.meta_grad(net, case.theta, tasks, inner, threads=threads)
        ).grad.tobytes()
        for threads in (1, 2, 3, 4, 7, 1)
    }
    assert len(bits) == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_tasks", [255, 257, 273, 2049, 4600])
def test_every_task_counts_once(engine, n_tasks, dtype):
    """However many partial sums there are: over 16, even of 16 tasks each, for the most."""
    case = build((2, 5, 1), "tanh", "mse", dtype, n_tasks=n_tasks, support=3, query=2)
    net, tasks = mlp(case), batch(case)
    result = ff.meta_grad(net, case.theta, tasks, algorithm(), reduction="sum")
    each = ff.meta_grad(net, case.theta, tasks, algorithm(), per_task=True).task_grads
    scale = np.abs(each).sum(axis=0, dtype=np.float64).max()
    error = np.abs(result.grad - each.sum(axis=0, dtype=np.float64)).max()
    assert error <= 10 * np.finfo(dtype).eps * scale


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize(
    "inner",
    [
        *(algorithm(gradient, 2, 0.1) for gradient in GRADIENTS),
        ff.Algorithm(ff.inner.Adam(0.1), 2, gradient="exact"),
    ],
    ids=[*GRADIENTS, "Adam"],
)
def test_what_empty_lanes_meet_stays_there(engine, inner, many, dtype):
    """Rows of zeros make this network infinite; those of the tasks, which are ones, do not."""
    net = ff.MLP([1, 3, 3, 3, 1], activation="relu")
    huge = float(np.finfo(dtype).max) ** 0.75
    weights = [
        (np.full((1, 3), -huge), np.full(3, huge)),
        (np.full((3, 3), np.sqrt(huge)), np.full(3, 0.5)),
        (np.full((3, 3), 0.5), np.full(3, 0.5)),
        (np.full((3, 1), 0.5), np.zeros(1)),
    ]
    theta = net.flatten([(w.astype(dtype), b.astype(dtype)) for w, b in weights])
    # Alone in its group, or last in a block of several groups.
    n_tasks = 16 * ff.build_info()["vector_bytes"] // np.dtype(dtype).itemsize + 1 if many else 1
    x = np.ones((n_tasks, 4, 1), dtype)
    y = np.random.default_rng(0).normal(size=x.shape).astype(dtype)
    tasks = ff.TaskBatch(x, y, x, y)
    got = computed(lambda: ff.meta_grad(net, theta, tasks, inner))
    with _debug.force_engine("reference"):
        expected = ff.meta_grad(net, theta, tasks, inner)
    assert np.isfinite(expected.grad).all()
    assert_close(got.grad, expected.grad, "meta_gradient", dtype)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_divergence(engine, gradient, dtype):
    case = build((2, 8, 1), "identity", "mse", dtype, n_tasks=19)
    arrays = [array.copy() for array in case.arrays()]
    arrays[0][[3, 17]] *= case.dtype.type(1e12)
    tasks, inner = ff.TaskBatch(*arrays), algorithm(gradient, 40, 0.01)
    good = tasks.take([t for t in range(19) if t not in (3, 17)])
    with pytest.raises(ff.DivergenceError) as caught:
        ff.meta_grad(mlp(case), case.theta, tasks, inner)
    assert caught.value.tasks == [3, 17]
    dropped = ff.meta_grad(mlp(case), case.theta, tasks, inner, on_divergence="drop")
    expected = ff.meta_grad(mlp(case), case.theta, good, inner)
    assert_close(dropped.grad, expected.grad, "meta_gradient", dtype)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ff.activations.names())
def test_nan_is_never_swallowed(engine, activation, dtype, value):
    case = build((2, 9, 9, 1), activation, "mse", dtype, n_tasks=18)
    theta = case.theta.copy()
    theta[20] = np.nan
    for gradient in GRADIENTS:
        with pytest.raises(ff.DivergenceError) as caught:
            ff.meta_grad(mlp(case), theta, batch(case), algorithm(gradient, 2), check_finite=False)
        assert caught.value.tasks == list(range(18))


@pytest.mark.parametrize("name", ENGINES)
def test_environment_variable_forces_an_engine(name):
    script = (
        "import fomaml_fast as ff\n"
        "from fomaml_fast._loader import core\n"
        "import numpy as np\n"
        "net = ff.MLP((1, 8, 1)); x = np.ones((30, 5, 1), np.float32)\n"
        "r = ff.meta_grad(net, net.init(0), ff.TaskBatch(x, x, x, x), ff.fomaml())\n"
        "print(core.forced_engine(), bool(np.isfinite(r.grad).all()))\n"
    )
    environment = {**os.environ, "FOMAML_FAST_ENGINE": name}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [name, "True"]


def test_forcing_is_undone():
    from fomaml_fast._loader import core

    before = core.forced_engine()
    with _debug.force_engine("reference"):
        assert core.forced_engine() == "reference"
    assert core.forced_engine() == before
    with pytest.raises(ValueError, match="nonsense"), _debug.force_engine("nonsense"):
        pass
    assert core.forced_engine() == before
