"""Random choices for many tasks at once."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

IntArray: TypeAlias = npt.NDArray[np.int64]
Seed: TypeAlias = np.random.Generator | int


def as_generator(rng: Seed) -> np.random.Generator:
    """Return a generator: the one given, or a new one from an integer seed.

    Raises
    ------
    TypeError
        For anything else; ``None`` is refused so that every draw can be repeated.

    Examples
    --------
    >>> from fomaml_fast.samplers.random import as_generator
    >>> bool(as_generator(7).random() == as_generator(7).random())
    True
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
        if rng < 0:
            raise ValueError(f"rng must be a seed of at least 0, got {rng}")
        return np.random.default_rng(int(rng))
    raise TypeError(
        f"rng must be a numpy.random.Generator or an integer seed, got {type(rng).__name__}"
    )


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
    Floyd's algorithm (Bentley & Floyd, Communications of the ACM 30(9), 1987) costs
    ``n_take**2`` a row whatever ``n_from`` is; sorting random keys costs ``n_from``.
    """
    sizes = np.broadcast_to(np.asarray(n_from, dtype=np.int64), (n_rows,))
    if n_rows == 0 or n_take == 0:
        return np.empty((n_rows, n_take), dtype=np.int64)
    if n_take * n_take > 4 * int(sizes.max()):
        return shuffled(rng, sizes)[:, :n_take]
    # A column per draw, so that each comparison below runs over contiguous memory.
    chosen = np.empty((n_take, n_rows), dtype=np.int64)
    for i in range(n_take):
        last = sizes - n_take + i
        pick = rng.integers(0, last + 1)
        taken = (chosen[:i] == pick).any(axis=0)
        chosen[i] = np.where(taken, last, pick)
    # Floyd's subset is uniform, its order is not.
    order = np.argsort(rng.random((n_rows, n_take)), axis=1)
    return np.take_along_axis(chosen.T, order, axis=1)


def shuffled(rng: np.random.Generator, sizes: npt.NDArray[np.integer[Any]]) -> IntArray:
    """Shuffle ``0 … sizes[r] − 1`` in each row r; the columns beyond hold the larger numbers.

    Returns
    -------
    ndarray of int64, shape [len(sizes), max(sizes)]
    """
    widest = int(sizes.max(initial=0))
    keys = rng.random((len(sizes), widest))
    keys[np.arange(widest) >= sizes[:, None]] = 2.0  # sorts after every key, which are below 1
    return np.argsort(keys, axis=1, kind="stable").astype(np.int64, copy=False)


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
    n_decks = -(-n_draws // n_items)
    return shuffled(rng, np.full(n_decks, n_items)).ravel()[:n_draws]
