"""Picks the compiled core: the best instruction set that was built and that this processor runs.

Each instruction set is its own extension module (``_core_x86_64_v3``, ``_core_neon``, ...), so no
binary ever holds code for a processor it may not run on. ``FOMAML_FAST_ISA`` forces one by name.
"""

from __future__ import annotations

import importlib
import os
import warnings
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from fomaml_fast._arrays import as_count, as_flag
from fomaml_fast._convert import convert
from fomaml_fast._cpu import ISAS, runnable_isas
from fomaml_fast.errors import DivergenceError, refused

__all__ = ["ISA_VARIABLE", "choose_isa", "compiled_isas", "core"]

#: Environment variable that forces an instruction set, e.g. ``FOMAML_FAST_ISA=x86_64_v2``.
ISA_VARIABLE = "FOMAML_FAST_ISA"

#: Environment variable with the number of threads of calls that do not say.
THREADS_VARIABLE = "FOMAML_FAST_NUM_THREADS"


def _module_name(isa: str) -> str:
    return f"_core_{isa}"


def _search_path() -> list[str]:
    # The package's own path: an editable install may keep extension modules elsewhere.
    import fomaml_fast

    return list(fomaml_fast.__path__)


def compiled_isas() -> tuple[str, ...]:
    """Instruction sets that this installation holds a core for, best first.

    Returns
    -------
    tuple of str
        Names out of ``("x86_64_v4", "x86_64_v3", "x86_64_v2", "neon", "generic")``.

    Examples
    --------
    >>> "generic" in compiled_isas() or len(compiled_isas()) > 0
    True
    """
    places = [Path(place) for place in _search_path()]
    return tuple(
        isa
        for isa in ISAS
        if any(
            (place / (_module_name(isa) + suffix)).is_file()
            for place in places
            for suffix in EXTENSION_SUFFIXES
        )
    )


def _how_to_build(isas: str) -> str:
    command = f"pip install . --config-settings=cmake.define.FOMAML_FAST_ISAS={isas}"
    return f"build one with {command!r} in a clone (docs/install.md)"


def choose_isa(compiled: tuple[str, ...], runnable: tuple[str, ...], forced: str | None) -> str:
    """Name of the core to load.

    Parameters
    ----------
    compiled, runnable : tuple of str
        What the installation holds and what the processor runs, each best first.
    forced : str or None
        The user's own choice; None or empty for the best of both.

    Returns
    -------
    str
        A member of both tuples.

    Raises
    ------
    ImportError
        If `forced` was not compiled or does not run here, or if nothing compiled runs here. The
        message names what is compiled, what the processor can run, and the build option that adds
        what is missing.

    Examples
    --------
    >>> choose_isa(("x86_64_v4", "x86_64_v3"), ("x86_64_v3", "x86_64_v2"), None)
    'x86_64_v3'
    """
    facts = f"compiled: {', '.join(compiled) or 'none'}; this processor runs: {', '.join(runnable)}"
    if forced:
        if forced not in compiled:
            hint = f": {_how_to_build(forced)}" if forced in ISAS else ""
            raise ImportError(f"{ISA_VARIABLE}={forced!r} has no compiled core ({facts}){hint}")
        if forced not in runnable:
            raise ImportError(f"{ISA_VARIABLE}={forced!r} does not run on this machine ({facts})")
        return forced
    for isa in runnable:
        if isa in compiled:
            return isa
    # A processor without any of the named levels runs none of those that "all" builds.
    hint = _how_to_build("all" if len(runnable) > 1 else runnable[0])
    raise ImportError(f"fomaml_fast holds no core that runs on this machine ({facts}): {hint}")


def count(value: object, name: str, least: int) -> int:
    """Return what the core takes for a count, or say what is wrong with it."""
    return as_count(value, name, least=least)


def _load() -> ModuleType:
    isa = choose_isa(compiled_isas(), runnable_isas(), os.environ.get(ISA_VARIABLE))
    loaded = importlib.import_module(f"fomaml_fast.{_module_name(isa)}")
    threads = os.environ.get(THREADS_VARIABLE)
    if threads and loaded.requested_threads() == 0:
        warnings.warn(
            f"{THREADS_VARIABLE}={threads!r} is ignored: not a number from 1",
            RuntimeWarning,
            stacklevel=2,
        )
    loaded.set_hooks(
        convert=convert, count=count, flag=as_flag, refused=refused, diverged=DivergenceError
    )
    return loaded


if TYPE_CHECKING:
    # The stub describes what every compiled core exports.
    from fomaml_fast import _core as core
else:
    core = _load()
