"""Hooks for tests; not part of the public API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fomaml_fast._loader import core


@contextmanager
def force_engine(name: str) -> Iterator[None]:
    """Compute everything in the block with one engine; calls it does not support raise.

    Parameters
    ----------
    name : str
        One of ``build_info()["engines"]``.
    """
    before = core.forced_engine()
    core.force_engine(name)
    try:
        yield
    finally:
        core.force_engine(before)


def fma_gflops(threads: int = 1, milliseconds: int = 200) -> float:
    """Measure the machine's peak: float32 multiply-adds in registers, in GFLOP/s.

    Parameters
    ----------
    threads : int, default 1
        Threads at once.
    milliseconds : int, default 200
        How long to measure.
    """
    return core.multiply_add_gflops(threads, milliseconds)
