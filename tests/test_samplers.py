"""What every sampler promises, the random choices below them, the sinusoid, and the splits."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import fomaml_fast as ff
from fomaml_fast import samplers
from fomaml_fast.samplers.random import _by_first_occurrence, choose, deal
from sampler_data import DTYPES, TINY_P

# --- the contract of every sampler --------------------------------------------------------------


def make_sampler(name):
    return samplers.get(name).example()


@pytest.mark.parametrize("name", samplers.names())
def test_contract(name):
    sampler = make_sampler(name)
    assert isinstance(sampler, samplers.get(name))
    assert isinstance(sampler, samplers.Sampler)
    batch = sampler.sample(5, 40)
    assert isinstance(batch, ff.TaskBatch)
    assert batch.n_tasks == 40


@pytest.mark.parametrize("name", samplers.names())
def test_support_and_query_are_other_rows(name):
    batch = make_sampler(name).sample(3, 50, dtype=np.float64)
    for support, query in zip(batch.x_support, batch.x_query, strict=True):
        rows = [row.tobytes() for row in [*support, *query]]
        assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("name", samplers.names())
def test_repr_is_one_line(name):
    drawn = make_sampler(name).draw(0, 100)
    for value in (make_sampler(name), *([] if isinstance(drawn, np.ndarray) else [drawn])):
        text = repr(value)
        assert text.startswith(type(value).__name__ + "(")
        assert "\n" not in text
        assert len(text) < 200
        assert " object at 0x" not in text


@pytest.mark.parametrize("name", samplers.names())
@pytest.mark.parametrize("dtype", DTYPES)
def test_same_seed_same_tasks(name, dtype):
    sampler = make_sampler(name)
    draws = [
        sampler.sample(rng, 9, dtype=dtype)
        for rng in (5, np.random.default_rng(5), np.random.default_rng(5), 6)
    ]
    assert all(batch.dtype == dtype for batch in draws)
    for other in draws[1:3]:
        np.testing.assert_array_equal(draws[0].x_query, other.x_query)
        np.testing.assert_array_equal(draws[0].y_support, other.y_support)
    assert not np.array_equal(draws[0].x_query, draws[3].x_query)


@pytest.mark.parametrize("name", samplers.names())
def test_generator_advances(name):
    rng = np.random.default_rng(0)
    sampler = make_sampler(name)
    assert not np.array_equal(sampler.sample(rng, 3).x_query, sampler.sample(rng, 3).x_query)


@pytest.mark.parametrize("name", samplers.names())
@pytest.mark.parametrize(
    ("rng", "got"),
    [
        (None, "None"),
        (1.5, "1.5"),
        (True, "True"),
        (np.True_, "True"),
        (np.float32(2), "2.0"),
        ("0", "'0'"),
        (np.random.RandomState(0), "RandomState"),
    ],
)
def test_rng_must_be_repeatable(name, rng, got):
    with pytest.raises(TypeError, match=f"rng must be an integer or a .*, got {got}"):
        make_sampler(name).sample(rng, 3)


@pytest.mark.parametrize("name", samplers.names())
@pytest.mark.parametrize("seed", [np.uint8(7), 2**31 - 1, np.uint32(2**32 - 1), 2**63, 10**30])
def test_every_integer_from_0_on_is_a_seed(name, seed):
    sampler = make_sampler(name)
    expected = sampler.sample(np.random.default_rng(int(seed)), 3)
    np.testing.assert_array_equal(sampler.sample(seed, 3).x_support, expected.x_support)


@pytest.mark.parametrize("name", samplers.names())
def test_bad_arguments(name):
    sampler = make_sampler(name)
    with pytest.raises(ValueError, match="rng must be at least 0"):
        sampler.sample(-1, 3)
    with pytest.raises(ValueError, match="n_tasks must be at least 1"):
        sampler.sample(0, 0)
    with pytest.raises(TypeError, match="dtype must be float32 or float64"):
        sampler.sample(0, 1, dtype=np.int32)


@pytest.mark.parametrize("name", samplers.names())
def test_pickles(name):
    sampler = make_sampler(name)
    again = pickle.loads(pickle.dumps(sampler))
    np.testing.assert_array_equal(again.sample(1, 4).x_support, sampler.sample(1, 4).x_support)


def test_unknown_name():
    with pytest.raises(ValueError, match="name must be one of 'episodes'"):
        samplers.get("omniglot")


# --- random choices -----------------------------------------------------------------------------


@given(st.integers(1, 30), st.integers(0, 30), st.integers(0, 20), st.integers(0, 2**32))
def test_choose_is_distinct_and_in_range(n_from, n_take, n_rows, seed):
    n_take = min(n_take, n_from)
    chosen = choose(np.random.default_rng(seed), n_from, n_take, n_rows)
    assert chosen.shape == (n_rows, n_take)
    assert all(len(set(row)) == n_take for row in chosen.tolist())
    assert chosen.size == 0 or (chosen.min() >= 0 and chosen.max() < n_from)


@pytest.mark.parametrize(
    ("n_from", "n_take"), [(5, 2), (4, 4), (21, 2), (9, 1)], ids=["some", "all", "few", "one"]
)
def test_choose_is_uniform_over_ordered_selections(n_from, n_take):
    chosen = choose(np.random.default_rng(0), n_from, n_take, 60_000)
    _, counts = np.unique(chosen, axis=0, return_counts=True)
    n_selections = np.prod(np.arange(n_from, n_from - n_take, -1))
    assert len(counts) == n_selections
    assert stats.chisquare(counts).pvalue > TINY_P


def test_choose_with_a_size_per_row():
    sizes = np.array([3, 50, 1000] * 2000)  # by keys and by first occurrence in one call
    chosen = choose(np.random.default_rng(0), sizes, 3, len(sizes))
    assert (chosen < sizes[:, None]).all()
    assert (np.sort(chosen[sizes == 3], axis=1) == [0, 1, 2]).all()
    assert stats.kstest(chosen[sizes == 1000, 0] / 1000, "uniform").pvalue > TINY_P


@pytest.mark.parametrize("sizes", [[9, 40], [12, 12]])
def test_first_occurrences_are_uniform_where_repeats_are_many(sizes):
    chosen = _by_first_occurrence(np.random.default_rng(0), np.array(sizes * 10_000), 3)
    assert (np.diff(np.sort(chosen, axis=1), axis=1) > 0).all()
    _, counts = np.unique(chosen[:: 2 if sizes[0] != sizes[1] else 1], axis=0, return_counts=True)
    assert len(counts) == sizes[0] * (sizes[0] - 1) * (sizes[0] - 2)
    assert stats.chisquare(counts).pvalue > TINY_P


@pytest.mark.parametrize("size", [51, 60, 200])
def test_choose_starts_again_where_a_sequence_was_too_short(size):
    """Ten thousand rows of five: some meet so many repeats that they have to start again."""
    chosen = choose(np.random.default_rng(0), size, 5, 10_000)
    assert (np.diff(np.sort(chosen, axis=1), axis=1) > 0).all()
    for column in chosen.T:
        assert stats.chisquare(np.bincount(column, minlength=size)).pvalue > TINY_P


@pytest.mark.parametrize(("n_items", "n_draws"), [(5, 3), (40, 3), (3, 7)])
def test_deal_is_uniform(n_items, n_draws):
    rng = np.random.default_rng(0)
    cards = np.array([deal(rng, n_items, n_draws) for _ in range(20_000)])
    for column in cards.T:
        assert stats.chisquare(np.bincount(column, minlength=n_items)).pvalue > TINY_P


@given(st.integers(1, 12), st.integers(1, 50), st.integers(0, 2**32))
def test_deal_uses_every_card_before_any_again(n_items, n_draws, seed):
    cards = deal(np.random.default_rng(seed), n_items, n_draws)
    assert len(cards) == n_draws
    for start in range(0, n_draws, n_items):
        deck = cards[start : start + n_items].tolist()
        assert len(set(deck)) == len(deck)
        assert set(deck) <= set(range(n_items))


# --- sinusoid -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_sinusoid_marginals_are_uniform(dtype):
    sinusoid = samplers.Sinusoid(frequency=(0.8, 1.2))
    curves = sinusoid.draw(0, 20_000, dtype=dtype)
    batch = sinusoid.observe(1, curves, 1, 1)
    for values, (low, high) in [
        (curves.amplitude, (0.1, 5.0)),
        (curves.phase, (0.0, np.pi)),
        (curves.frequency, (0.8, 1.2)),
        (batch.x_support.ravel(), (-5.0, 5.0)),
        (batch.x_query.ravel(), (-5.0, 5.0)),
    ]:
        assert values.dtype == dtype
        assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > TINY_P
    for one, other in [(0, 1), (0, 2), (1, 2)]:
        assert abs(np.corrcoef(curves[one], curves[other])[0, 1]) < 0.04


@pytest.mark.parametrize("dtype", DTYPES)
def test_sinusoid_rows_lie_on_their_curve(dtype):
    sinusoid = samplers.Sinusoid(frequency=(0.5, 2.0))
    curves = sinusoid.draw(0, 50, dtype)
    batch = sinusoid.observe(1, curves, 7, 3)
    a, p, w = (np.float64(v)[:, None, None] for v in curves)
    tolerance = 200 * np.finfo(dtype).eps
    for x, y in [(batch.x_support, batch.y_support), (batch.x_query, batch.y_query)]:
        np.testing.assert_allclose(y, a * np.sin(w * np.float64(x) - p), atol=tolerance)
    assert batch.x_support.shape == (50, 7, 1)
    assert batch.y_query.shape == (50, 3, 1)


def test_sinusoid_grid_is_even_and_without_noise():
    sinusoid = samplers.Sinusoid(noise=0.3, x_range=(-2, 4))
    curves = sinusoid.draw(0, 400, np.float64)
    batch = sinusoid.observe_on_grid(1, curves, k_support=10, n_grid=100)
    np.testing.assert_array_equal(batch.x_query[17, :, 0], np.linspace(-2, 4, 100))
    np.testing.assert_array_equal(batch.y_query[..., 0], curves(np.linspace(-2, 4, 100)))
    residual = batch.y_support[..., 0] - curves(batch.x_support[..., 0])
    assert stats.kstest(residual.ravel(), stats.norm(0, 0.3).cdf).pvalue > TINY_P


def test_sinusoid_support_and_query_are_other_points():
    batch = samplers.Sinusoid().sample(0, 200, 10, 10, dtype=np.float64)
    both = np.concatenate([batch.x_support, batch.x_query], axis=1)[..., 0]
    assert all(len(set(row)) == 20 for row in both.tolist())


def test_sinusoid_query_is_as_large_as_the_support_by_default():
    assert samplers.Sinusoid().sample(0, 2, k_support=4).x_query.shape == (2, 4, 1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"amplitude": (5, 1)}, ValueError, "amplitude must be finite with low <= high"),
        ({"phase": (0, np.inf)}, ValueError, "phase must be finite"),
        ({"frequency": 1.0}, TypeError, "frequency must be a pair"),
        ({"x_range": (1, 2, 3)}, TypeError, "x_range must be a pair"),
        ({"noise": -0.1}, ValueError, "noise must be at least 0"),
    ],
)
def test_sinusoid_refuses(options, error, message):
    with pytest.raises(error, match=message):
        samplers.Sinusoid(**options)


# --- splits -------------------------------------------------------------------------------------


@given(st.integers(6, 60), st.integers(0, 2**32))
def test_class_splits_are_disjoint(n_classes, seed):
    parts = samplers.split_classes(np.repeat(np.arange(n_classes), 2), (0.5, 0.25, 0.25), seed)
    together = np.concatenate(parts)
    assert sorted(together.tolist()) == list(range(n_classes))
    assert abs(len(parts[0]) - n_classes / 2) <= 1


def test_class_split_may_leave_some_out_but_no_set_empty():
    train, test = samplers.split_classes(np.arange(10), (0.3, 0.2), 0)
    assert (len(train), len(test)) == (3, 2)
    assert not set(train.tolist()) & set(test.tolist())
    with pytest.raises(ValueError, match="must leave every set a class"):
        samplers.split_classes(np.arange(3), (0.9, 0.1), 0)
    for fractions in [(0.7, 0.7), (0.5, -0.1)]:
        with pytest.raises(ValueError, match="add up to at most 1"):
            samplers.split_classes(np.arange(9), fractions, 0)


@given(st.integers(2, 40), st.data())
def test_group_folds_are_disjoint_and_cover(n_groups, data):
    n_folds = data.draw(st.integers(2, n_groups))
    groups = np.repeat(np.arange(n_groups), 3)
    folds = samplers.split_groups(groups, n_folds, data.draw(st.integers(0, 2**32)))
    assert len(folds) == n_folds
    assert sorted(np.concatenate([test for _, test in folds]).tolist()) == list(range(n_groups))
    for train, test in folds:
        assert not set(train.tolist()) & set(test.tolist())
        assert len(train) + len(test) == n_groups


def test_group_folds_refuse():
    with pytest.raises(ValueError, match="n_folds must be at most 2, the groups"):
        samplers.split_groups(["a", "b", "a"], 3, 0)
    with pytest.raises(ValueError, match="n_folds must be at least 2"):
        samplers.split_groups(["a", "b", "a"], 1, 0)
