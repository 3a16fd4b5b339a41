"""Samplers of tasks: where meta-batches come from.

``Sinusoid``
    Random sinusoids, the regression tasks of the MAML paper.
``Episodes``
    N-way K-shot classification from any labelled arrays.
``Groups``
    One task per group (country, subject, sensor) from arrays and a group vector.

`split_classes` and `split_groups` separate training from test. A sampler is anything with
``sample(rng, n_tasks)`` (see `Sampler`).
"""

from __future__ import annotations

from fomaml_fast.samplers.episodes import EpisodeRows, Episodes, split_classes
from fomaml_fast.samplers.groups import GroupRows, Groups, split_groups
from fomaml_fast.samplers.protocol import Sampler
from fomaml_fast.samplers.sinusoid import Curves, Sinusoid

_REGISTRY: dict[str, type] = {"episodes": Episodes, "groups": Groups, "sinusoid": Sinusoid}


def names() -> tuple[str, ...]:
    """Return the names of the samplers.

    Returns
    -------
    tuple of str
        The names that `get` knows, in alphabetical order.

    Examples
    --------
    >>> from fomaml_fast import samplers
    >>> samplers.names()
    ('episodes', 'groups', 'sinusoid')
    """
    return tuple(_REGISTRY)


def get(name: str) -> type:
    """Return the sampler class of that name.

    Parameters
    ----------
    name : {"episodes", "groups", "sinusoid"}

    Returns
    -------
    type
        The class itself; call it with its own parameters to make a sampler.

    Raises
    ------
    ValueError
        For any other name.

    Examples
    --------
    >>> from fomaml_fast import samplers
    >>> samplers.get("sinusoid")().sample(0, n_tasks=2).n_tasks
    2
    """
    try:
        return _REGISTRY[name]
    except KeyError:
        raise ValueError(
            f"name must be one of {', '.join(map(repr, _REGISTRY))}, got {name!r}"
        ) from None


__all__ = [
    "Curves",
    "EpisodeRows",
    "Episodes",
    "GroupRows",
    "Groups",
    "Sampler",
    "Sinusoid",
    "get",
    "names",
    "split_classes",
    "split_groups",
]
