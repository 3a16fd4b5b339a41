"""Activations of hidden layers, as the core registers them."""

from __future__ import annotations

from fomaml_fast._loader import core


def names() -> tuple[str, ...]:
    """Names accepted by `MLP`, in registry order.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> "tanh" in names()
    True
    """
    return tuple(core.activation_names)
