"""`Groups(missing="mask")`: tables whose targets have gaps."""

from __future__ import annotations

import numpy as np
import pytest

import fomaml_fast as ff
from fomaml_fast.samplers import Groups

N, GROUPS = 60, 4


def table(seed=0):
    rng = np.random.default_rng(seed)
    x = np.arange(N, dtype=float)[:, None]
    y = np.stack([x[:, 0], -x[:, 0], 2 * x[:, 0]], axis=1)
    y[rng.random(y.shape) < 0.4] = np.nan
    y[7] = np.nan
    return x, y, np.arange(N) % GROUPS


@pytest.mark.parametrize("n_query", [None, 5])
def test_gaps_become_masks(n_query):
    x, y, groups = table()
    batch = Groups(x, y, groups, 4, n_query, missing="mask").sample(0, n_tasks=6)
    sets = (
        (batch.x_support, batch.y_support, batch.mask_support),
        (batch.x_query, batch.y_query, batch.mask_query),
    )
    for columns in sets:
        for rows, targets, known in zip(*columns, strict=True):
            there = y[rows[:, 0].astype(int)]
            np.testing.assert_array_equal(known, ~np.isnan(there))
            np.testing.assert_array_equal(targets, np.nan_to_num(there))
            assert known.any(axis=1).all()
    result = ff.meta_grad(ff.MLP([1, 3]), np.zeros(6), batch, ff.fomaml(1e-4))
    assert np.isfinite(result.grad).all()


def test_rows_of_which_nothing_is_known_do_not_count():
    x, y, groups = table()
    drawn = Groups(x, y, groups, 2, missing="mask").draw(0, GROUPS)
    rows = np.concatenate([*drawn.support, *drawn.query])
    assert sorted(rows) == np.flatnonzero(~np.isnan(y).all(axis=1)).tolist()
    one = np.where(groups == 1, np.nan, x[:, 0])
    with pytest.raises(ValueError, match=r"at least 3 rows of each .* but 1 has 0"):
        Groups(x, one, groups, 2, missing="mask")
    alone = Groups(x, y[:, 0], groups, 2, missing="mask").sample(0, n_tasks=3)
    assert alone.mask_support is alone.mask_query is None


def test_without_gaps_nothing_changes():
    x, y, groups = table()
    whole = np.nan_to_num(y)
    one, other = (
        Groups(x, whole, groups, 3, 4, missing=missing).sample(1, 5)
        for missing in ("raise", "mask")
    )
    assert other.mask_support is other.mask_query is None
    np.testing.assert_array_equal(one.y_query, other.y_query)
    labels = Groups(x, np.arange(N) % 3, groups, 3, 4, missing="mask").sample(1, 5)
    assert labels.y_support.dtype == np.int32


def test_what_is_refused():
    x, y, groups = table()
    with pytest.raises(ValueError, match="y must be finite, but row"):
        Groups(x, y, groups, 2)
    y[3, 1] = np.inf
    with pytest.raises(ValueError, match="y must be finite, but row 3, column 1 is inf"):
        Groups(x, y, groups, 2, missing="mask")
    x[5] = np.nan
    with pytest.raises(ValueError, match="x must be finite, but row 5"):
        Groups(x, table()[1], groups, 2, missing="mask")
    with pytest.raises(ValueError, match="missing must be one of 'raise', 'mask', got 'drop'"):
        Groups(x, y, groups, 2, missing="drop")


def test_nullable_columns():
    pd = pytest.importorskip("pandas")
    x, y, groups = table()
    frame = pd.DataFrame(y, columns=["a", "b", "c"])
    frame["b"] = frame["b"].round().astype("Int64")
    frame["c"] = frame["c"].astype("Float64")
    frame.loc[7, "c"] = pd.NA
    batch, plain = (Groups(x, of, groups, 4, 5, missing="mask").sample(2, 3) for of in (frame, y))
    np.testing.assert_array_equal(batch.y_query, plain.y_query)
    np.testing.assert_array_equal(batch.mask_query, plain.mask_query)
    with pytest.raises(ValueError, match="y must be finite, but row"):
        Groups(x, frame, groups, 4)
