"""One workload in one configuration, in a process of its own, since an ISA is forced per process.

``python -m benchmarks.variants WORKLOAD ORDER``, with ``FOMAML_FAST_ISA`` in the environment,
prints the block medians and the FMA loop's GFLOP/s as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from typing import Any

from benchmarks import threads


def measure(workload: str, order: str, blocks: int, seconds: float) -> dict[str, Any]:
    """Block medians in seconds and peak of the instruction set in use."""
    from benchmarks import harness, ours, peak
    from benchmarks.workloads import WORKLOADS

    case = ours.build(WORKLOADS[workload], order)
    turns = harness.interleave({harness.OURS: case.run}, blocks, seconds)[harness.OURS]
    return {
        "seconds": [b.seconds for b in turns],
        "discarded": f"{sum(b.discarded for b in turns)}/{sum(b.calls for b in turns)}",
        "peak_gflops": peak.fma(threads.count()),
    }


def in_isa(isa: str, workload: str, order: str, blocks: int, seconds: float) -> dict[str, Any]:
    """`measure` by a new process that has `isa` forced; with its share of its own peak."""
    from benchmarks.workloads import WORKLOADS

    command = [sys.executable, "-m", "benchmarks.variants", workload, order]
    command += ["--blocks", str(blocks), "--seconds", str(seconds)]
    environment = {**os.environ, "FOMAML_FAST_ISA": isa}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"{' '.join(command)} under {isa}: {run.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(run.stdout)
    rate = WORKLOADS[workload].flops(order) / statistics.median(result["seconds"]) / 1e9
    return {**result, "isa": isa, "of_peak": rate / result["peak_gflops"]}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time one workload with the core in use.")
    parser.add_argument("workload")
    parser.add_argument("order")
    parser.add_argument("--blocks", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.15)
    options = parser.parse_args()
    threads.limit(threads.count())
    print(json.dumps(measure(**vars(options))))


if __name__ == "__main__":
    main()
