"""Columns and names of samplers in the forms that users have: dates, keys, gaps, flags."""

import numpy as np
import pytest

from fomaml_fast import samplers


def _chosen(among, known):
    return samplers.Groups(np.zeros(8), np.zeros(8), known, 1, among=among).groups.tolist()


def test_dates_are_named_as_they_are_written():
    pd = pytest.importorskip("pandas")
    days = np.repeat(np.array(["2020-01-01", "2020-01-02"], "M8[D]"), 4)
    day = days[4]
    for known in (days, days.astype("M8[ns]"), days.tolist(), pd.Series(days)):
        for named in ("2020-01-02", day, day.astype("M8[ns]"), day.item(), pd.Timestamp(day)):
            assert len(_chosen([named], known)) == 1
        for absent in ("2020-01-03", "oak", pd.Timestamp("2020-01-02 12:00")):
            with pytest.raises(ValueError, match=r"among names .*, which is no group"):
                _chosen([absent], known)


def test_flags_are_no_names():
    numbers = np.repeat(np.arange(4), 2)
    for flags in ([True, False], np.array([True, False]), [True, 2]):
        with pytest.raises(TypeError, match=r"among must name .* got flags"):
            _chosen(flags, numbers)
        with pytest.raises(TypeError, match=r"classes must name .* got flags"):
            samplers.Episodes(np.zeros(8), numbers, 2, 1, 1, classes=flags)
    assert _chosen([True], numbers > 1) == _chosen([True], (numbers > 1).astype(object)) == [True]


def test_keys_of_several_levels_are_tuples():
    pd = pytest.importorskip("pandas")
    keys = pd.MultiIndex.from_arrays([list("aabbccdd"), [1] * 8])
    for named in ([("a", 1)], ("a", 1), [("a", 1), ("c", 1)]):
        assert _chosen(named, keys) == (named if isinstance(named, list) else [named])


def test_labels_with_gaps_that_are_never_drawn_stay_labels():
    pd = pytest.importorskip("pandas")
    labels = pd.Series([0, 0, 1, 1, 1, 0, None, 1], dtype="Int64")
    groups = np.repeat(list("abcd"), 2)
    batch = samplers.Groups(np.zeros(8), labels, groups, 1, among=["a", "b"]).sample(0, 2)
    assert batch.y_support.dtype == np.int32
    assert batch.y_support.shape == (2, 1)
    with pytest.raises(ValueError, match="y must be finite, but row 6 is nan"):
        samplers.Groups(np.zeros(8), labels, groups, 1)


@pytest.mark.parametrize("sign", [1, -1])
def test_integers_of_53_bits_are_exact_and_the_next_are_not(sign):
    pd = pytest.importorskip("pandas")
    for n, fits in ((2**53, True), (2**53 + 1, False)):
        whole = np.full(8, sign * n)
        for x in (whole, pd.DataFrame({"a": whole, "b": np.full(8, 0.5)})):
            if fits:
                samplers.Groups(x, np.zeros(8), np.repeat([0, 1], 4), 1)
                continue
            with pytest.raises(ValueError, match=r"at most 53 bits.*9007199254740993"):
                samplers.Groups(x, np.zeros(8), np.repeat([0, 1], 4), 1)


def test_inputs_that_are_no_columns_of_numbers():
    def read(x):
        return samplers.Groups(x, np.zeros(8), np.repeat([0, 1], 4), 1)

    with pytest.raises(TypeError, match=r"row 1 is the str 'a'"):
        read([1.0, "a"] * 4)
    with pytest.raises(TypeError, match="x holds masked arrays"):
        read([np.ma.masked_array([0.0], [True])] * 8)
    scipy = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"pass x\.toarray\(\)"):
        read(scipy.csr_matrix(np.eye(8)))
    pl = pytest.importorskip("polars")
    pairs = pl.DataFrame({"a": pl.Series([[1.0, 2.0]] * 8, dtype=pl.Array(pl.Float64, 2))})
    with pytest.raises(ValueError, match=r"column 'a' holds arrays of shape \[2\]"):
        read(pairs)
