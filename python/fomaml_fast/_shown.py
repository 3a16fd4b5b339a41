"""What was passed, as an error shows it: short, whatever it is."""

from __future__ import annotations

#: Characters of a value that an error shows.
LONGEST = 200


def shown(value: object) -> str:
    """Return the value's repr, or its type's name where there is none that could be printed."""
    try:
        text = repr(value)
    except Exception:  # somebody else's repr, endless nesting, integers of thousands of digits
        return f"an object of type {type(value).__name__}"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
