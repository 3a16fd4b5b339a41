"""Tables of the concepts beyond MAML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.concepts import BARS
from benchmarks.harness import OURS, Record
from benchmarks.tables import microseconds, spread, table, verdict

CONCEPT = "concept"
AGAINST_OURSELVES = "against ourselves"

MOST_ADAM_OVER_SGD = 1.5
LEAST_MAML_OVER_ANIL = 2.0


def concepts_table(records: Sequence[Record]) -> str:
    """Ours against every peer; without ours (not built yet) the peers alone."""
    rows = []
    for record in records:
        measured = OURS in record.times
        best = record.peers[0] if measured else ""
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
                    verdict(ratio, BARS[record.workload]) if ratio and name == best else "–",
                    "" if ratio is None else spread(record.ratios(name)),
                    record.discarded.get(name, "0"),
                )
            )
    head = "concept,workload,library,µs,first call s,ratio to ours,bar,per block,discarded"
    return table(head.split(","), rows)


def ourselves_table(records: Sequence[Record]) -> str:
    """Adam over SGD, MAML over ANIL: all ours, all exact."""
    rows = []
    for record in records:
        for dear, cheap, bar, at_most in (
            ("adam", "maml", MOST_ADAM_OVER_SGD, True),
            ("maml", "anil", LEAST_MAML_OVER_ANIL, False),
        ):
            ratio = record.ratio(dear, to=cheap)
            label = "at most" if at_most else "at least"
            rows.append(
                (
                    record.workload,
                    f"{dear} over {cheap}",
                    f"{ratio:.2f}",
                    f"{label} {verdict(ratio, bar, at_most)}",
                    spread(record.ratios(dear, to=cheap)),
                )
            )
    return table(("workload", "time of", "ratio", "bar", "per block"), rows)


def sections(records: Sequence[Record]) -> Iterator[str]:
    """Whatever of it was measured."""
    if some := [r for r in records if r.kind == CONCEPT]:
        yield "Beyond MAML:\n\n" + concepts_table(some)
    if some := [r for r in records if r.kind == AGAINST_OURSELVES]:
        yield "Against ourselves, exact:\n\n" + ourselves_table(some)
