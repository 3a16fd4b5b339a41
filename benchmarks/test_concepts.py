"""Adam-exact, ANIL, Meta-SGD, iMAML beside JAX (optax, jaxopt), torch.compile and TorchOpt."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from benchmarks import answers, harness, ours, ours_concepts
from benchmarks.baselines.concepts import CONCEPT_PEERS, ConceptPeer
from benchmarks.concepts import BARS, CONCEPTS, TOLERANCES
from benchmarks.report_concepts import AGAINST_OURSELVES, CONCEPT
from benchmarks.workloads import Workload, only_on


@pytest.mark.parametrize("peer", CONCEPT_PEERS, ids=lambda p: p.name)
def test_concept_peer_is_installed(peer: ConceptPeer) -> None:
    """Shows as skipped which peers the table lacks."""
    if peer.missing:
        pytest.skip(f"{', '.join(peer.missing)} not installed: pip install 'fomaml-fast[bench]'")


@pytest.mark.parametrize("concept", CONCEPTS)
@only_on(*BARS)
def test_concept(workload: Workload, concept: str, timing: bool, race: Any) -> None:
    """All give the answer of PyTorch's float64 derivative; then they are timed in turn.

    Without timing the peers answer on sine-5 alone, and what compiles for minutes nowhere: its
    eager twin is the reference.
    """
    pytest.importorskip("torch")
    twin = importlib.import_module(f"benchmarks.baselines.concepts.torch_{concept}")
    case = twin.build(workload, dtype=np.float64)
    expected = case.answer(case.run())
    assert tuple(expected) == CONCEPTS[concept].answers
    runs, first_calls = {}, {}
    lacking = ours_concepts.missing(concept)
    if lacking is None:
        mine = ours_concepts.build(workload, concept)
        answers.check_case(harness.OURS, mine, expected, TOLERANCES[concept])
        runs[harness.OURS] = mine.run
    for peer in CONCEPT_PEERS:
        left_out = not timing and (peer.compiles_slowly or workload.name != "sine-5")
        if peer.missing or left_out:
            continue
        case = peer.build(workload, concept)
        first_calls[peer.name], output = harness.timed(case.run)
        answers.check(peer.name, case.answer(output), expected, TOLERANCES[concept])
        runs[peer.name] = case.run
    if runs:
        race(workload.name, concept, runs, first_calls, kind=CONCEPT)
    if lacking is not None:
        pytest.skip(f"this build has no {lacking}: the peers agree, ours was not measured")


@only_on("robot-5")
def test_against_ourselves(workload: Workload, race: Any) -> None:
    """An exact gradient costs little more through Adam than SGD; ANIL less than half of MAML."""
    needed = ("adam", "anil")
    if lacking := [m for concept in needed if (m := ours_concepts.missing(concept))]:
        pytest.skip(f"this build has no {', '.join(lacking)}")
    runs = {concept: ours_concepts.build(workload, concept).run for concept in needed}
    runs["maml"] = ours.build(workload, "exact").run
    race(workload.name, "exact", runs, kind=AGAINST_OURSELVES)
