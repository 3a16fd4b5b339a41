"""Operations that the engine in use executes, from shapes alone; a multiply-add is two.

`Workload.flops` is nominal: what the textbook needs, the same for everybody. An engine departs from
it in three ways, and all three are counted here.

* Padding: Rows rounds the columns of a product up to whole vectors, Lanes the number of tasks.
* The R-operator skips what is zero: the inputs do not move, so layer 0 has one product where the
  nominal count doubles it.
* The dual first layer of Rows forms ``X W_0`` once and then works in the span of the K support rows
  (cpp/src/engines/rows/dual.hpp): K × K products instead of n_0 × n_1.

Elementwise work (activations, losses, updates of biases) is in neither count.
"""

from __future__ import annotations

from itertools import pairwise

from benchmarks.workloads import Workload

WIDE_INPUT = 8
"""Rows takes the dual first layer if there are this many inputs to a support row."""


def is_dual(workload: Workload, order: str, engine: str) -> bool:
    """Whether Rows never forms the adapted first layer here."""
    wide = workload.sizes[0] >= WIDE_INPUT * workload.support
    return engine == "rows" and order != "hvp" and workload.steps > 0 and wide


class _Products:
    """Multiply-adds per row of data of one network in one engine."""

    def __init__(self, sizes: tuple[int, ...], columns: int) -> None:
        def padded(n: int) -> int:
            return -(-n // columns) * columns

        self.padded = padded
        self.first = sizes[0] * padded(sizes[1])
        shapes = list(pairwise(sizes))
        self.forward = [i * padded(o) for i, o in shapes]  # H W, and Hᵀ D
        self.backward = [o * padded(i) for i, o in shapes]  # D Wᵀ

    def gradient(self, start: int = 0) -> int:
        """Forward, weight gradient and input gradient of the layers from `start` on."""
        return 2 * sum(self.forward[start:]) + sum(self.backward[max(start, 1) :])

    def hvp(self) -> int:
        """What the R-operator adds to a gradient: two products for each, but one at the inputs."""
        return 2 * self.gradient() - 2 * self.first


def executed(workload: Workload, order: str, engine: str, lanes: int) -> int:
    """Operations of one call.

    Parameters
    ----------
    workload, order
        What is computed; `order` is "first", "exact" or "hvp".
    engine : str
        "rows", "lanes" or "reference" (which pads nothing).
    lanes : int
        Numbers in a vector.
    """
    net = _Products(workload.sizes, lanes if engine == "rows" else 1)
    tasks = -(-workload.tasks // lanes) * lanes if engine == "lanes" else workload.tasks
    K, Q, S = workload.support, workload.query, workload.steps
    if is_dual(workload, order, engine):
        return 2 * tasks * _dual(net, workload, order == "exact")
    if order == "hvp":
        return 2 * tasks * K * (net.gradient() + net.hvp())
    per_step = net.gradient() + (net.hvp() if order == "exact" else 0)
    return 2 * tasks * (S * K * per_step + Q * net.gradient())


def _dual(net: _Products, workload: Workload, exact: bool) -> int:
    """Multiply-adds of one task whose first layer is dual."""
    K, Q, S = workload.support, workload.query, workload.steps
    inputs, width = workload.sizes[0], net.padded(workload.sizes[1])
    upper = net.gradient(1)
    span = K * width  # one row times the K × n_1 matrix of summed deltas
    total = (K + Q) * (net.first + inputs * net.padded(K))  # X W_0, and X X_sᵀ
    total += (S - 1) * K * span  # support rows after the first step
    total += S * K * upper
    total += Q * (span + upper + net.first)  # query rows, and X_qᵀ D_q
    if exact:
        total += Q * span + K * net.first  # into the span, and X_sᵀ R out of it
        total += S * K * (span + 2 * upper)
    return total
