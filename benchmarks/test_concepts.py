"""The concepts beyond MAML beside JAX (optax, jaxopt), torch.compile and TorchOpt."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from benchmarks import answers, harness, online_head, ours, ours_concepts
from benchmarks.baselines.concepts import CONCEPT_PEERS, ConceptPeer
from benchmarks.concepts import CONCEPTS, TOLERANCES
from benchmarks.report_concepts import AGAINST_OURSELVES, CONCEPT, ONLINE, OURSELVES
from benchmarks.workloads import Workload, only_on


@pytest.mark.parametrize("peer", CONCEPT_PEERS, ids=lambda p: p.name)
def test_concept_peer_is_installed(peer: ConceptPeer) -> None:
    """Shows as skipped which peers the table lacks."""
    if peer.missing:
        pytest.skip(f"{', '.join(peer.missing)} not installed: pip install 'fomaml-fast[bench]'")


def test_concept(workload: Workload, concept: str, timing: bool, race: Any) -> None:
    """All give the answer of PyTorch's float64 derivative; then they are timed in turn.

    Without timing the peers answer on the first workload alone, and what compiles for minutes
    nowhere: its eager twin is the reference.
    """
    pytest.importorskip("torch")
    twin = importlib.import_module(f"benchmarks.baselines.concepts.torch_{concept}")
    case = twin.build(workload, dtype=np.float64)
    expected = case.answer(case.run())
    assert tuple(expected) == CONCEPTS[concept].answers
    first_workload = next(iter(CONCEPTS[concept].bars))
    runs, first_calls = {}, {}
    lacking = ours_concepts.missing(concept)
    if lacking is None:
        mine = ours_concepts.build(workload, concept)
        answers.check_case(harness.OURS, mine, expected, TOLERANCES[concept])
        runs[harness.OURS] = mine.run
    for peer in CONCEPT_PEERS:
        left_out = not timing and (peer.compiles_slowly or workload.name != first_workload)
        if peer.missing or left_out or not peer.offers(concept):
            continue
        case = peer.build(workload, concept)
        first_calls[peer.name], output = harness.timed(case.run)
        answers.check(peer.name, case.answer(output), expected, TOLERANCES[concept])
        runs[peer.name] = case.run
    if runs:
        race(workload.name, concept, runs, first_calls, kind=CONCEPT)
    if lacking is not None:
        pytest.skip(f"this build has no {lacking}: the peers agree, ours was not measured")


@only_on(*AGAINST_OURSELVES)
def test_against_ourselves(workload: Workload, race: Any) -> None:
    """Ours beside ours: what a concept costs over plain gradient descent."""
    pairs = AGAINST_OURSELVES[workload.name]
    needed = dict.fromkeys(who for pair in pairs for who in (pair.dear, pair.cheap))
    concepts = [who for who in needed if who in CONCEPTS]
    if lacking := [m for concept in concepts if (m := ours_concepts.missing(concept))]:
        pytest.skip(f"this build has no {', '.join(lacking)}")
    builders = {who: ours_concepts.build if who in CONCEPTS else ours.build for who in needed}
    runs = {who: build(workload, who).run for who, build in builders.items()}
    race(workload.name, "exact", runs, kind=OURSELVES)


@only_on("sine-1")
def test_online_head(workload: Workload, race: Any) -> None:
    """One row into a posterior and one out of it, after both agree with all rows at once."""
    if lacking := ours_concepts.missing("head"):
        pytest.skip(f"this build has no {lacking}")
    mine = online_head.build(workload)
    answers.check(harness.OURS, mine.answer, mine.expected, online_head.TOLERANCE)
    race(workload.name, "head", mine.runs, facts={"rows": online_head.ROWS}, kind=ONLINE)
