"""Peak rates of this machine: the denominators of every "share of peak"."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from benchmarks.harness import timed

SIZE = 1536
REPEATS = 5


def gemm(dtype: DTypeLike = np.float32) -> float:
    """GFLOP/s of the best of `REPEATS` large products by NumPy's BLAS."""
    rng = np.random.default_rng(0)
    a, b = rng.random((2, SIZE, SIZE), np.float32).astype(dtype)
    out = np.empty_like(a)
    best = min(timed(lambda: np.matmul(a, b, out=out))[0] for _ in range(REPEATS))
    return 2 * SIZE**3 / best / 1e9


def fma(threads: int) -> float | None:
    """GFLOP/s of a loop of fused multiply-adds on registers, where the build offers one."""
    if importlib.util.find_spec("fomaml_fast._debug") is None:
        return None
    loop = getattr(importlib.import_module("fomaml_fast._debug"), "fma_gflops", None)
    return None if loop is None else max(float(loop(threads=threads)) for _ in range(REPEATS))


def blas_kernel() -> str:
    """Which kernel NumPy's BLAS runs; "unknown" without threadpoolctl."""
    if importlib.util.find_spec("threadpoolctl") is None:
        return "unknown"
    pools: list[dict[str, Any]] = importlib.import_module("threadpoolctl").threadpool_info()
    kernels = [str(p.get("architecture", "unknown")) for p in pools if p.get("user_api") == "blas"]
    return ", ".join(kernels) or "unknown"


def measure(threads: int) -> dict[str, Any]:
    """Peak figures of this run; ``peak`` is the FMA loop where there is one, else the sgemm.

    The float64 peak is half of the float32 one: a register holds half as many numbers.
    """
    loop, product = fma(threads), gemm()
    return {
        "threads": threads,
        "fma_gflops": loop,
        "sgemm_gflops": product,
        "dgemm_gflops": gemm(np.float64),
        "blas_kernel": blas_kernel(),
        "peak_gflops": loop or product,
    }
