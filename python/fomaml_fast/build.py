"""What this installation is."""

from __future__ import annotations

from typing import Any

from fomaml_fast._loader import compiled_isas, core


def build_info() -> dict[str, Any]:
    """Facts of the compiled core in use.

    Returns
    -------
    dict
        ``version``, ``isa`` (in use), ``compiled_isas``, ``vector_bytes``, ``threads_backend``,
        ``default_threads``, ``compiler``, ``eigen``, ``engines``.

    Examples
    --------
    >>> sorted(build_info())[:3]
    ['compiled_isas', 'compiler', 'default_threads']
    """
    return {
        "version": core.version,
        "isa": core.isa,
        "compiled_isas": compiled_isas(),
        "vector_bytes": core.vector_bytes,
        "threads_backend": core.threads_backend,
        "default_threads": core.default_threads(),
        "compiler": core.compiler,
        "eigen": core.eigen,
        "engines": tuple(core.engine_names),
    }
