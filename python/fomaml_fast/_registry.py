"""Specs of what the core registers: activations, losses, inner and outer optimisers.

The core says which members a family has, and the names and defaults of their options. A class
written here adds documentation and checked ranges; a member that has none gets one made.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import field, fields, make_dataclass
from functools import wraps
from typing import Any, ClassVar, Generic, TypeVar

from fomaml_fast._arrays import as_flag, as_number, is_sequence
from fomaml_fast._loader import core
from fomaml_fast._shown import shown
from fomaml_fast._words import did_you_mean, renamed

Class = TypeVar("Class", bound=type)


class Spec:
    """Base of all specs: the name of a member of a family, and the values of its options."""

    name: ClassVar[str]
    #: The family, as the core calls it.
    _family: ClassVar[str]

    def __post_init__(self) -> None:
        if not hasattr(type(self), "name"):
            raise TypeError(
                f"{type(self).__name__} is the base of a family, not a member of it: take one of "
                f"{', '.join(core.options[self._family])}"
            )
        for name in self._option_names():
            if isinstance(getattr(type(self), name, None), bool):
                self._check_flag(name)
            elif hasattr(self, name):
                self._check_number(name)

    @classmethod
    def _option_names(cls) -> tuple[str, ...]:
        return tuple(name for name, _ in core.options[cls._family].get(cls.name, ()))

    def _option(self, name: str) -> float:
        return float(getattr(self, name))

    @property
    def options(self) -> tuple[float, ...]:
        """Hyper-parameters of the member itself, in the core's order."""
        return tuple(map(self._option, self._option_names()))

    def _question(self) -> None:
        """Ask about what is valid, but seldom meant."""

    def __repr__(self) -> str:
        """All arguments."""
        parts = (f"{f.name}={getattr(self, f.name)!r}" for f in fields(self))  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(parts)})"

    def _check_number(self, name: str, **bounds: float | None) -> None:
        object.__setattr__(self, name, as_number(getattr(self, name), name, **bounds))

    def _check_below_one(self, name: str) -> None:
        self._check_number(name, least=0)
        if getattr(self, name) >= 1:
            raise ValueError(f"{name} must be below 1, got {getattr(self, name)}")

    def _check_flag(self, name: str) -> None:
        object.__setattr__(self, name, as_flag(getattr(self, name), name))


class MomentSpec(Spec):
    """Base of specs whose options beta1 and beta2 are one argument, ``betas``."""

    betas: tuple[float, float]

    def _check_betas(self) -> None:
        if not is_sequence(self.betas) or len(self.betas) != 2:
            raise TypeError(f"betas must be two numbers, got {shown(self.betas)}")
        first, second = self.betas
        betas = (as_number(first, "betas[0]", least=0), as_number(second, "betas[1]", least=0))
        if max(betas) >= 1:
            raise ValueError(f"betas must be below 1, got {betas}")
        object.__setattr__(self, "betas", betas)

    def _option(self, name: str) -> float:
        return self.betas[name == "beta2"] if name in ("beta1", "beta2") else super()._option(name)


Member = TypeVar("Member", bound=Spec)


def defaults(family: str) -> dict[str, dict[str, float]]:
    """Default of every option of every member of a family, by name."""
    return {name: dict(options) for name, options in core.options[family].items()}


def names_arguments(cls: Class) -> Class:
    """Let a dataclass answer an argument that it does not have with the one that was meant."""
    make: Callable[..., None] = vars(cls)["__init__"]
    known = tuple(f.name for f in fields(cls))

    @wraps(make)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        for argument in kwargs:
            if argument not in known:
                raise TypeError(
                    f"{cls.__name__} has no argument {argument}, "
                    f"only {', '.join(known) or 'none at all'}{renamed(argument, known)}"
                )
        make(self, *args, **kwargs)
        self._question()

    setattr(cls, "__init__", init)  # noqa: B010
    return cls


class Family(Generic[Member]):
    """The classes of one family: those written in a module, and one made for any other member.

    Parameters
    ----------
    base : type
        Base of the family's classes; its module gets the classes that are made.
    own : sequence of type
        The classes written there.
    what : str
        What errors call a member.
    """

    def __init__(self, base: type[Member], own: Sequence[type[Member]], what: str) -> None:
        self.base, self.what = base, what
        self.names: tuple[str, ...] = tuple(core.options[base._family])
        written = {kind.name: kind for kind in own}
        unknown = written.keys() - set(self.names)
        if unknown:
            raise ImportError(f"{what}: the core does not register {sorted(unknown)}")
        self.classes = {name: written.get(name) or self._made(name) for name in self.names}

    def _made(self, name: str) -> type[Member]:
        """The class of a member that only the core knows: its options, with their defaults."""
        title = re.sub("(?:^|_)(.)", lambda match: match[1].upper(), name)
        module = sys.modules[self.base.__module__]
        options = [
            (option, float, field(default=value, kw_only=True))
            for option, value in core.options[self.base._family][name]
        ]
        made = make_dataclass(
            title,
            options,
            bases=(self.base,),
            namespace={
                "name": name,
                "__doc__": f"The core's `{name}`.",
                "__module__": module.__name__,
            },
            frozen=True,
            repr=False,
        )
        setattr(module, title, names_arguments(made))
        return made

    def named(self, name: Any, argument: str = "name") -> type[Member]:
        """Return the class of a registered name."""
        if not isinstance(name, str) or name not in self.classes:
            raise ValueError(
                f"{argument} must be one of {', '.join(self.names)}, got {shown(name)}"
                f"{did_you_mean(name, self.names)}"
            )
        return self.classes[name]

    def get(self, value: Any, argument: str) -> Member:
        """Return the spec of a registered name, with its defaults, or the object itself."""
        if isinstance(value, self.base) and type(value) is not self.base:
            return value
        if isinstance(value, str):
            return self.named(value, argument)()
        meant = isinstance(value, type) and value in self.classes.values()
        hint = f"; did you mean {value.__name__}()?" if meant else ""
        raise TypeError(
            f"{argument} must be a name, such as {self.names[0]!r}, or an object made from a class "
            f"of {self.base.__module__}, got {shown(value)}{hint}"
        )
