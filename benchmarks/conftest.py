"""Options, the machine line above the run, and the table below it."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import threads

if TYPE_CHECKING:
    from benchmarks.workloads import Workload

# NumPy and all that imports it come in only after `pytest_configure` has set the threads.

MACHINE = pytest.StashKey[dict[str, Any]]()
RECORDS = pytest.StashKey[list[Any]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fomaml_fast benchmarks")
    group.addoption("--threads", type=int, default=2, help="threads for everybody (2)")
    group.addoption("--blocks", type=int, default=7, help="interleaved blocks (7)")
    group.addoption("--seconds", type=float, default=0.15, help="length of one block (0.15)")
    group.addoption("--only", default="", help="workloads to run, separated by commas (all)")


def pytest_configure(config: pytest.Config) -> None:
    threads.limit(config.getoption("threads"))
    config.addinivalue_line("filterwarnings", "ignore:.torch.jit:DeprecationWarning")  # dynamo's
    config.stash[RECORDS] = []
    config.stash[MACHINE] = {}


def pytest_report_header(config: pytest.Config) -> str:
    def version(package: str) -> str:
        try:
            return f"{package} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            return f"{package} NOT INSTALLED"

    packages = ", ".join(map(version, ("numpy", "torch", "jax", "jaxlib")))
    return (
        f"benchmarks: {threads.count()} threads on {os.cpu_count()} processors, "
        f"load {os.getloadavg()[0]:.1f}, peers {packages}"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give `workload` the members of WORKLOADS that ``--only`` and the test's own list allow.

    A test that also has a `concept` gets each on the workloads where that has a bar.
    """
    if "workload" not in metafunc.fixturenames:
        return
    from benchmarks.concepts import CONCEPTS
    from benchmarks.workloads import WORKLOADS

    only = [name for name in metafunc.config.getoption("only").split(",") if name]
    if unknown := set(only) - WORKLOADS.keys():
        raise pytest.UsageError(f"--only: no workload {', '.join(sorted(unknown))}")

    def chosen(offered: Iterable[str]) -> list[Workload]:
        return [WORKLOADS[name] for name in offered if not only or name in only]

    if "concept" in metafunc.fixturenames:
        pairs = [(w, c.name) for c in CONCEPTS.values() for w in chosen(c.bars)]
        ids = [f"{workload.name}-{concept}" for workload, concept in pairs]
        metafunc.parametrize(("workload", "concept"), pairs, ids=ids)
        return
    offered = getattr(metafunc.function, "workloads", WORKLOADS)
    metafunc.parametrize("workload", chosen(offered), ids=lambda w: w.name)


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Peak figures of this run, measured once, before anything is timed."""
    from benchmarks import peak

    found = request.config.stash[MACHINE]
    if not request.config.getoption("benchmark_disable"):
        found.update(peak.measure(threads.count()))
    return found


@pytest.fixture
def race(request: pytest.FixtureRequest, benchmark: Any) -> Any:
    """Time the first of `runs`, then interleave all of them into a record."""
    from dataclasses import asdict

    from benchmarks import harness

    def run(
        workload: str,
        order: str,
        runs: dict[str, Any],
        first_calls: dict[str, float] | None = None,
        facts: dict[str, Any] | None = None,
        kind: str = "workload",
    ) -> None:
        benchmark(next(iter(runs.values())))
        if benchmark.disabled:
            return
        request.getfixturevalue("machine")
        option = request.config.getoption
        turns = harness.interleave(runs, option("blocks"), option("seconds"))
        record = harness.Record.of(workload, order, turns, first_calls, facts, kind)
        benchmark.extra_info.update(asdict(record))
        request.config.stash[RECORDS].append(record)

    return run


@pytest.fixture
def timing(request: pytest.FixtureRequest) -> bool:
    """Whether times are wanted: not under ``--benchmark-disable``."""
    return not request.config.getoption("benchmark_disable")


@pytest.fixture
def note(machine: dict[str, Any]) -> Any:
    """Keep what a new process measured: ``note(kind, workload, data)``."""

    def keep(kind: str, workload: str, data: Any) -> None:
        machine.setdefault("notes", {}).setdefault(kind, {})[workload] = data

    return keep


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: Any) -> None:
    machine_info["fomaml_fast"] = config.stash[MACHINE]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    records = config.stash[RECORDS]
    if config.getoption("benchmark_disable") or "threads" not in config.stash[MACHINE]:
        return
    from benchmarks import report

    terminalreporter.section("what was measured")
    terminalreporter.write_line(report.render(records, config.stash[MACHINE]))
