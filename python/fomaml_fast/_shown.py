"""What was passed, as an error shows it: short, whatever it is."""

from __future__ import annotations

import numpy as np

#: Characters of a value that an error shows.
LONGEST = 200


def shown(value: object) -> str:
    """Return the value's repr in one line, a number of NumPy's as Python's.

    Its type's name stands for a value that cannot be printed.
    """
    if isinstance(value, np.datetime64 | np.timedelta64):  # whose items may be mere integers
        return str(value)
    try:
        text = " ".join(repr(value.item() if isinstance(value, np.generic) else value).split())
    except Exception:  # somebody else's repr, endless nesting, integers of thousands of digits
        return f"an object of type {type(value).__name__}"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
