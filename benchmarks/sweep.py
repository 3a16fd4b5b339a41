"""Where a peer wins: ``python -m benchmarks.sweep [--quick] [--output DIRECTORY]``.

First order on 16-w-w-1 tanh mse, as many query as support rows, over width × tasks × rows: ours,
batched NumPy and jitted JAX everywhere, ``torch.compile`` (seconds to minutes of compilation a
point) on `COMPILED`. Then the cost per task of wide-1's network from 64 to 100,000 tasks.
Writes ``sweep.json`` and ``sweep.png``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks import command, threads

WIDTHS = (8, 16, 32, 48, 64, 96, 128, 192, 256, 512)
TASKS = (1, 16, 128, 1024)
ROWS = (5, 20, 80)
COMPILED = [(w, 128, 20) for w in (8, 48, 128, 512)]
FLAT_TASKS = (64, 256, 1024, 4096, 16_384, 100_000)
FLAT = 0.15
"""How far the cost per task may be from that of the smallest number of tasks."""
SECOND_LOOK = 10
"""Where a peer seems to win, blocks this many times as long decide: threads of the contender before
may still spin, and calls that they hold up go on alone for a while (docs/notebook.md)."""
MOST_NUMBERS = 40_000_000
"""T × P beyond which a point is left out: NumPy and JAX hold several copies of that."""


def point(width: int, tasks: int, rows: int) -> Any:
    """The workload of one point."""
    from benchmarks.workloads import WORKLOADS

    sizes = (16, width, width, 1)
    shape = {"sizes": sizes, "tasks": tasks, "support": rows, "query": rows}
    return replace(WORKLOADS["wide-1"], name=f"{width}x{tasks}x{rows}", has_tangents=False, **shape)


def grid(quick: bool) -> Iterator[tuple[int, int, int]]:
    """Points ``(width, tasks, rows)`` that fit."""
    widths, tasks, rows = ((8, 32), (1, 16), (5,)) if quick else (WIDTHS, TASKS, ROWS)
    for w, t, k in product(widths, tasks, rows):
        if t * (16 * w + w * w + 3 * w + 1) <= MOST_NUMBERS:
            yield w, t, k


def measure(width: int, tasks: int, rows: int, blocks: int, seconds: float) -> dict[str, Any]:
    """One point: everybody agrees with float64, then they are timed in turn."""
    from benchmarks import answers, harness, ours
    from benchmarks.baselines import PEERS

    workload = point(width, tasks, rows)
    expected = answers.reference(workload, "first")
    cases = {harness.OURS: ours.build(workload, "first")}
    for peer in PEERS:
        wanted = peer.name in ("numpy", "jax") or (
            peer.compiles_slowly and (width, tasks, rows) in COMPILED
        )
        if wanted and peer.installed:
            cases[peer.name] = peer.build(workload, "first")
    for name, case in cases.items():
        answers.check_case(name, case, expected)
    runs = {name: case.run for name, case in cases.items()}
    record = harness.Record.of(workload.name, "first", harness.interleave(runs, blocks, seconds))
    best = record.peers[0]
    return {
        "width": width,
        "tasks": tasks,
        "rows": rows,
        "engine": ours.chosen_engine(workload, "first"),
        "seconds": {name: record.seconds(name) for name in runs},
        "best_peer": best,
        "ratio": record.ratio(best),
        "ratios": record.ratios(best),
        "discarded": record.discarded,
    }


def cost_per_task(quick: bool, blocks: int, seconds: float) -> list[dict[str, Any]]:
    """Seconds a task of wide-1's network, first order; the sizes alternate like contenders."""
    from benchmarks import harness, ours
    from benchmarks.workloads import WORKLOADS

    counts = FLAT_TASKS[:2] if quick else FLAT_TASKS
    wide = replace(WORKLOADS["wide-1"], has_tangents=False)
    runs = {str(t): ours.build(replace(wide, tasks=t), "first").run for t in counts}
    record = harness.Record.of("wide-1", "first", harness.interleave(runs, blocks, seconds))
    cost = {t: record.seconds(str(t)) / t for t in counts}
    return [
        {"tasks": t, "seconds_per_task": cost[t], "to_first": cost[t] / cost[counts[0]]}
        for t in counts
    ]


def verdict(result: dict[str, Any]) -> str:
    """Where a peer wins, and whether the cost per task is flat."""
    lost = [p for p in result["grid"] if p["ratio"] < 1]
    lines = [
        f"width {p['width']}, {p['tasks']} tasks, {p['rows']} rows: {p['best_peer']} wins, "
        f"ratio {p['ratio']:.2f} ({p['engine']})"
        for p in lost
    ] or [f"No peer wins at any of {len(result['grid'])} points."]
    off = [c for c in result["cost_per_task"] if abs(c["to_first"] - 1) > FLAT]
    costs = ", ".join(
        f"{c['tasks']:,}: {c['seconds_per_task'] * 1e6:.2f} µs" for c in result["cost_per_task"]
    )
    flat = "flat" if not off else "NOT flat"
    return "\n".join([*lines, f"Cost per task is {flat} within {FLAT:.0%}: {costs}."])


def plot(result: dict[str, Any], path: Path) -> None:
    """Ratio to the best peer over width, one panel a number of rows, one line a number of tasks."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    points, costs = result["grid"], result["cost_per_task"]
    rows = sorted({p["rows"] for p in points})
    figure, axes = plt.subplots(
        1, len(rows) + 1, figsize=(3.2 * (len(rows) + 1), 3.2), layout="constrained"
    )
    for axis, k in zip(axes, rows, strict=False):
        for t in sorted({p["tasks"] for p in points}):
            line = [p for p in points if (p["rows"], p["tasks"]) == (k, t)]
            ratios = [p["ratio"] for p in line]
            axis.plot(
                [p["width"] for p in line], ratios, marker="o", label=f"{t} task{'s' * (t > 1)}"
            )
        axis.axhline(1, color="black", linewidth=0.8, linestyle="--")
        axis.set(title=f"{k} + {k} rows", xlabel="width", xscale="log", yscale="log")
    axes[0].set_ylabel("best peer's time / ours")
    axes[0].legend(fontsize="small")
    axes[-1].plot([c["tasks"] for c in costs], [c["to_first"] for c in costs], marker="o")
    axes[-1].axhspan(1 - FLAT, 1 + FLAT, alpha=0.2)
    axes[-1].set(title="cost per task, wide-1", xlabel="tasks", xscale="log", ylim=(0, 2))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    # Threads of the contender before still spin when a block begins, and hold the next one up.
    parser = command.parser("Sweep width, tasks and rows.", blocks=5, seconds=0.2)
    parser.add_argument("--output", type=Path, default=Path("build/sweep"))
    options = command.begin(parser)
    blocks, seconds = options.blocks, options.seconds

    result: dict[str, Any] = {"threads": threads.count(), "grid": []}
    for shape in grid(options.quick):
        last = measure(*shape, blocks, seconds)
        if last["ratio"] < 1:
            last = measure(*shape, blocks, SECOND_LOOK * seconds)
        result["grid"].append(last)
        print(f"{shape}: {last['ratio']:.2f} x {last['best_peer']}, {last['engine']}", flush=True)
    result["cost_per_task"] = cost_per_task(options.quick, blocks, seconds)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "sweep.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    plot(result, options.output / "sweep.png")
    print(verdict(result))


if __name__ == "__main__":
    main()
