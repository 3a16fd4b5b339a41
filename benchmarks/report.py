"""Render what the benchmarks measured: ``python -m benchmarks.report result.json``."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks import report_concepts, report_variants
from benchmarks.harness import HELD_UP, OURS, Record
from benchmarks.tables import microseconds, spread, table, verdict
from benchmarks.workloads import ORDERS, WORKLOADS

SINUSOID = "sinusoid"
"""Name of the training slice, which has no bar and its own table."""


def ratios_table(records: Sequence[Record], peak: float) -> str:
    """Ours against the strongest peer and against the machine, the bar beside it.

    The share of the peak is given twice: of the operations that the textbook needs, and of those
    that the engine in use executes (`benchmarks.operations`). The last column is the share of the
    peak at which those would have to run for the bar to be met.
    """
    rows = []
    for record in records:
        workload, best = WORKLOADS[record.workload], record.peers[0]
        ratio, nominal = record.ratio(best), workload.flops(record.order)
        executed, bar = record.facts["executed"], workload.bar(record.order)
        share = executed / record.ours / 1e9 / peak
        rows.append(
            (
                record.workload,
                record.order,
                record.facts["engine"],
                microseconds(record.ours),
                best,
                microseconds(record.seconds(best)),
                f"{ratio:.2f}",
                verdict(ratio, bar),
                f"{nominal / 1e6:,.2f}",
                f"{nominal / record.ours / 1e9 / peak:.0%}",
                f"{executed / 1e6:,.2f}",
                f"{share:.0%}",
                "–" if bar is None else f"{share * bar / ratio:.0%}",
            )
        )
    head = "workload,order,engine,ours µs,best peer,its µs,ratio,bar,MFLOP nominal,of peak"
    return table([*head.split(","), "executed", "of peak", "bar needs"], rows)


def blocks_table(records: Sequence[Record]) -> str:
    """Every block of every peer, what compiling cost, and which calls were discarded."""
    rows = [
        (
            record.workload,
            record.order,
            peer,
            microseconds(record.seconds(peer)),
            f"{record.first_calls.get(peer, 0.0):.2f}",
            f"{record.ratio(peer):.2f}",
            spread(record.ratios(peer)),
            f"{record.discarded.get(OURS, '0')}, {record.discarded.get(peer, '0')}",
        )
        for record in records
        for peer in record.peers
    ]
    head = "workload,order,peer,its µs,first call s,ratio,ratio per block"
    return table([*head.split(","), "discarded: ours, its"], rows)


def sinusoid_table(records: Sequence[Record], iterations: int, per_call: int) -> str:
    """What a whole sinusoid training costs, from the slice measured."""
    calls = iterations / per_call
    rows = []
    for record in records:
        for name, times in record.times.items():
            total, ratio = statistics.median(times) * calls, record.ratio(name)
            blocks = spread(record.ratios(name))
            rows.append((record.order, name, f"{total:,.1f}", f"{ratio:.2f}", blocks))
    head = f"gradient,library,s for {iterations} iterations,ratio to ours,ratio per block"
    return table(head.split(","), rows)


def summary(records: Sequence[Record]) -> Iterable[str]:
    """One line per order: how often ours wins, how many bars are met, the geometric mean."""
    for order in ORDERS:
        ratios = {r.workload: r.ratio(r.peers[0]) for r in records if r.order == order}
        if not ratios:
            continue
        bars = {w: bar for w in ratios if (bar := WORKLOADS[w].bar(order)) is not None}
        met = sum(ratios[w] >= bar for w, bar in bars.items())
        yield (
            f"{order}: at least as fast as the best peer on {sum(r >= 1 for r in ratios.values())} "
            f"of {len(ratios)}, {met} of {len(bars)} bars met, "
            f"geometric mean {statistics.geometric_mean(ratios.values()):.2f} ×"
        )


def render(records: Sequence[Record], machine: dict[str, Any]) -> str:
    """The whole report, markdown."""
    loop = machine["fma_gflops"]
    parts = [
        f"Peak at {machine['threads']} threads, float32: "
        + ("no FMA loop in this build" if loop is None else f"FMA loop {loop:.0f} GFLOP/s")
        + f", sgemm {machine['sgemm_gflops']:.0f}, dgemm {machine['dgemm_gflops']:.0f} GFLOP/s "
        f"(kernel {machine['blas_kernel']}). Ratios are medians over interleaved blocks; a call of "
        f"over {HELD_UP} times its block's median is discarded and counted."
    ]
    main = [r for r in records if r.kind == "workload"]
    if main:
        parts += [ratios_table(main, machine["peak_gflops"]), "  \n".join(summary(main))]
        parts.append(blocks_table(main))
    slices = [r for r in records if r.kind == SINUSOID]
    if slices:
        parts.append(sinusoid_table(slices, machine["iterations"], machine["per_call"]))
    parts += report_variants.sections(records, machine)
    parts += report_concepts.sections(records)
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the tables of a benchmark result.")
    parser.add_argument("result", help="file written by pytest benchmarks/ --benchmark-json=FILE")
    with open(parser.parse_args().result, encoding="utf-8") as file:
        result = json.load(file)
    infos = [b["extra_info"] for b in result["benchmarks"]]
    records = [Record(**info) for info in infos if "times" in info]
    if not records:
        raise SystemExit("no timings in this file: was it written with --benchmark-disable?")
    print(render(records, result["machine_info"]["fomaml_fast"]))


if __name__ == "__main__":
    main()
