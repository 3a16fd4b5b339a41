"""Lanes over Rows, time for time: ``python -m benchmarks.engines [--quick]``.

One meta-gradient of 8-w-…-w-1 relu on one thread, each engine forced, and beside it in
brackets what the cost model estimates: the measurements behind ``cpp/src/engines/lanes/cost.cpp``.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from benchmarks import command
from benchmarks.tables import table

WIDTHS = (8, 16, 32, 40, 48, 64, 96, 128, 256)
ENGINES = ("lanes", "rows")
RATE = 1e-4  # no step may overflow, in networks of any depth: what a step costs, it does not change


@dataclass(frozen=True)
class Case:
    """What the rows of the table vary."""

    tasks: int = 64
    rows: int = 10
    dtype: str = "float32"
    gradient: str = "first"
    steps: int = 1
    hidden: int = 2

    def __str__(self) -> str:
        shown = f"{self.tasks} tasks, {self.rows} rows, {self.dtype}, {self.gradient}"
        deep = f", {self.steps} steps, {self.hidden} hidden layers"
        return shown + (deep if (self.steps, self.hidden) != (Case.steps, Case.hidden) else "")


CASES = (
    Case(),
    Case(tasks=9),
    Case(tasks=5),
    Case(rows=30),
    Case(dtype="float64"),
    Case(gradient="exact"),
    Case(gradient="exact", steps=5, hidden=5),
    Case(gradient="exact", steps=10, hidden=8),
)


def main() -> None:
    options = command.begin(command.parser("Time Lanes beside Rows.", blocks=7, seconds=0.05))
    widths, cases = (WIDTHS[:2], CASES[:2]) if options.quick else (WIDTHS, CASES)

    import numpy as np

    import fomaml_fast as ff
    from benchmarks import harness
    from fomaml_fast._debug import force_engine

    def cell(case: Case, width: int) -> str:
        rng = np.random.default_rng(0)
        net = ff.MLP([8, *[width] * case.hidden, 1], activation="relu")
        x, y = (rng.normal(size=(case.tasks, case.rows, n)).astype(case.dtype) for n in (8, 1))
        batch, theta = ff.TaskBatch(x, y, x, y), net.init(0, dtype=case.dtype)
        algorithm = ff.Algorithm(ff.inner.SGD(RATE), case.steps, gradient=case.gradient)

        def forced(engine: str) -> None:
            with force_engine(engine):
                ff.meta_grad(net, theta, batch, algorithm, threads=1)

        runs = {engine: lambda e=engine: forced(e) for engine in ENGINES}
        turns = harness.interleave(runs, options.blocks, options.seconds)
        ratios = [a.seconds / b.seconds for a, b in zip(*turns.values(), strict=True)]
        costs = {e.name: e.cost for e in ff.plan(net, batch, algorithm).engines}
        return f"{statistics.median(ratios):.2f} ({costs['lanes'] / costs['rows']:.2f})"

    rows = [(str(case), *(cell(case, w) for w in widths)) for case in cases]
    print(table(["measured (estimated)", *map(str, widths)], rows))


if __name__ == "__main__":
    main()
