"""The default number of threads beside others who want the processors, over one thread.

Run ``python -m benchmarks.busy``: beside busy processes, right after a product of NumPy's, whose
threads spin on for a while, and two processes at once. Blocks of both are interleaved. Times with a
quiet machine are told for comparison; whether those of another version are the same takes two
builds (`harness.interleave`).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks import ours
from benchmarks.harness import Run, timed
from benchmarks.workloads import WORKLOADS

NAMES = ("sine-1", "tab-3", "omni-1")
MOST_TIME = 1.3
"""Bar: the default's time over one thread's, beside neighbours and after a product."""
LEAST_CALLS = 0.8
"""Bar: calls of two default processes over those of two with one thread each."""
PRODUCT = 1500
"""Rows and columns of what NumPy multiplies."""

HOG = "while True: pass"
SETTLE = 0.3
"""Seconds until a neighbour is surely busy, and until threads have noticed."""


def case(name: str, threads: int | None) -> Run:
    """First order, as a user would call it; None leaves the number of threads to the library."""
    return ours.build(WORKLOADS[name], "first", threads=threads).run


@contextlib.contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many processes that never rest."""
    hogs = [subprocess.Popen([sys.executable, "-c", HOG]) for _ in range(count)]
    try:
        time.sleep(SETTLE)
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def mean(run: Run, seconds: float) -> float:
    """Seconds a call, of as many as fill the time: of means, none forgets the calls held up."""
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        run()
        calls += 1
    return elapsed / calls


def after_product(run: Run, seconds: float) -> float:
    """Median seconds of calls that each follow a product of NumPy's."""
    matrix = np.random.default_rng(0).standard_normal((PRODUCT, PRODUCT))
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        matrix @ matrix
        samples.append(timed(run)[0])
    return statistics.median(samples)


def compare(measure: Callable[[Run, float], float], name: str, blocks: int, seconds: float) -> str:
    """Both times, medians over blocks, and the median of the blocks' ratios."""
    runs = {threads: case(name, threads) for threads in (1, None)}
    for run in runs.values():
        run()
    turns: dict[int | None, list[float]] = {threads: [] for threads in runs}
    for block in range(blocks):
        for threads in list(runs)[:: -1 if block % 2 else 1]:
            turns[threads].append(measure(runs[threads], seconds))
    ratio = statistics.median(d / o for d, o in zip(turns[None], turns[1], strict=True))
    one, default = (1e6 * statistics.median(turns[threads]) for threads in (1, None))
    return f"{one:>11,.0f}{default:>11,.0f}{ratio:>8.2f}  {verdict(ratio <= MOST_TIME)}"


def calls_of_two(name: str, threads: str, seconds: float) -> int:
    """Calls that two processes of this program make side by side."""
    command = [sys.executable, "-m", "benchmarks.busy", "--count", name, threads, str(seconds)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
        for _ in range(2)
    ]
    return sum(int(process.communicate()[0]) for process in both)


def count(name: str, threads: int | None, seconds: float) -> int:
    """Calls in the time that begins once the other process has surely started."""
    run = case(name, threads)
    end = time.perf_counter() + 1
    while time.perf_counter() < end:
        run()
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        run()
        calls += 1
    return calls


def verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def report(blocks: int, seconds: float) -> None:
    """Print one line per place and workload."""
    print(f"{os.cpu_count()} processors; one first-order meta-gradient, us")
    print(f"{'':<18}{'':<8}{'one thread':>11}{'default':>11}{'ratio':>8}  bar {MOST_TIME}")
    for busy in (0, 1, 2):
        with neighbours(busy):
            for name in NAMES:
                line = compare(mean, name, blocks, seconds)
                print(f"{f'{busy} neighbours':<18}{name:<8}{line}", flush=True)
    for name in NAMES:
        line = compare(after_product, name, blocks, 4 * seconds)
        print(f"{'after a product':<18}{name:<8}{line}", flush=True)
    print(f"\ncalls of two processes in {seconds:g} s; bar {LEAST_CALLS}")
    for name in NAMES:
        pairs = [
            [calls_of_two(name, threads, seconds) for threads in ("1", "default")]
            for _ in range(max(1, blocks // 2))
        ]
        one, default = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(d / o for o, d in pairs)
        met = verdict(ratio >= LEAST_CALLS)
        print(f"{'two processes':<18}{name:<8}{one:>11,.0f}{default:>11,.0f}{ratio:>8.2f}  {met}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a block")
    parser.add_argument("--count", nargs=3, metavar=("NAME", "THREADS", "SECONDS"), help="internal")
    given = parser.parse_args()
    if given.count is None:
        report(given.blocks, given.seconds)
        return
    name, threads, seconds = given.count
    print(count(name, None if threads == "default" else int(threads), float(seconds)))


if __name__ == "__main__":
    main()
