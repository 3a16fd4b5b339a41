"""A fuzz of garbage: a process of its own, that a crash takes down alone.

``python tests/garbage_fuzz.py SECONDS SEED`` prints one finding a line and ends with how many calls
there were: each argument of each public callable is spoiled by each kind of garbage, then pairs at
random until the time is over.
"""

from __future__ import annotations

import faulthandler
import random
import sys
import time
import traceback
import warnings
from collections import Counter
from typing import Any

import numpy as np

import fomaml_fast as ff
from garbage import GARBAGE, arrays_within
from garbage_calls import CONSTANTS, Call
from garbage_learners import CALLS

#: What a call may raise; TaskBatch.take raises IndexError, too.
ALLOWED = (ValueError, TypeError, ff.DivergenceError)
#: A call that takes longer hangs, whatever the machine.
LONGEST = 20
#: Words of a message that is somebody else's.
FOREIGN = ("incompatible function arguments", "__init__()", "'NoneType'", "object has no attribute")

#: Garbage at whose losses a dtype ends.
OVERFLOWS = {"array largest"}
#: Calls that return losses, alone or first.
RETURN_LOSSES = {"MLP.loss", "MLP.value_and_grad"}
#: What a sentence may name in the place of an argument, and why that is as good.
ALSO: dict[str, tuple[str, ...]] = {
    # Rows, parameters or labels of a valid kind, which those that came along do not fit.
    "theta": (
        "x must",
        "x is",
        "y is",
        "rates",
        "context",
        "v is",
        "v must",
        "cotangent",
        "state.r",
    ),
    "x": (
        "y must",
        "y is",
        "y cannot",
        "weights",
        "mask",
        "cotangent",
        "theta must",
        "y holds",
        "tangent must",
    ),
    "y": ("class_mask", "custom loss", "operands could not"),
    "class_mask": ("y must",),
    "x_support": ("y_support", "weights_support", "mask_support", "x_query", "task_weights"),
    "y_support": ("y_query", "class_mask"),
    "y_query": ("class_mask", "mask_query", "weights_query"),
    "x_query": ("y_query", "weights_query", "mask_query"),
    "mask_support": ("x_query",),
    # A network, state or optimiser of another kind.
    "net": (
        "theta",
        "x_support",
        "y_support",
        "context",
        "adapt names",
        "adapt=",
        "x must",
        "layers",
    ),
    "outer": ("state.moments",),
    "algorithm": (
        "state.moments",
        "rates",
        "context",
        "takes 0 positional arguments",
        "has no len()",
    ),
    "rates": ("state.rates", "state.moments"),
    "moments": ("state.moments",),
    # Parts of a jet, which must fit each other.
    "directions": ("cotangent.first",),
    "value": ("cotangent",),
    # A function of the caller's own: here a builtin.
    "metrics": ("takes exactly one argument",),
    # Fields of a specification that have no meaning together.
    "lr": ("context with", "inner.lr", "learn_rates"),
    "inner": ("lr", "proximal", "weight decay"),
    "steps": ("step_weights", "algorithm.steps", "warmup", "layers"),
    "gradient": ("learn_rates", "step_weights", "context"),
    "sizes": ("activation", "norm"),
    "rates ": ("boundaries",),
    "boundaries": ("rates",),
    "momentum": ("nesterov",),
    "dampening": ("nesterov",),
    # What a function of the caller's returned.
    "returned": ("custom loss", "value", "gradient"),
    "product": ("custom loss", "hessian_vector"),
}


def spoiled(call: Call, wrongs: dict[str, str]) -> dict[str, Any]:
    """Arguments of a call, some of them garbage."""
    return {**call.arguments, **{argument: GARBAGE[kind]() for argument, kind in wrongs.items()}}


