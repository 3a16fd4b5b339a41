"""Operations that an engine executes, from shapes alone; a multiply-add is two.

`Workload.flops` is nominal: what the textbook needs, the same for everybody. An engine departs from
it by padding and by short cuts, and says itself what it executes (`Engine::work` in
cpp/src/engines/engine.hpp).
"""

from __future__ import annotations

from benchmarks.workloads import Workload
from fomaml_fast._loader import core


def _work(workload: Workload, order: str, engine: str, lanes: int) -> tuple[float, bool]:
    every = core.engine_work(
        order,
        list(workload.sizes),
        workload.tasks,
        workload.support,
        workload.query,
        workload.steps,
        lanes,
    )
    return every[engine]


def is_dual(workload: Workload, order: str, engine: str) -> bool:
    """Whether the engine never forms the adapted first layer here."""
    return _work(workload, order, engine, 1)[1]


def executed(workload: Workload, order: str, engine: str, lanes: int) -> int:
    """Operations of one call.

    Parameters
    ----------
    workload, order
        What is computed; `order` is "first", "exact" or "hvp".
    engine : str
        One of ``build_info()["engines"]``.
    lanes : int
        Numbers in a vector.
    """
    return round(_work(workload, order, engine, lanes)[0])
