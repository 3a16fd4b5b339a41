"""Samplers that draw support rows for each of some inner steps: none twice, none of the query's."""

from __future__ import annotations

import numpy as np
import pytest

import fomaml_fast as ff
from fomaml_fast import samplers

T, S = 30, 4
GROUP = np.repeat(np.arange(5), [13, 14, 15, 16, 17])
ROW = np.arange(len(GROUP), dtype=np.float64)  # every row is told by its input
#: With a query of so many rows, or of all that are left, and the first in time.
GROUPS = {
    "random": {"n_query": 5},
    "random, all others": {},
    "first": {"n_query": 5, "support": "first"},
    "first, all others": {"support": "first"},
}


def groups(steps, k_support=2, **options):
    return samplers.Groups(ROW, ROW, GROUP, k_support, steps=steps, **options)


def episodes(steps, k_shot=2):
    return samplers.Episodes(ROW, GROUP, 3, k_shot, 4, steps=steps)


def sinusoid(steps, k_support=2):
    return samplers.Sinusoid().sample(0, T, k_support, 5, np.float64, steps=steps)


MAKERS = {
    **{
        f"groups, {name}": (lambda steps, k=2, o=o: groups(steps, k, **o))
        for name, o in GROUPS.items()
    },
    "episodes": episodes,
}


def drawn(name, steps, k=2):
    return sinusoid(steps, k) if name == "sinusoid" else MAKERS[name](steps, k).sample(0, T)


@pytest.mark.parametrize("name", [*MAKERS, "sinusoid"])
def test_no_row_comes_twice(name):
    batch = drawn(name, S)
    assert batch.n_steps == S
    assert len(batch) == T
    per_step = {"episodes": 6}.get(name, 2)
    assert batch.x_support.shape == (T, S, per_step, 1)
    for support, query in zip(batch.x_support, batch.x_query, strict=True):
        rows = np.concatenate([support.ravel(), query.ravel()])
        assert len(np.unique(rows)) == len(rows)
    if name != "episodes":
        ff.evaluate(ff.MLP([1, 3, 1]), np.zeros(10), batch, ff.fomaml(1e-4))


@pytest.mark.parametrize("name", [*MAKERS, "sinusoid"])
def test_the_draw_is_that_of_as_many_shared_rows(name):
    """So a study of shared against separate rows sees the same rows; seeds repeat draws."""
    of_steps, shared = drawn(name, S, 2), drawn(name, None, 2 * S)
    again = drawn(name, S, 2)
    for part in ("x_support", "y_support", "x_query", "y_query"):
        one, same, flat = (getattr(batch, part) for batch in (of_steps, again, shared))
        assert all(np.array_equal(*both) for both in zip(one, same, strict=True))
        if part.endswith("support"):
            flat, one = (np.sort(rows.reshape(T, -1), axis=1) for rows in (flat, one))
        assert all(np.array_equal(*both) for both in zip(one, flat, strict=True))


def test_steps_follow_time():
    batch = groups(S, support="first").all(0)
    for start, of_task in zip([0, 13, 27, 42, 58], batch.x_support, strict=True):
        assert of_task.ravel().tolist() == [start + i for i in range(2 * S)]
    assert groups(S).draw(0, 3).support.shape == (3, S, 2)
    assert "2 support rows for each of 4 steps" in repr(groups(S).draw(0, 3))
    assert repr(groups(S)).endswith("support='random', steps=4)")


def test_episodes_have_every_class_in_every_step():
    sampler = episodes(S)
    batch, rows = sampler.sample(0, T), sampler.draw(0, T)
    assert rows.support.shape == (T, S, 3, 2)
    assert np.array_equal(batch.y_support, np.tile([0, 0, 1, 1, 2, 2], (T, S, 1)))
    assert np.array_equal(batch.x_support[..., 0], rows.support.reshape(T, S, 6))
    assert np.array_equal(
        GROUP[rows.support], np.tile(rows.classes[:, None, :, None], (1, S, 1, 2))
    )
    assert repr(sampler).endswith("n_query=4, steps=4)")
    assert (
        repr(rows)
        == "EpisodeRows(30 tasks, 3 classes, 2 support in each of 4 steps and 4 query rows of each)"
    )


def test_targets_that_are_missing():
    targets = np.stack([ROW, ROW], axis=1)
    targets[::7, 0] = np.nan
    sampler = samplers.Groups(ROW, targets, GROUP, 2, 5, steps=S, missing="mask")
    batch = sampler.sample(0, T)
    assert batch.mask_support.shape == (T, S, 2, 2)
    assert np.array_equal(batch.mask_support[..., 0], batch.x_support[..., 0] % 7 != 0)


def test_grid_queries():
    sampler = samplers.Sinusoid()
    curves = sampler.draw(0, T)
    batch = sampler.observe_on_grid(1, curves, 3, 11, steps=S)
    shared = sampler.observe_on_grid(1, curves, 3 * S, 11)
    assert np.array_equal(batch.x_support, shared.x_support.reshape(T, S, 3, 1))
    assert np.array_equal(batch.y_query, shared.y_query)
    seen = sampler.observe(1, curves, 3, 11, steps=S)
    assert seen.x_support.shape == (T, S, 3, 1)


def test_refusals():
    with pytest.raises(
        ValueError, match=r"at least 17 rows of each \(12 of support in 6 steps, 5 of"
    ):
        groups(6, n_query=5)
    with pytest.raises(ValueError, match=r"steps \* k_shot \+ n_query = 16 rows .* has 13"):
        episodes(6)
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="steps must be at least 1"):
            sinusoid(wrong)
    for make in (groups, episodes, sinusoid):
        for wrong in (2.5, "2", True):
            with pytest.raises(TypeError, match="steps must be an integer"):
                make(wrong)
