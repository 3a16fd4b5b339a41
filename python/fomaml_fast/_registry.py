"""Specs that the core registers by name: how a name or an object becomes one."""

from __future__ import annotations

from typing import Any, TypeVar

from fomaml_fast._shown import shown

Spec = TypeVar("Spec")


def resolve(value: Any, base: type[Spec], by_name: dict[str, type[Spec]], what: str) -> Spec:
    """Return the spec of a registered name (with its defaults), or the object itself."""
    if isinstance(value, base) and type(value) is not base:
        return value
    if isinstance(value, str):
        if value not in by_name:
            raise ValueError(
                f"{what} must be one of {', '.join(sorted(by_name))}, got {shown(value)}"
            )
        return by_name[value]()
    raise TypeError(
        f"{what} must be a name, such as {next(iter(by_name))!r}, or an object made from a class "
        f"of {base.__module__}, got {shown(value)}"
    )


def check_registered(by_name: dict[str, Any], core_names: tuple[str, ...], what: str) -> None:
    """A Python name for every registered C++ file, and no other."""
    if set(by_name) != set(core_names):
        raise ImportError(
            f"{what}: Python names {sorted(by_name)}, the core registers {sorted(core_names)}"
        )
