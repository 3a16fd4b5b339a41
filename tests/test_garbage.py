"""Garbage in any argument of any public callable ends in a result or in a sentence about it.

The fuzz runs in a process of its own (`garbage_fuzz`), which a crash would take down alone, over
the calls of `garbage_calls` and the values of `garbage`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from garbage_learners import CALLS
from garbage_public import WITHOUT_ARGUMENTS, public_callables

SECONDS = 20
#: Seeds are few: the first pass spoils every argument with every value anyway.
SEED = 14


@pytest.mark.parametrize("name", CALLS)
def test_calls_of_the_table_are_valid(name):
    CALLS[name].function(**CALLS[name].arguments)


def test_every_public_callable_is_in_the_table():
    known = {name.partition(" ")[0] for name in CALLS} | WITHOUT_ARGUMENTS
    assert set(public_callables()) - known == set()


def test_garbage():
    fuzz = Path(__file__).with_name("garbage_fuzz.py")
    ended = subprocess.run(
        [sys.executable, str(fuzz), str(SECONDS), str(SEED)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    *findings, summary = ended.stdout.splitlines()
    assert findings == [], "\n".join([*findings, summary])
    assert int(summary.split()[0]) > 1000, summary
