"""Tables of ours beside ours: threads, float64, instruction sets, first gradient, calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks import first_gradient
from benchmarks.harness import Record
from benchmarks.tables import microseconds, spread, table, verdict
from benchmarks.workloads import WORKLOADS

THREADS = "threads"
FLOAT64 = "float64"
CALLS = "calls"
ISA = "isa"
FIRST_GRADIENT = "first gradient"

LEAST_SPEEDUP = 1.85
"""All threads over one, asked for two threads."""
LEAST_SHARE = 0.8
"""Share of its own peak that float64 or a lesser ISA must reach, of what the best reaches."""
MOST_MICROSECONDS = {"adapt of edge-1": 8.0}
"""Bars of single calls. Those of a network 1-1 compute next to nothing: what they take bounds the
overhead of a call from above, and 2.5 µs over the core's own time is asked."""


def threads_table(records: Sequence[Record]) -> str:
    """All threads over one."""
    rows = []
    for record in records:
        many = next(n for n in record.times if n != "1")
        ratio = record.ratio("1", to=many)
        rows.append(
            (
                record.workload,
                record.order,
                microseconds(record.seconds("1")),
                microseconds(record.seconds(many)),
                f"{ratio:.2f}",
                verdict(ratio, LEAST_SPEEDUP if many == "2" else None),
                spread(record.ratios("1", to=many)),
            )
        )
    head = "workload,order,one thread µs,all threads µs,speedup,bar,per block"
    return table(head.split(","), rows)


def float64_table(records: Sequence[Record], peak: float) -> str:
    """The share of the peak in both precisions, and their quotient."""
    rows = []
    for record in records:
        nominal = WORKLOADS[record.workload].flops(record.order) / 1e9
        single = nominal / record.seconds("float32") / peak
        double = nominal / record.seconds("float64") / (peak / 2)
        # per block: (n / t64 / (p/2)) / (n / t32 / p) = 2 t32 / t64
        quotients = [2 * r for r in record.ratios("float32", to="float64")]
        quotient = 2 * record.ratio("float32", to="float64")
        rows.append(
            (
                record.workload,
                record.order,
                microseconds(record.seconds("float64")),
                f"{double:.0%}",
                f"{single:.0%}",
                f"{quotient:.2f}",
                verdict(quotient, LEAST_SHARE),
                spread(quotients),
            )
        )
    head = "workload,order,float64 µs,of its peak,float32 of its,quotient,bar,per block"
    return table(head.split(","), rows)


def calls_table(records: Sequence[Record]) -> str:
    """Single calls in microseconds."""
    rows = [
        (
            name,
            f"{record.seconds(name) * 1e6:.2f}",
            verdict(record.seconds(name) * 1e6, MOST_MICROSECONDS.get(name), at_most=True),
            spread(t * 1e6 for t in times),
        )
        for record in records
        for name, times in record.times.items()
    ]
    return table(("call", "µs", "bar", "µs per block"), rows)


def isa_table(notes: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Every instruction set's share of its own peak beside the best set's."""
    rows = [
        (
            workload,
            isa["isa"],
            f"{isa['peak_gflops']:.0f}",
            microseconds(sorted(isa["seconds"])[len(isa["seconds"]) // 2]),
            f"{isa['of_peak']:.0%}",
            f"{isa['of_peak'] / isas[0]['of_peak']:.2f}",
            verdict(isa["of_peak"] / isas[0]["of_peak"], LEAST_SHARE) if isa != isas[0] else "–",
            isa["discarded"],
        )
        for workload, isas in notes.items()
        for isa in isas
    ]
    head = "workload,ISA,its FMA peak,µs,of its peak,quotient to the best ISA,bar,discarded"
    return table(head.split(","), rows)


def first_gradient_table(notes: Mapping[str, Mapping[str, float]]) -> str:
    """Seconds to the first gradient in a new process."""
    names = list(dict.fromkeys(name for seconds in notes.values() for name in seconds))
    rows = [
        (
            workload,
            *(f"{seconds[name]:.2f}" if name in seconds else "–" for name in names),
            verdict(seconds[first_gradient.OURS], first_gradient.LIMIT, at_most=True),
        )
        for workload, seconds in notes.items()
    ]
    return table(["workload", *(f"{name} s" for name in names), "bar"], rows)


def sections(records: Sequence[Record], machine: Mapping[str, Any]) -> Iterator[str]:
    """Whatever of it was measured."""
    by_kind = {k: [r for r in records if r.kind == k] for k in (THREADS, FLOAT64, CALLS)}
    if by_kind[THREADS]:
        yield "All threads over one:\n\n" + threads_table(by_kind[THREADS])
    if by_kind[FLOAT64]:
        tables = float64_table(by_kind[FLOAT64], machine["peak_gflops"])
        yield "float64 beside float32, each of its own peak:\n\n" + tables
    if by_kind[CALLS]:
        yield "Single calls:\n\n" + calls_table(by_kind[CALLS])
    notes = machine.get("notes", {})
    if ISA in notes:
        yield "Instruction sets, first order:\n\n" + isa_table(notes[ISA])
    if FIRST_GRADIENT in notes:
        title = "Seconds to the first first-order gradient in a new process, import included:"
        yield f"{title}\n\n" + first_gradient_table(notes[FIRST_GRADIENT])
