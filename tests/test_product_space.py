"""The product space: every combination equals the oracle, or raises ValueError and is in the table.

The core, optimiser x rates x mask x flow, is walked in full while the other axes turn under it;
Hypothesis samples the whole.  To add a choice, add it to `points.py`.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import combinations
import error_table
import fomaml_fast as ff
import oracle
import subject_points as subject
from combinations import AVERAGES_OUTPUTS, meaningless
from points import (
    ACTIVATIONS,
    DTYPES,
    FLOWS,
    ILL_CONDITIONED,
    LOSSES,
    MASKS,
    NORMS,
    OPTIMISERS,
    QUERY_LOSSES,
    RATES,
    Point,
)
from tolerances import TOLERANCES, relative_error

CORE = list(itertools.product(OPTIMISERS, RATES, MASKS, FLOWS))


def check(point: Point) -> None:
    """The package's adaptation and meta-gradients against the oracle's, task by task."""
    expected = point.expected
    result = subject.meta_grad(point, per_task=True)
    adapted = subject.adapt(point)
    pairs: list[tuple[str, Any, Any]] = [
        ("grad", result.grad, expected.grad),
        ("loss", result.loss, expected.loss),
        ("losses", result.losses, [task.loss for task in expected.tasks]),
    ]
    for t, task in enumerate(expected.tasks):
        pairs.append((f"adapted {t}", adapted[t], task.path.points[-1]))
        pairs.append((f"task_grads[{t}]", result.task_grads[t], task.grad))
    if point.learn:
        pairs.append(("rate_grad", result.rate_grad, expected.rate_grad))
    else:
        assert result.rate_grad is None
    assert (result.solver is not None) == (point.flow == "implicit")
    limit = TOLERANCES["combination"][point.dtype]
    errors = {name: relative_error(actual, wanted) for name, actual, wanted in pairs}
    error_table.record(point, max(errors.values()))
    assert all(error <= limit for error in errors.values()), f"{point}: {errors}"
    assert result.grad.dtype == point.dtype


def turned(number: int, optimiser: str, rate: str, mask: Any, flow: str) -> Point:
    """A point of the core, with the other axes at positions that `number` picks."""
    rng = np.random.default_rng(number)

    def pick(choices: Any) -> Any:
        return choices[rng.integers(len(choices))]

    implicit, differentiated = flow == "implicit", flow in ("first", "exact")
    loss = pick(LOSSES)
    query_loss = pick(QUERY_LOSSES[loss])
    point = Point(
        optimiser,
        rate,
        mask,
        flow,
        learn=differentiated and pick((True, True, False)),
        step_weights=differentiated and pick((False, True)),
        weight_decay=0.0 if implicit else pick((0.0, 0.3)),
        decoupled_weight_decay=0.0 if implicit else pick((0.0, 0.2)),
        proximal=0.0 if implicit else pick((0.0, 0.5)),
        clip_norm=pick((None, 0.4, 50.0)),
        loss=loss,
        query_loss=query_loss,
        activation=pick(ACTIVATIONS),
        norm=pick(NORMS),
        gaps=AVERAGES_OUTPUTS.issuperset({loss, query_loss or loss}) and pick((False, True)),
        stepped=not implicit and pick((False, True)),
        seed=number,
    )
    return (
        replace(point, proximal=0.0, norm="layer" if point.norm else None)
        if point.ill_posed
        else point
    )


@pytest.mark.parametrize(
    ("number", "core"), list(enumerate(CORE)), ids=["-".join(map(str, core)) for core in CORE]
)
def test_core(number, core):
    check(turned(number, *core))


@pytest.mark.parametrize("learn", [False, True, "scalar", "layer", "step_layer", "parameter"])
@pytest.mark.parametrize("flow", ["first", "exact"])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_learned_rates_of_every_kind(learn, flow, steps):
    point = Point("adam, eps 0.1", flow=flow, learn=learn, steps=steps)
    check(point)
    if steps == 2:
        check(replace(point, stepped=True))


@pytest.mark.parametrize("flow", ["first", "exact", "implicit"])
@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("context", [1, 3])
def test_context(context, optimiser, flow):
    learn = flow != "implicit"
    stepped = context == 3 and learn
    check(Point(optimiser, context=context, flow=flow, learn=learn, clip_norm=0.5, stepped=stepped))


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm", NORMS)
def test_networks(norm, activation, loss, flow):
    for i, query_loss in enumerate(QUERY_LOSSES[loss]):
        point = Point("momentum", flow=flow, loss=loss, activation=activation, norm=norm)
        check(replace(point, query_loss=query_loss, stepped=i % 2 == 1 and flow != "implicit"))


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("optimiser", [o for o in OPTIMISERS if o not in ILL_CONDITIONED])
def test_float32(optimiser, flow, mask):
    learn = flow in ("first", "exact")
    check(Point(optimiser, "layer", mask, flow, learn=learn, clip_norm=2.0, dtype="float32"))


points = st.builds(
    Point,
    optimiser=st.sampled_from(sorted(OPTIMISERS)),
    rate=st.sampled_from(RATES),
    adapt=st.sampled_from([*MASKS, (1,), (0, 1, 2)]),
    flow=st.sampled_from(FLOWS),
    learn=st.sampled_from([False, True, *RATES]),
    steps=st.integers(1, 4),
    step_weights=st.booleans(),
    context=st.sampled_from([0, 0, 0, 2]),
    weight_decay=st.sampled_from([0.0, 0.0, 0.2]),
    decoupled_weight_decay=st.sampled_from([0.0, 0.0, 0.2]),
    proximal=st.sampled_from([0.0, 0.0, 0.7]),
    clip_norm=st.sampled_from([None, 0.05, 1.0, 100.0]),
    loss=st.sampled_from(LOSSES),
    query_loss=st.none() | st.sampled_from(LOSSES),
    activation=st.sampled_from(ACTIVATIONS),
    norm=st.sampled_from(NORMS),
    gaps=st.sampled_from([False, False, True]),
    stepped=st.sampled_from([False, False, True]),
    dtype=st.sampled_from(["float64", "float64", "float32"]),
    seed=st.integers(0, 10_000),
).filter(lambda p: p.query_loss in QUERY_LOSSES[p.loss])


@settings(max_examples=500, suppress_health_check=[HealthCheck.filter_too_much])
@given(points)
def test_sampled(point):
    if meaningless(point):
        with pytest.raises(ValueError, match=r"\w"):
            subject.meta_grad(point)
        return
    assume(not point.ill_posed)
    assume(point.dtype == "float64" or point.optimiser not in ILL_CONDITIONED)
    # A batch norm over four float32 rows may divide by a spread that is nearly rounding.
    assume(point.dtype == "float64" or point.norm is None)
    check(point)


@pytest.mark.parametrize("line", combinations.OUTSIDE, ids=lambda line: line.choice)
def test_what_the_space_does_not_draw(line):
    with pytest.raises(ValueError, match=r"custom loss|losses\.Custom|jets|BayesianHead|learners"):
        line.call()


def choices() -> list[Point]:
    """Every combination of the choices that can exclude each other, one switch an axis."""
    axes = {
        "flow": FLOWS,
        "learn": (False, True, *RATES),
        "rate": RATES,
        "step_weights": (False, True),
        "context": (0, 2),
        "adapt": ("all", "head"),
    }
    decays: list[dict[str, float]] = [
        {},
        {"weight_decay": 0.1},
        {"decoupled_weight_decay": 0.1},
        {"proximal": 0.1},
    ]
    named: list[dict[str, Any]] = [
        dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())
    ]
    named += [{"flow": f, "loss": loss, "gaps": True} for f in FLOWS for loss in LOSSES]
    named += [{"flow": f, "stepped": True} for f in FLOWS]
    return [Point(**kwargs, **decay) for kwargs in named for decay in decays]


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("loss", sorted(AVERAGES_OUTPUTS))
@pytest.mark.parametrize("dtype", DTYPES)
def test_gaps(dtype, loss, flow):
    for query_loss in filter((None, *AVERAGES_OUTPUTS).__contains__, QUERY_LOSSES[loss]):
        point = Point("momentum", flow=flow, loss=loss, query_loss=query_loss, gaps=True)
        if query_loss is not None and flow != "reptile":
            point = replace(point, context=2, learn=flow != "implicit")
        check(replace(point, dtype=dtype, step_weights=flow in ("first", "exact")))


def test_the_table_of_meaningless_combinations_is_complete():
    """What is in the table raises; what is not makes an Algorithm that computes."""
    for point in choices():
        if meaningless(point):
            with pytest.raises(ValueError, match=r"\w"):
                subject.meta_grad(point)
        else:
            assert np.isfinite(subject.meta_grad(point).loss), point


@pytest.mark.parametrize("line", combinations.TABLE, ids=lambda line: line.choice + line.excludes)
def test_each_line_of_the_table_excludes_something_of_its_own(line):
    assert any(meaningless(point) == [line] for point in choices())


def test_the_table_renders():
    lines = len(combinations.TABLE) + len(combinations.OUTSIDE)
    assert combinations.markdown().count("\n") == lines + 1


def test_the_oracle_knows_every_registered_choice():
    """A newcomer of the package without an oracle would otherwise pass unseen."""
    assert {name.lower() for name in ff.inner.names()} == {
        name.lower() for name, _, _ in OPTIMISERS.values()
    }
    assert set(ff.activations.names()) == set(oracle.ACTIVATIONS)
    assert set(ff.losses.names()) == set(oracle.LOSSES)
    assert set(DTYPES) == {"float64", "float32"}
