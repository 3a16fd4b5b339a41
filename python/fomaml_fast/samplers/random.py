"""Random choices for many tasks at once."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import as_count, as_seed

IntArray: TypeAlias = npt.NDArray[np.int64]
Seed: TypeAlias = np.random.Generator | int | np.integer[Any]

#: Sorting random keys for all numbers of a row is fastest up to so many times the numbers taken;
#: keeping new numbers of a sequence needs at least so many times them.
_DENSE, _SPARSE = 10, 3


def as_generator(rng: Seed) -> np.random.Generator:
    """Return a generator: the one given, or a new one from an integer seed of any size.

    Raises
    ------
    TypeError
        For anything else; ``None`` is refused so that every draw can be repeated.
    ValueError
        For a negative seed.

    Examples
    --------
    >>> from fomaml_fast.samplers.random import as_generator
    >>> bool(as_generator(7).random() == as_generator(7).random())
    True
    """
    if isinstance(rng, np.random.Generator):
        return rng
    return np.random.default_rng(as_seed(rng, "rng"))


def as_steps(steps: int | None) -> int | None:
    """Return in how many inner steps, each with rows of its own, support rows are dealt out."""
    return None if steps is None else as_count(steps, "steps", least=1)


def in_steps(rows: npt.NDArray[Any], steps: int | None) -> npt.NDArray[Any]:
    """Return support rows ``[T, S·K, ...]``, in their order, as ``[T, S, K, ...]``."""
    if steps is None:
        return rows
    return rows.reshape(rows.shape[0], steps, rows.shape[1] // steps, *rows.shape[2:])


def choose(rng: np.random.Generator, n_from: npt.ArrayLike, n_take: int, n_rows: int) -> IntArray:
    """Draw ``n_take`` distinct numbers below ``n_from``, in random order, once per row.

    Parameters
    ----------
    rng : numpy.random.Generator
    n_from : int or array_like of int, shape [n_rows]
        How many there are to choose from, all rows alike or per row; each at least ``n_take``.
    n_take, n_rows : int

    Returns
    -------
    ndarray of int64, shape [n_rows, n_take]
        Every ordered selection is equally likely; rows are independent.

    Notes
    -----
    Time and memory follow ``n_rows * n_take``, whatever ``n_from`` is.
    """
    sizes = np.asarray(n_from, dtype=np.int64)
    if sizes.shape != (n_rows,):
        sizes = np.full(n_rows, n_from, dtype=np.int64)
    if n_rows == 0 or n_take == 0:
        return np.empty((n_rows, n_take), dtype=np.int64)
    if int(sizes.max()) <= _DENSE * n_take:
        return _by_sorted_keys(rng, sizes, n_take)
    if int(sizes.min()) >= _SPARSE * n_take:
        return _by_first_occurrence(rng, sizes, n_take)
    few = sizes <= _DENSE * n_take
    chosen = np.empty((n_rows, n_take), dtype=np.int64)
    chosen[few] = _by_sorted_keys(rng, sizes[few], n_take)
    chosen[~few] = _by_first_occurrence(rng, sizes[~few], n_take)
    return chosen


def _by_sorted_keys(rng: np.random.Generator, sizes: IntArray, n_take: int) -> IntArray:
    widest = int(sizes.max())
    keys = rng.random((len(sizes), widest))
    keys += np.arange(widest) >= sizes[:, None]  # sorts after all that are below 1
    return keys.argsort(axis=1)[:, :n_take]


def _by_first_occurrence(rng: np.random.Generator, sizes: IntArray, n_take: int) -> IntArray:
    """Draw with replacement and keep what is new, in the order in which it came.

    Nothing in "the first n_take distinct numbers of a sequence of equal chances" prefers a number
    to another, so every ordered selection is equally likely. Rows whose sequence was too short
    start again, which prefers none either.
    """
    # Two numbers of a row are equal about so often; the margin makes a second round rare.
    repeats = n_take * n_take / (2 * int(sizes.min()))
    width = n_take + int(1.3 * repeats + 4 * repeats**0.5) + 1
    drawn = rng.integers(0, sizes[:, None], (len(sizes), width))

    # Sorted by value, and by position among equals: all but the first of each value are repeats.
    bits = width.bit_length()
    keyed = (drawn << bits) | np.arange(width)
    keyed.sort(axis=1)
    value = keyed >> bits
    row, column = np.nonzero(value[:, 1:] == value[:, :-1])
    if len(row) == 0:
        return drawn[:, :n_take]
    fresh = np.ones(drawn.shape, dtype=np.bool_)
    fresh[row, keyed[row, column + 1] & ((1 << bits) - 1)] = False

    count = fresh.cumsum(axis=1)
    enough = count[:, -1] >= n_take
    fresh &= count <= n_take
    if enough.all():
        return drawn[fresh].reshape(len(sizes), n_take)
    chosen = np.empty((len(sizes), n_take), dtype=np.int64)
    chosen[enough] = drawn[enough][fresh[enough]].reshape(-1, n_take)
    chosen[~enough] = _by_first_occurrence(rng, sizes[~enough], n_take)
    return chosen


def deal(rng: np.random.Generator, n_items: int, n_draws: int) -> IntArray:
    """Draw items like cards: each comes once before any comes again, every deck newly shuffled.

    Examples
    --------
    >>> import numpy as np
    >>> from fomaml_fast.samplers.random import deal
    >>> cards = deal(np.random.default_rng(0), n_items=3, n_draws=7)
    >>> sorted(cards[:3].tolist()), sorted(cards[3:6].tolist())
    ([0, 1, 2], [0, 1, 2])
    """
    n_decks, n_more = divmod(n_draws, n_items)
    if n_decks == 0:
        return _some(rng, n_items, n_more)
    decks: IntArray = rng.permuted(np.tile(np.arange(n_items), (n_decks, 1)), axis=1).ravel()
    return decks if n_more == 0 else np.concatenate([decks, _some(rng, n_items, n_more)])


def _some(rng: np.random.Generator, n_items: int, n_take: int) -> IntArray:
    if n_items <= 8 * n_take:
        order: IntArray = rng.permutation(n_items)
        return order[:n_take]
    return choose(rng, n_items, n_take, 1).ravel()
