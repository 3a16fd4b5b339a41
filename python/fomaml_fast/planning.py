"""What a call would do: which engine computes it and why, with how many threads and bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from fomaml_fast._arrays import one_of
from fomaml_fast._loader import core
from fomaml_fast.algorithm import Algorithm, as_algorithm, as_network, uses_custom
from fomaml_fast.batch import TaskBatch
from fomaml_fast.network import MLP

Operation = Literal["meta_grad", "adapt", "predict", "input_vjp", "input_jvp", "jet"]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)


@dataclass(frozen=True)
class EnginePlan:
    """One engine's part in a `Plan`."""

    name: str  #: one of ``build_info()["engines"]``
    unsupported: str | None  #: why it cannot compute the call, in words; None if it can
    cost: float  #: estimated, relative to the other engines only


@dataclass(frozen=True)
class Plan:
    """What one call would do; printed, a table of the engines."""

    operation: Operation  #: as in `plan`
    engine: str | None  #: the one that computes it; None if the forced one cannot
    forced: bool  #: whether an engine was forced (FOMAML_FAST_ENGINE), so that costs do not count
    engines: tuple[EnginePlan, ...]  #: all of them, in registry order
    threads: int  #: that would run now: few where waking the others costs more than they save
    workspace_bytes: int  #: of working memory, reused from call to call
    #: floating-point operations of the matrix products, nominally: as if all layers adapted, and
    #: without those of conjugate gradients, whose number only the run shows
    operations: float

    def __str__(self) -> str:
        """The choice and its reason, then a line an engine."""
        if self.engine is None:
            choice = "no engine: the forced one cannot"
        else:
            choice = f"{self.engine}, {'forced' if self.forced else 'the least estimated cost'}"
        lines = [
            f"{self.operation}: {choice}",
            f"  threads {self.threads}, workspace {self.workspace_bytes:,} bytes, "
            f"{self.operations:,.0f} operations",
        ]
        for engine in self.engines:
            mark = "*" if engine.name == self.engine else " "
            note = f"cost {engine.cost:.2f}"
            if engine.unsupported is not None:
                note = f"cannot: {engine.unsupported}"
            lines.append(f"  {mark} {engine.name:<10}{note}")
        return "\n".join(lines)


def plan(
    net: MLP,
    batch: TaskBatch,
    algorithm: Algorithm,
    *,
    operation: Operation = "meta_grad",
    threads: int | None = None,
) -> Plan:
    """Say what a call would do, without doing it.

    The engine depends on shapes, dtype and algorithm, never on threads.

    Parameters
    ----------
    net : MLP
        The network.
    batch : TaskBatch
        The tasks.
    algorithm : Algorithm
        How a task adapts, and how the gradient flows back.
    operation : {"meta_grad", "adapt", "predict", "input_vjp", "input_jvp", "jet"}
        The meta-gradient of the batch, which is the default; adaptation to its support sets; or of
        its query rows, each task at parameters of its own: predictions, products with the
        derivative over the inputs, or second-order jets along every input.
    threads : int or None, default None
        As in `meta_grad`.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError, TypeError
        For any argument that does not fit, naming it.

    Examples
    --------
    >>> import fomaml_fast as ff
    >>> batch = ff.samplers.Sinusoid().sample(0, n_tasks=25, k_support=10, k_query=10)
    >>> found = ff.plan(ff.MLP([1, 40, 40, 1], norm="batch"), batch, ff.maml())
    >>> [engine.name for engine in found.engines]
    ['reference', 'rows', 'lanes']
    >>> print(found)
    meta_grad: ...
    """
    one_of(operation, "operation", OPERATIONS)
    as_network(net)
    if not isinstance(batch, TaskBatch):
        raise TypeError(f"batch must be a TaskBatch, got {type(batch).__name__}")
    as_algorithm(algorithm)
    if uses_custom(net, algorithm):
        raise ValueError(
            "net and algorithm must have losses of the core: those written in Python are composed "
            "of calls of their own (MLP.predict, vjp), which no one engine computes"
        )
    engine, forced, n_threads, n_bytes, operations, engines = core.plan(
        operation,
        net._core,
        batch._support,
        batch._query,
        algorithm._core,
        batch.task_weights is not None,
        threads,
    )
    return Plan(
        operation,
        engine or None,
        forced,
        tuple(EnginePlan(*facts) for facts in engines),
        n_threads,
        n_bytes,
        operations,
    )
