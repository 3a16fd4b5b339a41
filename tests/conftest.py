"""Settings shared by every test, second oracles, and the table of errors after them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import error_table

SECOND_ORACLES = {"torch", "jax"}
"""Names of their fixtures; files that import one at module level have the name there."""

# The same examples in every run: a failure here must be one that anybody can repeat.
settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--second-oracles",
        action="store_true",
        help="only the tests that PyTorch or JAX take part in: the others need neither",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files that name neither: collecting them all takes longer than their tests."""
    if not config.getoption("second_oracles") or collection_path.suffix != ".py":
        return None
    words = re.findall(r"\w+", collection_path.read_text(encoding="utf-8"))
    return True if SECOND_ORACLES.isdisjoint(words) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("second_oracles"):
        return
    kept, left = [], []
    for item in items:
        names = {*getattr(item, "fixturenames", ()), *vars(getattr(item, "module", object)).keys()}
        (kept if names & SECOND_ORACLES else left).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept


@pytest.fixture(scope="session")
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def jax() -> Iterator[Any]:
    """JAX in float64."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", before)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    lines = error_table.render()
    if lines:
        terminalreporter.section("combinations against the oracles")
        for line in lines:
            terminalreporter.write_line(line)
