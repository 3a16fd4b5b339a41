"""The same number of threads for everybody, settled before any numerical library is imported."""

from __future__ import annotations

import os
import sys


def count() -> int:
    """Threads that each contender gets."""
    return int(os.environ.get("OMP_NUM_THREADS", "2"))


def limit(threads: int) -> None:
    """Give this process `threads` threads and, where it has more, as many processors.

    XLA sizes its pool by the processors it may run on: the affinity is its thread count.
    """
    if "numpy" in sys.modules and os.environ.get("OMP_NUM_THREADS") != str(threads):
        raise RuntimeError(
            "NumPy was imported before the number of threads was set: run `pytest benchmarks/` "
            f"by itself, or with OMP_NUM_THREADS={threads} in the environment"
        )
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    # Some machines pin an old OpenBLAS kernel here; NumPy at its best picks its own.
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    if threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
