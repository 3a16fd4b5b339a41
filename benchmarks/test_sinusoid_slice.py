"""What the 70,000 iterations of the sinusoid experiment cost in each library, from a slice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks import harness, ours, sinusoid
from benchmarks.baselines import PEERS, Case
from benchmarks.conftest import MACHINE
from benchmarks.report import SINUSOID


@pytest.mark.parametrize("order", ["first", "exact"])
def test_sinusoid_slice(
    order: str, benchmark: Any, race: Any, request: pytest.FixtureRequest
) -> None:
    """Whole meta-steps from fresh arrays, outer Adam included; all see the same losses."""
    sizes = {"iterations": sinusoid.ITERATIONS, "per_call": sinusoid.SLICE}
    request.config.stash[MACHINE].update(sizes)
    trainers: dict[str, Case] = {harness.OURS: ours.train(order)}
    for peer in PEERS:
        slow = peer.compiles_slowly and benchmark.disabled
        if peer.installed and hasattr(peer.load(), "train") and not slow:
            trainers[peer.name] = peer.load().train(order, **peer.options)
    first_calls, losses = {}, {}
    for name, case in trainers.items():
        first_calls[name], output = harness.timed(case.run)
        losses[name] = case.answer(output)["losses"]
    for name, found in losses.items():
        # Adam divides by √v̂: in float32 a rounding error grows over the slice.
        np.testing.assert_allclose(found, losses[harness.OURS], rtol=1e-3, err_msg=name)
    runs = {name: case.run for name, case in trainers.items()}
    race(SINUSOID, order, runs, first_calls, kind=SINUSOID)
