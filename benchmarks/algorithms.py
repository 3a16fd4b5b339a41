"""Ours beside ours: ``python -m benchmarks.algorithms [--quick]``.

One meta-gradient of every algorithm over the exact one of plain gradient descent, and exact
meta-gradients of normalised networks in each engine. Microseconds, medians of blocks.
"""

from __future__ import annotations

import statistics

from benchmarks import command
from benchmarks.tables import microseconds, table

NAMES = ("sine-5", "robot-5", "tab-3")
NORMALISED = ("robot-5", "tab-3", "omni-1")


def main() -> None:
    common = command.parser("Time our algorithms beside our own MAML.", blocks=7, seconds=0.1)
    options = command.begin(common)
    blocks, seconds = options.blocks, options.seconds

    import fomaml_fast as ff
    from benchmarks import harness, ours
    from benchmarks.concepts import ADAM_EPS
    from benchmarks.workloads import INNER_RATE, WORKLOADS, flatten, problem
    from fomaml_fast._debug import force_engine

    def chosen(steps: int) -> dict[str, ff.Algorithm]:
        sgd, adam = ff.inner.SGD, ff.inner.Adam(INNER_RATE, eps=ADAM_EPS)
        momentum = sgd(INNER_RATE, momentum=0.9)
        return {
            "exact": ff.maml(INNER_RATE, steps),
            "first order": ff.fomaml(INNER_RATE, steps),
            "exact, momentum": ff.Algorithm(momentum, steps, gradient="exact"),
            "exact, Adam": ff.Algorithm(adam, steps, gradient="exact"),
            "ANIL, exact": ff.anil(INNER_RATE, steps),
            "BOIL, exact": ff.boil(INNER_RATE, steps),
            "Meta-SGD": ff.meta_sgd(INNER_RATE, steps),
            "MAML++": ff.mamlpp(INNER_RATE, steps),
            "iMAML, 5 iterations": ff.imaml(INNER_RATE, steps, 1.0, 0.0, 5),
            "Reptile": ff.reptile(INNER_RATE, steps),
        }

    def data(name: str) -> tuple[ff.TaskBatch, object]:
        d = problem(WORKLOADS[name])
        return ff.TaskBatch(d.x_support, d.y_support, d.x_query, d.y_query), flatten(d.params)

    def medians(runs: dict[str, harness.Run]) -> dict[str, float]:
        turns = harness.interleave(runs, blocks, seconds)
        return {who: statistics.median(b.seconds for b in turns[who]) for who in runs}

    columns = {}
    for name in NAMES:
        net, (batch, theta) = ours.network(WORKLOADS[name]), data(name)
        runs = {
            what: lambda a=a, n=net, t=theta, b=batch: ff.meta_grad(n, t, b, a)
            for what, a in chosen(WORKLOADS[name].steps).items()
        }
        columns[name] = medians(runs)
    rows = [
        (what, *(f"{microseconds(c[what])} ({c[what] / c['exact']:.2f})" for c in columns.values()))
        for what in columns[NAMES[0]]
    ]
    print(table(["µs (over exact)", *NAMES], rows), end="\n\n")

    rows = []
    for name in NORMALISED:
        workload, (batch, _) = WORKLOADS[name], data(name)
        algorithm = ff.maml(INNER_RATE, workload.steps)
        for norm in ("layer", "batch"):
            net = ff.MLP(workload.sizes, workload.activation, workload.loss, norm=norm)
            theta = net.init(0)
            cells = []
            for engine in ("rows", "lanes", "reference"):
                with force_engine(engine):
                    try:
                        ff.meta_grad(net, theta, batch, algorithm)
                    except RuntimeError:
                        cells.append("–")
                        continue
                    run = {
                        engine: lambda n=net, t=theta, b=batch, a=algorithm: ff.meta_grad(
                            n, t, b, a
                        )
                    }
                    cells.append(microseconds(medians(run)[engine]))
            rows.append((name, norm, *cells))
    print(table(["exact, µs", "norm", "rows", "lanes", "reference"], rows))


if __name__ == "__main__":
    main()
