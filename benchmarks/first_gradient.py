"""Seconds to the first gradient of a new shape in a new process, import included.

``python -m benchmarks.first_gradient fomaml_fast sine-1 first`` prints them. The data are drawn
before the clock starts. NumPy draws them, so its import is timed apart and added: every contender
needs it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from benchmarks import threads

LIMIT = 0.2
"""Seconds asked of ours."""
OURS = "fomaml_fast"


def measure(who: str, workload: str, order: str) -> float:
    """Import, prepare and call once; only meaningful in a process that has done nothing else."""
    start = time.perf_counter()
    import numpy

    assert numpy.__version__
    numpy_import = time.perf_counter() - start

    from benchmarks import workloads

    problem = workloads.problem(workloads.WORKLOADS[workload])
    workloads.problem = lambda workload, dtype=None: problem  # drawn once, here

    start = time.perf_counter()
    if who == OURS:
        from benchmarks import ours

        case = ours.build(workloads.WORKLOADS[workload], order)
    else:
        from benchmarks.baselines import PEERS

        peer = next(p for p in PEERS if p.name == who)
        case = peer.build(workloads.WORKLOADS[workload], order)
    case.run()
    return numpy_import + time.perf_counter() - start


def in_new_process(who: str, workload: str, order: str) -> float:
    """`measure` in a process of its own; torch's compile cache is set aside.

    Another process runs first and is not timed. It brings the files into memory and, where it may
    write, keeps the bytecode that Python compiles of them: work that is done once per installation.
    """
    command = [sys.executable, "-m", "benchmarks.first_gradient", who, workload, order]
    environment = {**os.environ, "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def run() -> float:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
        return float(done.stdout)

    run()
    return run()


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the first gradient of this process.")
    for name in ("who", "workload", "order"):
        parser.add_argument(name)
    options = parser.parse_args()
    threads.limit(threads.count())
    print(measure(options.who, options.workload, options.order))


if __name__ == "__main__":
    main()
