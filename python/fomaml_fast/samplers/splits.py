"""Splits of classes and groups into disjoint sets, such as training and testing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import as_count, as_number
from fomaml_fast._shown import shown
from fomaml_fast.samplers.labels import as_labels
from fomaml_fast.samplers.random import Seed, as_generator
from fomaml_fast.samplers.reading import Array


def split_classes(y: npt.ArrayLike, fractions: Sequence[float], rng: Seed) -> tuple[Array, ...]:
    """Split the classes of ``y`` at random into disjoint sets, e.g. for training and testing.

    Parameters
    ----------
    y : array_like, shape [rows]
        Class of each row; any dtype that sorts, none missing.
    fractions : sequence of float
        Share of the classes in each set; positive, adding up to at most 1.
    rng : numpy.random.Generator or int

    Returns
    -------
    tuple of ndarray
        The classes of each set, sorted; pass one as ``Episodes(..., classes=)``.

    Raises
    ------
    TypeError, ValueError
        For missing classes, or fractions that are no positive numbers, add up to more than 1 or
        leave a set without a class.

    Examples
    --------
    >>> from fomaml_fast.samplers import split_classes
    >>> train, test = split_classes(list("aabbccddee"), (0.6, 0.4), rng=0)
    >>> len(train), len(test), sorted({*train.tolist(), *test.tolist()})
    (3, 2, ['a', 'b', 'c', 'd', 'e'])
    """
    classes = as_labels("y", y).known
    shares = _shares(fractions)
    ends = np.rint(np.cumsum(shares) * len(classes)).astype(int)
    order = as_generator(rng).permutation(len(classes))
    sets = [np.sort(part) for part in np.split(order, ends)[: len(shares)]]
    for share, part in zip(shares, sets, strict=True):
        if len(part) == 0:
            raise ValueError(
                f"fractions must leave every set a class, but {share:g} of {len(classes)} is none"
            )
    return tuple(classes[part] for part in sets)


def _shares(fractions: Sequence[float]) -> list[float]:
    try:
        items = [] if isinstance(fractions, str | bytes) else list(fractions)
    except TypeError:
        items = []
    if not items:
        raise TypeError(f"fractions must be a sequence of numbers, got {shown(fractions)}")
    shares = [as_number(share, f"fractions[{i}]") for i, share in enumerate(items)]
    if min(shares) <= 0 or sum(shares) > 1 + 1e-9:
        raise ValueError(
            f"fractions must be positive numbers that add up to at most 1, got {shown(shares)}"
        )
    return shares


def split_groups(groups: npt.ArrayLike, n_folds: int, rng: Seed) -> list[tuple[Array, Array]]:
    """Split groups into folds for cross-validation: no group is on both sides of a fold.

    Parameters
    ----------
    groups : array_like, shape [rows]
        Group of each row; any dtype that sorts, none missing.
    n_folds : int
        At least 2, at most the number of groups.
    rng : numpy.random.Generator or int

    Returns
    -------
    list of (train, test)
        The groups of both sides, sorted, per fold; each group is in one test set. Pass them as
        ``Groups(..., among=)``.

    Raises
    ------
    TypeError, ValueError
        For missing groups, or more folds than groups.

    Examples
    --------
    >>> from fomaml_fast.samplers import split_groups
    >>> folds = split_groups(["Chad", "Peru", "Chad", "Togo"], 3, rng=0)
    >>> [len(train) for train, test in folds], sorted(g for _, test in folds for g in test.tolist())
    ([2, 2, 2], ['Chad', 'Peru', 'Togo'])
    """
    known = as_labels("groups", groups).known
    n_folds = as_count(n_folds, "n_folds", least=2)
    if n_folds > len(known):
        raise ValueError(f"n_folds must be at most {len(known)}, the groups, got {n_folds}")
    order = as_generator(rng).permutation(len(known))
    folds = []
    for part in np.array_split(order, n_folds):
        tested = np.zeros(len(known), dtype=np.bool_)
        tested[part] = True
        folds.append((known[~tested], known[tested]))
    return folds
