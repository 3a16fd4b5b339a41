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

from fomaml_fast._arrays import one_of as _one_of

# A line here registers a sampler; its name is that of its class in small letters.
from fomaml_fast.samplers.episodes import EpisodeRows as EpisodeRows
from fomaml_fast.samplers.episodes import Episodes as Episodes
from fomaml_fast.samplers.groups import GroupRows as GroupRows
from fomaml_fast.samplers.groups import Groups as Groups
from fomaml_fast.samplers.protocol import Sampler as Sampler
from fomaml_fast.samplers.sinusoid import Curves as Curves
from fomaml_fast.samplers.sinusoid import Sinusoid as Sinusoid
from fomaml_fast.samplers.splits import split_classes as split_classes
from fomaml_fast.samplers.splits import split_groups as split_groups

_REGISTRY: dict[str, type] = {
    name.lower(): value
    for name, value in sorted(vars().items())
    if isinstance(value, type) and hasattr(value, "sample") and value is not Sampler
}


def names() -> tuple[str, ...]:
    """Return the names of the samplers.

    Returns
    -------
    tuple of str
        The names that `get` knows, in alphabetical order.

    Examples
    --------
    >>> from fomaml_fast import samplers
    >>> "groups" in samplers.names()
    True
    """
    return tuple(_REGISTRY)


def get(name: str) -> type:
    """Return the sampler class of that name.

    Parameters
    ----------
    name : str
        One of `names`, such as "sinusoid".

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
    return _REGISTRY[_one_of(name, "name", names())]


__all__ = sorted(
    name
    for name, value in vars().items()
    if not name.startswith("_") and str(getattr(value, "__module__", "")).startswith(__name__)
)
