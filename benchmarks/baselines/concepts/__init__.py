"""The peers of `benchmarks.concepts`: one file per peer and concept, ``<peer>_<concept>.py``.

Each has ``build(workload, ...) -> Case``. To add a peer: its files and a line in `CONCEPT_PEERS`. A
concept that a peer has no file for is measured without that peer.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass, field
from typing import Any

from benchmarks.baselines import Case
from benchmarks.workloads import Workload


@dataclass(frozen=True)
class ConceptPeer:
    """A library, or two of them, with a module for every concept."""

    name: str
    prefix: str
    requires: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    compiles_slowly: bool = False

    @property
    def missing(self) -> list[str]:
        """Libraries that cannot be imported."""
        return [name for name in self.requires if importlib.util.find_spec(name) is None]

    def offers(self, concept: str) -> bool:
        """Whether it has a file for `concept`: TorchOpt descends, it solves for no head."""
        return importlib.util.find_spec(f"{__name__}.{self.prefix}_{concept}") is not None

    def build(self, workload: Workload, concept: str) -> Case:
        """Prepare `concept` on `workload`."""
        module = importlib.import_module(f"{__name__}.{self.prefix}_{concept}")
        case: Case = module.build(workload, **self.options)
        return case


CONCEPT_PEERS = (
    ConceptPeer("jax", "jax", ("jax", "optax", "jaxopt")),
    ConceptPeer("torch.compile", "torch", ("torch",), {"compiled": True}, compiles_slowly=True),
    ConceptPeer("torchopt", "torchopt", ("torch", "torchopt")),
)
