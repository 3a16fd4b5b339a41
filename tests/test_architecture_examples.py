"""The one-way street of examples/: public names of the library, and no way back."""

import ast
import importlib
from pathlib import Path

import pytest

import fomaml_fast as ff

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "examples").rglob("*.py"))


def private_names(text):
    """Names of the library that a file uses and that are not public."""
    tree, aliases, found = ast.parse(text), set(), []
    modules = {name for name in ff.__all__ if type(getattr(ff, name)) is type(ff)}

    def public(module, name):
        listed = getattr(module, "__all__", None) or [
            n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__
        ]
        return name in listed and not name.startswith("_")

    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "fomaml_fast":
                    aliases.add(alias.asname or "fomaml_fast")
                    if alias.name != "fomaml_fast":
                        found.append(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "fomaml_fast":
            inside = node.module.split(".")[1:]
            if len(inside) > 1 or (inside and inside[0] not in modules):
                found.append(node.module)
                continue
            module = importlib.import_module(node.module)
            found += [a.name for a in node.names if not public(module, a.name)]
    used = [
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    ]
    found += [name for owner, name in used if owner in aliases and not public(ff, name)]
    found += [name for owner, name in used if owner in modules and name.startswith("_")]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_public_names_alone(path):
    assert private_names(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "import fomaml_fast._arrays",
        "from fomaml_fast import _arrays",
        "from fomaml_fast.adaptation import Z95",
        "from fomaml_fast.samplers.random import as_generator",
        "import fomaml_fast as ff\nff._checks",
        "import fomaml_fast as ff\nff.adaptation",
        "from fomaml_fast import no_such_name",
    ],
)
def test_the_reader_sees_what_it_forbids(text):
    assert private_names(text) != []


def test_the_library_knows_nothing_of_the_examples():
    imported = [
        (path.name, name)
        for path in (ROOT / "python").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if name.split(".")[0] == "examples"
    ]
    assert imported == []
