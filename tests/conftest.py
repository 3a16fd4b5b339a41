"""Settings shared by every test, and the table of errors after them."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

import error_table

# The same examples in every run: a failure here must be one that anybody can repeat.
settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("repeatable")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    lines = error_table.render()
    if lines:
        terminalreporter.section("combinations against the oracles")
        for line in lines:
            terminalreporter.write_line(line)
