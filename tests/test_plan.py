"""The plan report: what it says is what calls do."""

import numpy as np
import pytest

import fomaml_fast as ff
from fomaml_fast import _debug

ENGINES = ff.build_info()["engines"]


def tasks(n_tasks=9, rows=6, dtype=np.float64, **more):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, n_tasks, rows, 2)), rng.standard_normal((4, n_tasks, rows, 1))
    return ff.TaskBatch(x[0], y[0], x[1], y[1], dtype=dtype, **more)


def reasons(report):
    return {engine.name: engine.unsupported for engine in report.engines}


#: A network, an algorithm, rows a set, and what the fast engines say.
CASES = {
    "plain": (ff.MLP([2, 4, 1]), ff.maml(), 6, {"rows": None, "lanes": None}),
    "normalised": (
        ff.MLP([2, 4, 1], norm="layer"),
        ff.maml(),
        6,
        {"rows": None, "lanes": None},
    ),
    "batch normalised, long": (
        ff.MLP([2, 4, 1], norm="batch"),
        ff.maml(),
        65,
        {"rows": None, "lanes": "batch normalisation of sets longer than 64 rows"},
    ),
    "context": (
        ff.MLP([5, 4, 1]),
        ff.cavia(context=3),
        6,
        {"rows": "context parameters", "lanes": None},
    ),
    "long, plain": (ff.MLP([2, 4, 1]), ff.maml(), 65, {"rows": None, "lanes": None}),
    "long, Adam": (
        ff.MLP([2, 4, 1]),
        ff.Algorithm(ff.inner.Adam(0.01), gradient="exact"),
        65,
        {"rows": None, "lanes": "sets longer than 64 rows, but for plain gradient descent"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_reasons_are_given_and_true(name):
    net, algorithm, rows, said = CASES[name]
    batch = tasks(rows=rows)
    report = ff.plan(net, batch, algorithm)
    assert said.items() <= reasons(report).items()
    assert reasons(report)["reference"] is None
    theta = net.init(0, dtype=np.float64)
    for engine, reason in reasons(report).items():
        with _debug.force_engine(engine):
            forced = ff.plan(net, batch, algorithm)
            assert forced.forced
            assert forced.engine == (engine if reason is None else None)
            if reason is None:
                ff.meta_grad(net, theta, batch, algorithm)
            else:
                with pytest.raises(RuntimeError, match=engine):
                    ff.meta_grad(net, theta, batch, algorithm)


@pytest.mark.parametrize("operation", ff.planning.OPERATIONS)
@pytest.mark.parametrize("sizes", [(2, 4, 1), (2, 300, 300, 1)], ids=str)
def test_the_cheapest_that_can_is_chosen(operation, sizes):
    report = ff.plan(ff.MLP(sizes), tasks(), ff.maml(), operation=operation)
    able = [engine for engine in report.engines if engine.unsupported is None]
    assert not report.forced
    assert report.engine == min(able, key=lambda engine: engine.cost).name
    assert report.operations > 0
    assert report.workspace_bytes > 0


def test_threads_are_capped_and_choose_no_engine():
    net, batch = ff.MLP([2, 64, 64, 1]), tasks(64, 32)
    reports = [ff.plan(net, batch, ff.maml(), threads=threads) for threads in (1, 2)]
    assert reports[0].threads == 1
    assert reports[1].threads <= 2
    assert reports[0].engine == reports[1].engine


def test_statistics_are_taken_of_all_rows_at_once():
    net, batch = ff.MLP([2, 4, 1], norm="batch"), tasks(rows=193)
    wording = "batch normalisation of sets longer than {} rows"
    wanted = {"rows": wording.format(192), "lanes": wording.format(64)}
    found = reasons(ff.plan(net, batch, ff.maml(), operation="predict"))
    assert wanted.items() <= found.items()


def test_operations_count_the_products_of_predict():
    # 9 tasks of 6 rows; a multiplication and an addition for each weight.
    report = ff.plan(ff.MLP([2, 4, 1]), tasks(), ff.maml(), operation="predict")
    assert report.operations == 9 * 6 * 2 * (2 * 4 + 4 * 1)


@pytest.mark.parametrize("operation", ["input_vjp", "input_jvp", "jet"])
def test_derivatives_over_inputs_fall_back_to_the_reference(operation):
    report = ff.plan(ff.MLP([2, 4, 1]), tasks(), ff.maml(), operation=operation)
    assert report.engine == "reference"
    assert set(reasons(report).values()) == {None, "derivatives over the inputs"}
    # A jet along both inputs is a value, two slopes and two bends; a product is two passes.
    assert report.operations == 9 * 6 * 2 * 12 * (5 if operation == "jet" else 2)


def test_normalised_networks_have_no_jets():
    net = ff.MLP([2, 4, 1], norm="layer")
    with pytest.raises(ValueError, match="operation: jets are those of networks without"):
        ff.plan(net, tasks(), ff.maml(), operation="jet")


def test_operations_count_the_flows():
    # 9 tasks of 6 rows in each set; the first layer takes no gradient of its inputs.
    net, batch = ff.MLP([2, 4, 1]), tasks()
    forward, gradient = 9 * 6 * 2 * 12, 9 * 6 * 2 * (12 + 12 + 4)

    def count(gradient, **options):
        algorithm = ff.Algorithm(ff.inner.SGD(0.1), steps=3, gradient=gradient, **options)
        return ff.plan(net, batch, algorithm).operations

    assert count("first") == 3 * gradient + gradient
    assert count("exact") == 3 * 3 * gradient + gradient
    assert count("reptile") == 3 * gradient + forward
    assert count("first", step_weights=(0.5, 0.25, 0.25)) == 3 * gradient + 3 * gradient


def test_it_prints_the_choice_and_the_reasons():
    text = str(ff.plan(ff.MLP([5, 4, 1]), tasks(), ff.cavia(context=3)))
    assert text.startswith("meta_grad: ")
    assert "the least estimated cost" in text
    assert "cannot: context parameters" in text
    assert all(name in text for name in ENGINES)


def test_what_does_not_fit_is_named():
    net, batch = ff.MLP([2, 4, 1]), tasks()
    with pytest.raises(ValueError, match="operation"):
        ff.plan(net, batch, ff.maml(), operation="train")
    with pytest.raises(TypeError, match="net"):
        ff.plan(None, batch, ff.maml())
    with pytest.raises(TypeError, match="batch"):
        ff.plan(net, None, ff.maml())
    with pytest.raises(ValueError, match="x_support"):
        ff.plan(ff.MLP([3, 4, 1]), batch, ff.maml())


def test_losses_written_in_python_have_no_plan():
    custom = ff.losses.Custom(
        lambda o, y: (((o - y) ** 2).mean(axis=(1, 2)), 2 * (o - y) / o[0].size)
    )
    with pytest.raises(ValueError, match="losses of the core"):
        ff.plan(ff.MLP([2, 4, 1], loss=custom), tasks(), ff.maml())
