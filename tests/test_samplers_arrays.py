"""Samplers of arrays: episodes of labelled rows, and one task per group of rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fomaml_fast import samplers
from sampler_data import TINY_P, grouped, labelled

# --- episodes -----------------------------------------------------------------------------------


@given(st.data())
def test_episodes_hold_what_they_say(data):
    n_way = data.draw(st.integers(2, 6))
    k_shot, n_query = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 6))
    x, y = labelled(per_class=k_shot + n_query + data.draw(st.integers(0, 3)))
    episodes = samplers.Episodes(x, y, n_way, k_shot, n_query)
    seed = data.draw(st.integers(0, 2**32))
    rows, batch = episodes.draw(seed, 8), episodes.sample(seed, 8)

    assert batch.x_support.shape == (8, n_way * k_shot, 3)
    assert batch.x_query.shape == (8, n_way * n_query, 3)
    for t in range(8):
        support, query = batch.x_support[t, :, 0], batch.x_query[t, :, 0]
        used = [*support.tolist(), *query.tolist()]
        assert len(set(used)) == len(used), "a row came twice"
        assert len(set(rows.classes[t].tolist())) == n_way
        for found, label in [(support, batch.y_support[t]), (query, batch.y_query[t])]:
            np.testing.assert_array_equal(y[found.astype(int)], rows.classes[t][label])
        np.testing.assert_array_equal(np.bincount(batch.y_support[t]), [k_shot] * n_way)
        np.testing.assert_array_equal(np.bincount(batch.y_query[t]), [n_query] * n_way)


def test_episodes_permute_labels_and_draw_rows_evenly():
    x, y = labelled(n_classes=4, per_class=5)
    rows = samplers.Episodes(x, y, 3, 1, 2).draw(0, 30_000)
    _, counts = np.unique(rows.classes, axis=0, return_counts=True)
    assert len(counts) == 4 * 3 * 2, "some order of classes never came"
    assert stats.chisquare(counts).pvalue > TINY_P
    for drawn in (rows.support, rows.query):
        counts = np.bincount(drawn.ravel(), minlength=20)
        # Rows within a task exclude each other, which only makes counts more even.
        assert stats.chisquare(counts).pvalue > TINY_P


@pytest.mark.parametrize(
    "names",
    [
        np.array(["ant", "bee", "cat"]),
        np.array([-3, 7, 10**12]),
        np.array([0.5, 1.5, 2.5], dtype=np.float32),
        np.array(["2001-01-01", "2002-02-02", "2003-03-03"], dtype="datetime64[D]"),
        np.array(["x", "yy", "zzz"], dtype=object),
        np.array([b"a", b"b", b"c"]),
        np.array([0, 1, 2], dtype=np.uint8),
    ],
    ids=lambda names: str(names.dtype),
)
def test_episodes_take_labels_of_any_dtype(names):
    x, y = labelled(n_classes=3)
    rows = samplers.Episodes(x, names[y], 3, 2, 2).draw(0, 20)
    np.testing.assert_array_equal(names[y[rows.support]], np.repeat(rows.classes[..., None], 2, 2))


def test_episodes_take_booleans_and_images():
    x = np.arange(2 * 6 * 4 * 4, dtype=np.uint8).reshape(12, 4, 4)
    batch = samplers.Episodes(x, np.arange(12) % 2 == 0, 2, 1, 3).sample(0, 5)
    assert batch.x_support.shape == (5, 2, 16)
    assert batch.dtype == np.float32
    assert set(batch.x_support[0, 0].tolist()) <= set(range(256))


@pytest.mark.parametrize(
    ("stored", "expected"),
    [("int16", "float32"), ("float16", "float32"), ("float32", "float32"), ("float64", "float64")],
)
def test_dtype_of_tasks_follows_the_data(stored, expected):
    x, y = labelled()
    assert samplers.Episodes(x.astype(stored), y, 2, 1, 1).sample(0, 2).dtype == expected
    groups = samplers.Groups(x.astype(stored), x[:, 1:].astype(stored), y, 2)
    assert groups.sample(0, 2).dtype == expected


def test_episodes_from_some_classes_only():
    x, y = labelled()
    rows = samplers.Episodes(x, y, 2, 1, 1, classes=[1, 3, 4]).draw(0, 300)
    assert set(rows.classes.ravel().tolist()) == {1, 3, 4}


def test_episodes_stay_within_a_group():
    rng = np.random.default_rng(0)
    y, writer = rng.integers(0, 3, 600), rng.integers(0, 5, 600)
    rows = samplers.Episodes(np.arange(600.0), y, 2, 3, 4, groups=writer, among=[0, 2, 3]).draw(
        1, 500
    )
    owners = writer[np.concatenate([rows.support, rows.query], axis=2)].reshape(500, -1)
    assert (owners == owners[:, :1]).all()
    counts = np.bincount(owners[:, 0], minlength=5)
    assert counts[[1, 4]].sum() == 0
    assert stats.chisquare(counts[[0, 2, 3]]).pvalue > TINY_P
    np.testing.assert_array_equal(y[rows.query], np.repeat(rows.classes[..., None], 4, axis=2))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_way": 1}, ValueError, "n_way must be at least 2"),
        ({"n_way": 7}, ValueError, "n_way must be at most 6, the classes, got 7"),
        ({"k_shot": 0}, ValueError, "k_shot must be at least 1"),
        ({"n_query": 2.5}, TypeError, "n_query must be an integer"),
        ({"k_shot": 9}, ValueError, r"13 rows of each class, but class 0 has 12 \(5 more"),
        ({"classes": [0, 1, 99]}, ValueError, "classes names 99, which is no class of the data"),
        ({"classes": []}, ValueError, "classes must hold at least one class"),
        ({"y": np.zeros(5)}, ValueError, r"y must have shape \[72\]"),
        ({"y": np.full(72, np.nan)}, ValueError, "y must not hold NaN, but row 0 does"),
        ({"x": np.zeros((0, 3))}, ValueError, "x must have shape"),
        ({"x": np.full((72, 3), "a")}, TypeError, "x must hold real numbers"),
        ({"among": [1]}, ValueError, "among names groups"),
        ({"groups": np.arange(3)}, ValueError, r"groups must have shape \[72\]"),
    ],
)
def test_episodes_refuse(change, error, message):
    x, y = labelled()
    arguments = {"x": x, "y": y, "n_way": 3, "k_shot": 2, "n_query": 4} | change
    with pytest.raises(error, match=message):
        samplers.Episodes(**arguments)


def test_a_small_class_is_named():
    y = np.array(["oak"] * 5 + ["fir"] * 2)
    with pytest.raises(ValueError, match="class 'fir' has 2"):
        samplers.Episodes(np.zeros((7, 1)), y, 2, 1, 2)
    with pytest.raises(ValueError, match="class 'fir' in group 'B' has 1"):
        samplers.Episodes(np.zeros((7, 1)), y, 2, 1, 1, groups=list("AABBBAB"), among=["B"])


# --- groups -------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(3, 9), min_size=1, max_size=6),
    st.integers(1, 2),
    st.sampled_from([None, 1]),
    st.sampled_from(["random", "first"]),
    st.integers(0, 2**32),
)
def test_groups_hold_what_they_say(sizes, k, n_query, support, seed):
    x, y, group, time = grouped(sizes)
    sampler = samplers.Groups(x, y, group, k, n_query, order=time, support=support)
    batch, rows = sampler.sample(seed, 11), sampler.draw(seed, 11)
    for t, name in enumerate(rows.groups):
        mine = np.flatnonzero(group == name)
        s, q = batch.x_support[t][:, 0].astype(int), batch.x_query[t][:, 0].astype(int)
        assert len(s) == k
        assert len(q) == (len(mine) - k if n_query is None else n_query)
        assert len({*s.tolist(), *q.tolist()}) == len(s) + len(q), "support and query overlap"
        assert {*s.tolist(), *q.tolist()} <= set(mine.tolist())
        np.testing.assert_array_equal(batch.y_support[t][:, 0], 10 * s)
        np.testing.assert_array_equal(batch.y_query[t][:, 0], 10 * q)
        if support == "first":
            by_time = mine[np.argsort(time[mine])]
            np.testing.assert_array_equal(np.concatenate([s, q]), by_time[: len(s) + len(q)])


def test_groups_are_ragged_only_where_they_must_be():
    x, y, group, _ = grouped()
    assert isinstance(samplers.Groups(x, y, group, 2).all(0).x_query, list)
    fixed = samplers.Groups(x, y, group, 2, 2).all(0)
    assert fixed.x_query.shape == (3, 2, 1)


def test_all_groups_once_in_order():
    x, y, group, _ = grouped()
    sampler = samplers.Groups(x, y, group, 2)
    batch = sampler.all(0)
    assert sampler.groups.tolist() == ["g0", "g1", "g2"]
    assert [len(q) for q in batch.x_query] == [2, 5, 3]
    for name, q in zip(sampler.groups, batch.x_query, strict=True):
        assert (group[q[:, 0].astype(int)] == name).all()


def test_random_support_is_uniform_over_rows():
    x, y, group, _ = grouped(sizes=(5, 9))
    batch = samplers.Groups(x, y, group, 2).sample(0, 20_000)
    used = np.concatenate([s[:, 0] for s in batch.x_support]).astype(int)
    for name, size in [("g0", 5), ("g1", 9)]:
        counts = np.bincount(used, minlength=14)[group == name]
        assert len(counts) == size
        assert stats.chisquare(counts).pvalue > TINY_P


def test_first_support_without_order_is_the_order_of_rows():
    x, y, group, _ = grouped()
    batch = samplers.Groups(x, y, group, 2, support="first").all(0)
    for name, s in zip(["g0", "g1", "g2"], batch.x_support, strict=True):
        np.testing.assert_array_equal(s[:, 0], np.flatnonzero(group == name)[:2])


def test_integer_targets_are_labels():
    x, _, group, _ = grouped()
    batch = samplers.Groups(x, np.arange(16) % 3, group, 2, 2).all(0)
    np.testing.assert_array_equal(batch.y_query, batch.x_query[..., 0].astype(int) % 3)
    assert batch.y_query.dtype == np.int32


def test_targets_of_several_outputs():
    x, y, group, _ = grouped()
    batch = samplers.Groups(x, np.stack([y, -y], axis=1), group, 2, 2).all(0)
    assert batch.y_query.shape == (3, 2, 2)
    np.testing.assert_array_equal(batch.y_query[..., 1], -10 * batch.x_query[..., 0])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"k_support": 0}, ValueError, "k_support must be at least 1"),
        ({"k_support": 4}, ValueError, "at least 5 rows of each .* but 'g0' has 4"),
        ({"n_query": 3}, ValueError, "5 rows of each .2 of support, 3 of query., but 'g0' has 4"),
        ({"support": "last"}, ValueError, "support must be 'random' or 'first'"),
        ({"order": np.zeros(3)}, ValueError, r"order must have shape \[16\]"),
        ({"groups": ["g0"]}, ValueError, r"groups must have shape \[16\]"),
        ({"among": ["g9"]}, ValueError, "among names 'g9', which is no group of the data"),
        ({"y": np.zeros(3)}, ValueError, "y must have 16 rows as x has, got 3"),
        ({"y": np.full(16, -1)}, ValueError, "y must hold labels from 0 on"),
    ],
)
def test_groups_refuse(change, error, message):
    x, y, group, _ = grouped()
    arguments = {"x": x, "y": y, "groups": group, "k_support": 2} | change
    with pytest.raises(error, match=message):
        samplers.Groups(**arguments)
