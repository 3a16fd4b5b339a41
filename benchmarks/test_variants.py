"""Ours beside ours: threads, float64, instruction sets, the first gradient, the cost of a call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fomaml_fast as ff
from benchmarks import answers, first_gradient, ours, threads, variants
from benchmarks.baselines import PEERS
from benchmarks.report_variants import CALLS, FIRST_GRADIENT, FLOAT64, ISA, THREADS
from benchmarks.workloads import INNER_RATE, WORKLOADS, Workload, flatten, only_on, problem
from fomaml_fast._cpu import runnable_isas

ORDERS = ("first", "exact")


@pytest.mark.parametrize("order", ORDERS)
@only_on("robot-5", "omni-5", "tab-3", "wide-1")
def test_two_threads(workload: Workload, order: str, race: Any) -> None:
    """The same bits from one thread and from all; how much faster all of them are."""
    counts = (threads.count(), 1)
    cases = {n: ours.build(workload, order, threads=n) for n in counts}
    few, many = (cases[n].answer(cases[n].run())["gradient"] for n in counts)
    np.testing.assert_array_equal(few, many)
    race(workload.name, order, {str(n): cases[n].run for n in counts}, kind=THREADS)


@pytest.mark.parametrize("order", ORDERS)
def test_float64(workload: Workload, order: str, race: Any) -> None:
    """float64 gives the reference's answer; its share of its peak beside float32's."""
    cases = {t.__name__: ours.build(workload, order, t) for t in (np.float64, np.float32)}
    reference = answers.reference(workload, order)
    answers.check_case("float64", cases["float64"], reference, answers.TOLERANCE64)
    race(workload.name, order, {name: c.run for name, c in cases.items()}, kind=FLOAT64)


@only_on("sine-5", "robot-5", "tab-3", "wide-1")
def test_instruction_sets(
    workload: Workload, timing: bool, request: pytest.FixtureRequest, note: Any
) -> None:
    """Each compiled core that this processor runs, forced in a process of its own."""
    option = request.config.getoption
    isas = [isa for isa in ff.build_info()["compiled_isas"] if isa in runnable_isas()]
    assert isas
    blocks, seconds = (option("blocks"), option("seconds")) if timing else (1, 0.001)
    rows = [variants.in_isa(isa, workload.name, "first", blocks, seconds) for isa in isas]
    note(ISA, workload.name, rows)


@only_on("sine-1", "robot-5", "omni-1")
def test_first_gradient(workload: Workload, timing: bool, note: Any) -> None:
    """Import, planning or compilation, first call: ours and every peer, each in a new process."""
    peers = [p.name for p in PEERS if p.installed and timing]
    names = [first_gradient.OURS, *peers]
    seconds = {n: first_gradient.in_new_process(n, workload.name, "first") for n in names}
    note(FIRST_GRADIENT, workload.name, seconds)


def test_calls(race: Any) -> None:
    """`adapt` of edge-1, and calls with next to nothing to compute: bounds on their overhead."""
    edge = WORKLOADS["edge-1"]
    d, net, maml = problem(edge), ours.network(edge), ours.algorithm(edge, "first")
    theta, x, y = flatten(d.params), d.x_support[0], d.y_support[0]
    tiny, one = ff.MLP((1, 1), activation="tanh", loss="mse"), np.ones((1, 1), np.float32)
    start, step = np.ones(2, np.float32), ff.fomaml(lr=INNER_RATE, steps=1)
    batch = ff.TaskBatch(one[None], one[None], one[None], one[None])
    runs = {
        "adapt of edge-1": lambda: ff.adapt(net, theta, x, y, maml),
        "adapt of 1-1": lambda: ff.adapt(tiny, start, one, one, step),
        "meta_grad of 1-1": lambda: ff.meta_grad(tiny, start, batch, step),
        "meta_grad of edge-1": ours.build(edge, "first").run,
    }
    race(edge.name, "first", runs, kind=CALLS)
