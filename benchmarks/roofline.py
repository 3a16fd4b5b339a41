"""What limits each workload, from its shapes: ``python -m benchmarks.roofline`` prints the table.

A model, not a measurement. For every workload and order it counts what a call must do of each kind,
divides by what the machine can do of that kind, and names the longest. The terms:

* **operations**: nominal, and executed by the engine of the cost model (`benchmarks.operations`);
  over the FMA peak.
* **memory**: what must cross from or to the user's arrays once: parameters, rows, the result (HVP:
  a vector and a result per task); over the bandwidth of memory.
* **cache**: weights that each pass of each task or group of tasks reads, and writes after a step,
  W and Wᵀ in Rows; over the bandwidth of the second-level cache, unless the first level holds them.
* **functions**: activations and softmax, in registers; over their measured rate.
* **call**: what a call costs with nothing to compute.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.operations import executed, is_dual
from benchmarks.tables import table
from benchmarks.workloads import ORDERS, WORKLOADS, Workload

FLOAT = 4
FIRST_LEVEL = 32e3
"""Bytes of the first-level cache."""
LANES_WIDEST, LANES_BYTES, LANES_USE = 48, 400e3, 0.7
"""The cost model's bounds in round numbers (cpp/src/engines/lanes/cost.cpp)."""


@dataclass(frozen=True)
class Machine:
    """Rates of all threads together; the defaults are machine B of docs/measurements.md."""

    gflops: float = 180.0
    memory: float = 20.0
    """GB/s."""
    cache: float = 160.0
    """GB/s of the second level: 32 bytes a cycle and core at most; half of it sustained."""
    tanh: float = 6.5
    """10⁹ a second: 0.31 ns an element with 8 lanes, over two threads."""
    relu: float = 40.0
    exp: float = 4.0
    call: float = 4.0
    """µs."""
    vector_bytes: int = 32


def engine(workload: Workload, lanes: int) -> str:
    """The engine that the cost model takes."""
    use = workload.tasks / (-(-workload.tasks // lanes) * lanes)
    fits = parameters(workload) * lanes * FLOAT <= LANES_BYTES
    narrow = max(workload.sizes) <= LANES_WIDEST
    return "lanes" if fits and narrow and use >= LANES_USE else "rows"


def parameters(workload: Workload) -> int:
    sizes = workload.sizes
    return sum((i + 1) * o for i, o in pairwise(sizes))


def passes(workload: Workload, order: str) -> tuple[int, int]:
    """Times that a task's weights are read, and written."""
    steps = workload.steps
    if order == "hvp":
        return 4, 0  # forward and backward; with v and W again for the R-operator
    reads, writes = 2 * steps + 2, steps
    return (reads + 4 * steps, writes + 2 * steps) if order == "exact" else (reads, writes)


def memory_bytes(workload: Workload, order: str) -> int:
    """Bytes that cross from or to the user's arrays, once each."""
    row = workload.sizes[0] + (1 if workload.loss == "cross_entropy" else workload.sizes[-1])
    rows = workload.support + (0 if order == "hvp" else workload.query)
    results = 2 * workload.tasks + 1 if order == "hvp" else 2
    return FLOAT * (workload.tasks * rows * row + results * parameters(workload))


def cache_bytes(workload: Workload, order: str, lanes: int) -> int:
    """Bytes of weights that stream past a core; 0 where its first-level cache holds them."""
    chosen, sizes = engine(workload, lanes), workload.sizes
    weights = parameters(workload)
    if is_dual(workload, order, chosen):
        weights -= sizes[0] * sizes[1]
    if chosen == "lanes":
        streams, working = -(-workload.tasks // lanes) * lanes, weights * lanes * FLOAT
    else:
        streams, working = workload.tasks, 2 * weights * FLOAT
    if working <= FIRST_LEVEL:
        return 0
    reads, writes = passes(workload, order)
    copies = 2 if chosen == "rows" else 1  # Rows writes Wᵀ beside W
    return FLOAT * streams * weights * (reads + copies * writes)


def functions(workload: Workload, order: str, machine: Machine) -> float:
    """Microseconds of activations, and of the softmax."""
    hidden, outputs = sum(workload.sizes[1:-1]), workload.sizes[-1]
    support = workload.support * (1 if order == "hvp" else workload.steps)
    rows = workload.tasks * (support + (0 if order == "hvp" else workload.query))
    rate = machine.tanh if workload.activation == "tanh" else machine.relu
    softmax = rows * outputs / machine.exp if workload.loss == "cross_entropy" else 0.0
    return (rows * hidden / rate + softmax) / 1e3


def terms(workload: Workload, order: str, machine: Machine) -> dict[str, float]:
    """Microseconds that each kind of work takes at best."""
    lanes = machine.vector_bytes // FLOAT
    done = executed(workload, order, engine(workload, lanes), lanes)
    return {
        "arithmetic": done / machine.gflops / 1e3,
        "memory": memory_bytes(workload, order) / machine.memory / 1e3,
        "cache": cache_bytes(workload, order, lanes) / machine.cache / 1e3,
        "functions": functions(workload, order, machine),
        "call": machine.call,
    }


def rows(machine: Machine) -> Iterator[tuple[str, ...]]:
    """One line per workload and order."""
    lanes = machine.vector_bytes // FLOAT
    for workload in WORKLOADS.values():
        chosen = engine(workload, lanes)
        for order in ORDERS:
            cost = terms(workload, order, machine)
            crossing, nominal = memory_bytes(workload, order), workload.flops(order)
            done = executed(workload, order, chosen, lanes)
            first, second = sorted(cost, key=lambda k: -cost[k])[:2]
            near = f", {second}" if cost[second] > 0.5 * cost[first] else ""
            yield (
                workload.name,
                order,
                chosen + (" (dual)" if is_dual(workload, order, chosen) else ""),
                f"{nominal / 1e6:,.2f}",
                f"{done / 1e6:,.2f}",
                f"{crossing / 1e3:,.0f}",
                f"{cache_bytes(workload, order, lanes) / 1e3:,.0f}",
                f"{done / crossing:,.0f}",
                *(f"{cost[k]:,.1f}" for k in ("arithmetic", "memory", "cache", "functions")),
                first + near,
            )


def render(machine: Machine) -> str:
    """The table, markdown."""
    head = (
        "workload,order,engine,MFLOP nominal,executed,memory kB,cache kB,FLOP/byte,"
        "arithmetic µs,memory µs,cache µs,functions µs,limit"
    )
    return table(head.split(","), rows(machine))


def main() -> None:
    defaults = Machine()
    parser = argparse.ArgumentParser(description="Print what limits each workload.")
    parser.add_argument("--gflops", type=float, default=defaults.gflops)
    parser.add_argument("--memory", type=float, default=defaults.memory, help="GB/s")
    parser.add_argument("--cache", type=float, default=defaults.cache, help="GB/s, second level")
    parser.add_argument("--vector-bytes", type=int, default=defaults.vector_bytes)
    print(render(Machine(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
