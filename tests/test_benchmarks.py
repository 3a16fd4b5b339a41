"""The benchmarks' own arithmetic, and that what prints and plots them runs; no time is asserted."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(
    not (ROOT / "benchmarks").is_dir(), reason="benchmarks/ is not part of this copy"
)


def run_module(*arguments):
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_sweep(tmp_path):
    printed = run_module("benchmarks.sweep", "--quick", "--output", str(tmp_path))
    result = json.loads((tmp_path / "sweep.json").read_text(encoding="utf-8"))
    assert [(p["width"], p["tasks"]) for p in result["grid"]] == [
        (8, 1),
        (8, 16),
        (32, 1),
        (32, 16),
    ]
    assert all({"fomaml_fast", "numpy"} <= p["seconds"].keys() for p in result["grid"])
    assert [c["tasks"] for c in result["cost_per_task"]] == [64, 256]
    assert (tmp_path / "sweep.png").stat().st_size > 1000
    assert "Cost per task is" in printed


def test_algorithms_beside_maml():
    printed = run_module("benchmarks.algorithms", "--quick")
    assert "(1.00)" in printed
    assert "iMAML" in printed
    assert "batch" in printed


def test_engines_beside_each_other():
    printed = run_module("benchmarks.engines", "--quick")
    assert "measured (estimated)" in printed
    assert printed.count("(0.") == 4  # narrow layers: the model has Lanes ahead everywhere


def test_roofline_in_the_docs_is_what_is_printed():
    page = (ROOT / "docs" / "measurements.md").read_text(encoding="utf-8")
    assert run_module("benchmarks.roofline").strip() in page


@pytest.fixture(scope="module")
def workloads():
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks import operations
        from benchmarks.workloads import WORKLOADS
    finally:
        sys.path.remove(str(ROOT))
    return operations, WORKLOADS


def test_executed_is_nominal_where_nothing_is_padded_or_skipped(workloads):
    operations, table = workloads
    for workload in table.values():
        assert operations.executed(workload, "first", "reference", 8) == workload.flops("first")


def test_executed_counts_the_zero_at_the_inputs(workloads):
    operations, table = workloads
    robot = table["robot-5"]
    skipped = 2 * 2 * robot.tasks * robot.support * robot.sizes[0] * robot.sizes[1]
    assert operations.executed(robot, "hvp", "reference", 8) == robot.flops("hvp") - skipped
    exact = operations.executed(robot, "exact", "reference", 8)
    assert exact == robot.flops("exact") - robot.steps * skipped


def test_executed_counts_padding(workloads):
    operations, table = workloads
    sine = table["sine-5"]
    lanes = operations.executed(sine, "first", "lanes", 8)
    assert lanes == replace(sine, tasks=32).flops("first")
    robot = table["robot-5"]
    # 12 outputs become 16: forward and weight gradient grow, the input gradient does not.
    grown = 2 * robot.tasks * (robot.steps * robot.support + robot.query) * 2 * 64 * 4
    assert operations.executed(robot, "first", "rows", 8) == robot.flops("first") + grown


def test_an_extra_step_on_a_wide_input_is_nearly_free(workloads):
    operations, table = workloads
    one, five = (operations.executed(table[n], "first", "rows", 8) for n in ("omni-1", "omni-5"))
    assert one < five < 1.1 * one
    assert table["omni-5"].flops("first") > 1.2 * table["omni-1"].flops("first")
