"""The eight workloads × first order, exact, Hessian-vector product, beside every installed peer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks import answers, harness, operations, ours
from benchmarks.baselines import PEERS, Peer
from benchmarks.workloads import ORDERS, Workload


@pytest.mark.parametrize("peer", PEERS, ids=lambda p: p.name)
def test_peer_is_installed(peer: Peer) -> None:
    """Shows as skipped which peers the table below lacks."""
    if not peer.installed:
        pytest.skip(f"{peer.requires} is not installed: pip install 'fomaml-fast[bench]'")
    assert peer.load()


@pytest.mark.parametrize("order", ORDERS)
def test_workload(workload: Workload, order: str, benchmark: Any, race: Any) -> None:
    """Everybody gives the float64 answer; then ours and the peers are timed in turn.

    Without timing (``--benchmark-disable``) what compiles slowly is left out: it is the function of
    its eager twin.
    """
    expected = answers.reference(workload, order)
    mine = ours.build(workload, order)
    answers.check_case(harness.OURS, mine, expected)
    runs, first_calls = {harness.OURS: mine.run}, {}
    for peer in PEERS:
        if not peer.installed or (peer.compiles_slowly and benchmark.disabled):
            continue
        case = peer.build(workload, order)
        first_calls[peer.name], output = harness.timed(case.run)
        answers.check(peer.name, case.answer(output), expected)
        runs[peer.name] = case.run
    lanes = ours.lanes(np.float32)
    engine = ours.chosen_engine(workload, order)
    facts = {"engine": engine, "executed": operations.executed(workload, order, engine, lanes)}
    race(workload.name, order, runs, first_calls, facts)
