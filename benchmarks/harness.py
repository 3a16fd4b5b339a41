"""Interleaved timing: every contender runs in every block, and only times of one block are divided.

A drifting clock, a neighbour or a warm cache then touches both sides of a ratio. The figure of a
block is the median over its calls. A call that took over `HELD_UP` times that median lost its
processor and says nothing about the library. Such calls are discarded for every contender alike,
and the tables show how many. Compilation and warm-up are not timed.
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
HELD_UP = 4
PATIENCE = 4
"""A call that takes longer than this many blocks makes a block of its own."""


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that one call took, and what it returned."""
    start = time.perf_counter()
    output = run()
    return time.perf_counter() - start, output


@dataclass(frozen=True)
class Block:
    """One contender's turn."""

    seconds: float
    """Median of the calls kept."""
    calls: int
    discarded: int


def block(run: Run, seconds: float) -> Block:
    """Time calls that fill `seconds` (at least `LEAST_CALLS`, if they are not very long)."""
    first, _ = timed(run)
    least = LEAST_CALLS if first < PATIENCE * seconds else 1
    for _ in range(WARM_UP - 1 if least > 1 else 0):
        run()
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while len(samples) < least or time.perf_counter() < end:
        samples.append(timed(run)[0])
    limit = HELD_UP * statistics.median(samples)
    kept = [s for s in samples if s <= limit]
    return Block(statistics.median(kept), len(samples), len(samples) - len(kept))


def interleave(runs: Mapping[str, Run], blocks: int, seconds: float) -> dict[str, list[Block]]:
    """Blocks of every contender; every second round runs in reverse order."""
    turns: dict[str, list[Block]] = {name: [] for name in runs}
    for i in range(blocks):
        for name in list(runs)[:: -1 if i % 2 else 1]:
            turns[name].append(block(runs[name], seconds))
    return turns


@dataclass(frozen=True)
class Record:
    """Times of one workload and order, as data that JSON can hold."""

    workload: str
    order: str
    times: dict[str, list[float]]
    """Block medians in seconds, ours under `OURS`."""
    first_calls: dict[str, float] = field(default_factory=dict)
    """Seconds until the first answer of a peer: compilation."""
    discarded: dict[str, str] = field(default_factory=dict)
    """Per contender with discarded calls: calls discarded / calls made, over all blocks."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Further facts: the engine, executed operations."""
    kind: str = "workload"
    """The table that this record belongs to."""

    @classmethod
    def of(
        cls,
        workload: str,
        order: str,
        turns: Mapping[str, list[Block]],
        first_calls: Mapping[str, float] | None = None,
        facts: Mapping[str, Any] | None = None,
        kind: str = "workload",
    ) -> Record:
        """The record of what `interleave` returned."""
        lost = {
            name: f"{gone}/{sum(b.calls for b in blocks)}"
            for name, blocks in turns.items()
            if (gone := sum(b.discarded for b in blocks))
        }
        times = {name: [b.seconds for b in blocks] for name, blocks in turns.items()}
        return cls(workload, order, times, dict(first_calls or {}), lost, dict(facts or {}), kind)

    @property
    def ours(self) -> float:
        """Seconds of our call: the median over blocks."""
        return self.seconds(OURS)

    def seconds(self, who: str) -> float:
        """Seconds of a call: the median over blocks."""
        return statistics.median(self.times[who])

    def ratios(self, peer: str, to: str = OURS) -> list[float]:
        """Per block, how many times as long as ours (or as `to`) the peer took."""
        return [t / o for t, o in zip(self.times[peer], self.times[to], strict=True)]

    def ratio(self, peer: str, to: str = OURS) -> float:
        """The median of `ratios`."""
        return statistics.median(self.ratios(peer, to))

    @property
    def peers(self) -> list[str]:
        """Peers measured, the strongest first."""
        return sorted(self.times.keys() - {OURS}, key=self.ratio)
