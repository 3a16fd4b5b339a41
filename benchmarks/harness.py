"""Interleaved timing: every contender runs in every block, and only times of one block are divided.

A drifting clock, a neighbour or a warm cache then touches both sides of a ratio. Within a block the
median over calls is taken; no sample is discarded. Compilation and warm-up stay outside.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Run = Callable[[], object]

OURS = "fomaml_fast"
LEAST_CALLS = 5
WARM_UP = 2


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that one call took, and what it returned."""
    start = time.perf_counter()
    output = run()
    return time.perf_counter() - start, output


def block(run: Run, seconds: float) -> float:
    """Median seconds of a call, over calls filling `seconds` (at least `LEAST_CALLS`)."""
    for _ in range(WARM_UP):
        run()
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while len(samples) < LEAST_CALLS or time.perf_counter() < end:
        samples.append(timed(run)[0])
    return statistics.median(samples)


def interleave(runs: Mapping[str, Run], blocks: int, seconds: float) -> dict[str, list[float]]:
    """Block medians in seconds of every contender; every second block runs in reverse order."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(blocks):
        for name in list(runs)[:: -1 if i % 2 else 1]:
            times[name].append(block(runs[name], seconds))
    return times


@dataclass(frozen=True)
class Record:
    """What one workload and order measured; plain data, so that it survives a trip through JSON."""

    workload: str
    order: str
    times: dict[str, list[float]]
    """Block medians in seconds, ours under `OURS`."""
    first_calls: dict[str, float] = field(default_factory=dict)
    """Seconds until the first answer of a peer: compilation."""

    @property
    def ours(self) -> float:
        """Seconds of our call: the median over blocks."""
        return statistics.median(self.times[OURS])

    def ratios(self, peer: str) -> list[float]:
        """Per block, how many times as long as ours the peer took."""
        return [t / o for t, o in zip(self.times[peer], self.times[OURS], strict=True)]

    def ratio(self, peer: str) -> float:
        """The median of `ratios`."""
        return statistics.median(self.ratios(peer))

    @property
    def peers(self) -> list[str]:
        """Peers measured, the strongest first."""
        return sorted(self.times.keys() - {OURS}, key=self.ratio)
