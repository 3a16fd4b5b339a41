"""docs/algorithms.md shows the package's own tables."""

import inspect
import re
from pathlib import Path

from fomaml_fast import presets
from fomaml_fast.algorithm import MEANINGLESS

PAGE = (Path(__file__).parents[1] / "docs" / "algorithms.md").read_text(encoding="utf-8")


def section(title):
    (body,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return body


def test_it_lists_what_has_no_meaning():
    listed = re.findall(r"^- (.+)$", section("Combinations without a meaning"), re.MULTILINE)
    assert listed == list(MEANINGLESS)


def test_it_lists_every_preset():
    listed = re.findall(r"^\| `(\w+)` \|", section("The presets"), re.MULTILINE)
    assert listed == list(presets.PRESETS)


def test_it_shows_the_defaults_of_every_preset():
    shown = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", section("The presets"), re.MULTILINE))
    for name, preset in presets.PRESETS.items():
        parameters = inspect.signature(preset).parameters.values()
        assert shown[name] == ", ".join(f"{p.name}={p.default!r}" for p in parameters)
