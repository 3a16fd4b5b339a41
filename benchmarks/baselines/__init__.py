"""The peers, each written as its own users would write it at its best.

To add one: a module with ``build(workload, order, ...) -> Case`` and a line in `PEERS`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.workloads import Array, Workload

Answer = dict[str, Array]
"""Named flat arrays: ``loss`` and ``gradient`` of a meta-gradient, or ``hvp``."""


@dataclass(frozen=True)
class Case:
    """A computation ready to be timed, and how to read what it returned."""

    run: Callable[[], Any]
    """Blocks until the result is there."""
    answer: Callable[[Any], Answer]


@dataclass(frozen=True)
class Peer:
    """Where a peer is, what it needs, and whether it compiles for seconds before it runs."""

    name: str
    module: str
    requires: str
    options: dict[str, Any] = field(default_factory=dict)
    compiles_slowly: bool = False

    @property
    def installed(self) -> bool:
        """Whether its library can be imported."""
        return importlib.util.find_spec(self.requires) is not None

    def load(self) -> Any:
        """Import the module of this peer."""
        return importlib.import_module(f"{__name__}.{self.module}")

    def build(self, workload: Workload, order: str) -> Case:
        """Prepare `order` ("first", "exact" or "hvp") of `workload`."""
        case: Case = self.load().build(workload, order, **self.options)
        return case


PEERS = (
    Peer("numpy", "numpy_batched", "numpy"),
    Peer("torch", "torch_func", "torch"),
    Peer("torch.compile", "torch_func", "torch", {"compiled": True}, compiles_slowly=True),
    Peer("jax", "jax_jit", "jax"),
)