def _is_flags(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == bool


def _hidden(name: str, result: Any) -> bool:
    """Whether a result holds numbers that are not finite and does not say so."""
    losses = None
    if name.partition(" ")[0] in RETURN_LOSSES:
        losses = result[0] if isinstance(result, tuple) else result
    flagged = getattr(result, "diverged", None)
    if flagged is None and isinstance(result, tuple) and len(result) == 2:  # thetas, diverged
        flagged = result[1] if isinstance(result[1], bool) or _is_flags(result[1]) else None
    if flagged is not None and np.any(flagged):
        return False
    if isinstance(result, ff.Evaluation):
        return not np.isfinite(result.losses).all()
    if losses is not None:  # which may be infinite: they say so themselves
        result = result[1:] if isinstance(result, tuple) else ()
        if np.isnan(losses).any():
            return True
    arrays = [np.asarray(a) for a in arrays_within(result)]
    return not all(np.isfinite(a).all() for a in arrays if a.dtype.kind == "f")


def finding(name: str, wrongs: dict[str, str]) -> str | None:
    """Make one call; return what is wrong with how it ended."""
    call = CALLS[name]
    arguments = spoiled(call, wrongs)
    try:
        result = call.function(**arguments)
    except OverflowError as error:  # of the result, which no single argument is to blame for
        return None if OVERFLOWS & set(wrongs.values()) else _told(error)
    except ALLOWED as error:
        return _about_message(error, wrongs)
    except IndexError as error:
        return None if name == "TaskBatch.take" else _told(error)
    except BaseException as error:
        return _told(error)
    scanned = arguments.get("check_finite") is True or "check_finite" not in arguments
    if scanned and not set(wrongs) & set(call.unscanned) and _hidden(name, result):
        return "returned what is not finite"
    return None


def _about_message(error: Exception, wrongs: dict[str, str]) -> str | None:
    try:
        text = str(error)
    except BaseException as another:
        return f"a message that cannot be shown: {_told(another)}"
    if len(text) > 2000:
        return f"a message of {len(text)} characters"
    if any(word in text for word in FOREIGN):
        return _told(error)
    if isinstance(error, ff.DivergenceError) or len(wrongs) > 1:
        return None
    argument = next(iter(wrongs))
    if not any(word in text for word in (argument, *ALSO.get(argument, ()))):
        return f"does not name the argument: {_told(error)}"
    return None


def _told(error: BaseException) -> str:
    try:
        text = str(error)[:200]
    except BaseException:
        text = "?"
    frames = traceback.extract_tb(error.__traceback__)
    where = [f for f in frames if "/fomaml_fast/" in f.filename][-1:] or frames[-1:]
    place = f"{where[0].filename.rpartition('/')[2]}:{where[0].lineno}"
    return f"{type(error).__name__}: {text} ({place})"


def singles() -> list[tuple[str, dict[str, str]]]:
    """Every argument spoiled by every kind of garbage."""
    return [
        (name, {argument: kind})
        for name, call in CALLS.items()
        for argument in call.arguments
        for kind in GARBAGE
    ]


def pairs(rng: random.Random) -> tuple[str, dict[str, str]]:
    """A call with two arguments spoiled."""
    name = rng.choice([n for n, call in CALLS.items() if len(call.arguments) > 1])
    kinds = list(GARBAGE)
    chosen = rng.sample(list(CALLS[name].arguments), 2)
    return name, {argument: rng.choice(kinds) for argument in chosen}


def main(seconds: float, seed: int) -> None:
    """Fuzz for that long; print findings."""
    faulthandler.enable()
    warnings.simplefilter("ignore")
    before = [np.array(a) for a in CONSTANTS]
    rng = random.Random(seed)
    todo = singles()
    rng.shuffle(todo)
    start, count = time.monotonic(), 0
    found: Counter[str] = Counter()
    example: dict[str, str] = {}
    while time.monotonic() - start < seconds:
        name, wrongs = todo.pop() if todo else pairs(rng)
        faulthandler.dump_traceback_later(LONGEST, exit=True)
        wrong = finding(name, wrongs)
        faulthandler.cancel_dump_traceback_later()
        count += 1
        if wrong is not None:
            found[f"{name} {wrong}"] += 1
            example[f"{name} {wrong}"] = str(wrongs)
        if count % 50 == 0 or wrong is not None:
            for array, old in zip(CONSTANTS, before, strict=True):
                if not np.array_equal(array, old):
                    print(f"{name} {wrongs}: changed its arguments")
    for wrong, times in found.most_common():
        print(f"{times:5} {example[wrong]}: {wrong}".encode("ascii", "backslashreplace").decode())
    print(f"{count} calls, {len(todo)} singles left, {len(found)} findings")


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
