"""Tables of the concepts beyond MAML."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.concepts import CONCEPTS
from benchmarks.harness import OURS, Record
from benchmarks.tables import microseconds, spread, table, verdict

CONCEPT = "concept"
OURSELVES = "against ourselves"
ONLINE = "online"


@dataclass(frozen=True)
class Pair:
    """Two of ours (concepts or orders), and the bar of the quotient of their times."""

    dear: str
    cheap: str
    bar: float
    at_most: bool


AGAINST_OURSELVES = {
    "sine-1": (Pair("head", "first", 3.0, at_most=True),),
    "robot-5": (
        Pair("adam", "exact", 1.5, at_most=True),
        Pair("exact", "anil", 2.0, at_most=False),
    ),
}
"""What is compared, by workload."""

MOST_MICROSECONDS_A_ROW = 2.0
"""Of one row into or out of a posterior, in the core."""


def concepts_table(records: Sequence[Record]) -> str:
    """Ours against every peer; without ours (not built yet) the peers alone."""
    rows = []
    for record in records:
        measured = OURS in record.times
        best = record.peers[0] if measured else ""
        bars = CONCEPTS[record.order].bars
        for name in [OURS, *record.peers] if measured else record.times:
            ratio = record.ratio(name) if measured and name != OURS else None
            rows.append(
                (
                    record.order,
                    record.workload,
                    name,
                    microseconds(record.seconds(name)),
                    f"{record.first_calls.get(name, 0.0):.2f}",
                    "–" if ratio is None else f"{ratio:.2f}",
                    verdict(ratio, bars[record.workload]) if ratio and name == best else "–",
                    "" if ratio is None else spread(record.ratios(name)),
                    record.discarded.get(name, "0"),
                )
            )
    head = "concept,workload,library,µs,first call s,ratio to ours,bar,per block,discarded"
    return table(head.split(","), rows)


def ourselves_table(records: Sequence[Record]) -> str:
    """The pairs of `AGAINST_OURSELVES`."""
    rows = []
    for record in records:
        for pair in AGAINST_OURSELVES[record.workload]:
            ratio = record.ratio(pair.dear, to=pair.cheap)
            label = "at most" if pair.at_most else "at least"
            rows.append(
                (
                    record.workload,
                    f"{pair.dear} over {pair.cheap}",
                    microseconds(record.seconds(pair.dear)),
                    microseconds(record.seconds(pair.cheap)),
                    f"{ratio:.2f}",
                    f"{label} {verdict(ratio, pair.bar, pair.at_most)}",
                    spread(record.ratios(pair.dear, to=pair.cheap)),
                )
            )
    return table(("workload", "time of", "µs", "over µs", "ratio", "bar", "per block"), rows)


def online_table(records: Sequence[Record]) -> str:
    """A row in the core: a call on many rows less a call on one, over the rows between."""
    rows = []
    for record in records:
        for what in dict.fromkeys(name.split(",")[0] for name in record.times):
            one, many = (record.times[f"{what}, {n}"] for n in ("one row", "many rows"))
            between = record.facts["rows"] - 1
            per_row = [(m - o) / between * 1e6 for o, m in zip(one, many, strict=True)]
            found = statistics.median(per_row)
            call = record.seconds(f"{what}, from Python") * 1e6
            bar = verdict(found, MOST_MICROSECONDS_A_ROW, at_most=True)
            rows.append(
                (record.workload, what, f"{found:.2f}", bar, spread(per_row), f"{call:.1f}")
            )
    head = "workload,one row,µs in the core,at most,per block,µs of a call from Python"
    return table(head.split(","), rows)


def sections(records: Sequence[Record]) -> Iterator[str]:
    """Whatever of it was measured."""
    if some := [r for r in records if r.kind == CONCEPT]:
        yield "Beyond MAML:\n\n" + concepts_table(some)
    if some := [r for r in records if r.kind == OURSELVES]:
        yield "Against ourselves:\n\n" + ourselves_table(some)
    if some := [r for r in records if r.kind == ONLINE]:
        yield "One row of a head's posterior:\n\n" + online_table(some)
