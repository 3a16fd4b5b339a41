"""Which instruction sets the core can be compiled for, and which of them this processor runs.

Standard library only and importable by path: the build runs this file as a script to find the
best level of the building machine, so that the build and the loader can never disagree.
"""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable

#: What each x86-64 microarchitecture level adds to the one before (the x86-64 psABI), by the
#: names the Linux kernel uses.
_X86_ADDS: dict[str, frozenset[str]] = {
    "x86_64_v2": frozenset({"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"}),
    "x86_64_v3": frozenset({"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"}),
    "x86_64_v4": frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
}

#: Every name the build accepts, best first; `generic` is whatever the compiler targets by default.
ISAS: tuple[str, ...] = ("x86_64_v4", "x86_64_v3", "x86_64_v2", "neon", "generic")

# Where CPUID reports each feature: (leaf index in glibc's order, register, bit).
_EBX, _ECX = 1, 2
_CPUID_BITS: dict[str, tuple[int, int, int]] = {
    "ssse3": (0, _ECX, 9),
    "fma": (0, _ECX, 12),
    "cx16": (0, _ECX, 13),
    "sse4_1": (0, _ECX, 19),
    "sse4_2": (0, _ECX, 20),
    "movbe": (0, _ECX, 22),
    "popcnt": (0, _ECX, 23),
    "avx": (0, _ECX, 28),
    "f16c": (0, _ECX, 29),
    "bmi1": (1, _EBX, 3),
    "avx2": (1, _EBX, 5),
    "bmi2": (1, _EBX, 8),
    "avx512f": (1, _EBX, 16),
    "avx512dq": (1, _EBX, 17),
    "avx512cd": (1, _EBX, 28),
    "avx512bw": (1, _EBX, 30),
    "avx512vl": (1, _EBX, 31),
    "lahf_lm": (2, _ECX, 0),
    "abm": (2, _ECX, 5),
}

# Spellings of macOS' sysctl, lower-cased, that differ from the kernel's above.
_DARWIN_NAMES = {
    "avx1.0": "avx",
    "lahf": "lahf_lm",
    "lzcnt": "abm",
    "sse4.1": "sse4_1",
    "sse4.2": "sse4_2",
}


class _CpuidLeaf(ctypes.Structure):
    """``struct cpuid_feature`` of ``<sys/platform/x86.h>``: eax, ebx, ecx, edx, twice."""

    _fields_ = (("present", ctypes.c_uint32 * 4), ("active", ctypes.c_uint32 * 4))


def _flags_from_glibc() -> set[str]:
    """Features that processor and system both enable, as CPUID tells this very process.

    glibc >= 2.33. Preferred to /proc/cpuinfo because it is also right under user-mode emulation.
    """
    leaf_of = ctypes.CDLL(None).__x86_get_cpuid_feature_leaf
    leaf_of.argtypes = [ctypes.c_uint]
    leaf_of.restype = ctypes.POINTER(_CpuidLeaf)
    return {
        name
        for name, (leaf, register, bit) in _CPUID_BITS.items()
        if leaf_of(leaf).contents.active[register] >> bit & 1
    }


def _flags_from_proc() -> set[str]:
    """Features according to the Linux kernel (musl, older glibc)."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
        for line in lines:
            key, _, value = line.partition(":")
            if key.strip() == "flags":
                return set(value.split())
    raise OSError("/proc/cpuinfo lists no flags")


def _flags_from_sysctl() -> set[str]:
    """Features according to macOS on an Intel processor."""
    keys = ("features", "leaf7_features", "extfeatures")
    answer = subprocess.run(
        ["/usr/sbin/sysctl", "-n", *(f"machdep.cpu.{key}" for key in keys)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {_DARWIN_NAMES.get(name, name) for name in answer.lower().split()}


def _x86_flags() -> set[str] | None:
    """Feature names of this x86-64 processor; None where no source answers."""
    sources: tuple[Callable[[], set[str]], ...] = (
        _flags_from_glibc,
        _flags_from_proc,
        _flags_from_sysctl,
    )
    for source in sources:
        try:
            return source()
        except (OSError, AttributeError, subprocess.SubprocessError):
            continue
    return None


def x86_levels(flags: Iterable[str]) -> tuple[str, ...]:
    """Microarchitecture levels that a set of features satisfies, best first.

    Parameters
    ----------
    flags : iterable of str
        Feature names as in ``/proc/cpuinfo``.

    Returns
    -------
    tuple of str
        The levels, best first; a level counts only if all below it do.

    Examples
    --------
    >>> x86_levels(["ssse3", "sse4_1", "sse4_2", "popcnt", "cx16", "lahf_lm", "avx"])
    ('x86_64_v2',)
    """
    have = set(flags)
    levels: list[str] = []
    for level, needs in _X86_ADDS.items():
        if not needs <= have:
            break
        levels.insert(0, level)
    return tuple(levels)


def runnable_isas() -> tuple[str, ...]:
    """Names out of `ISAS` that this processor runs, best first.

    Returns
    -------
    tuple of str
        Never empty: it ends with ``"generic"``, which is what the compiler targets by default.

    Examples
    --------
    >>> runnable_isas()[-1]
    'generic'
    """
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        flags = _x86_flags()
        # A system that cannot be asked (not Linux, not macOS) gets the level of every x86-64
        # processor of the last fifteen years.
        return (*(("x86_64_v2",) if flags is None else x86_levels(flags)), "generic")
    if machine in ("aarch64", "arm64"):
        return ("neon", "generic")
    return ("generic",)


if __name__ == "__main__":
    sys.stdout.write(";".join(runnable_isas()) + "\n")
