"""The one-way street of the package's Python, and how long its functions are."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "python" / "fomaml_fast"

#: Rooms from left to right, their modules in order: a module imports what stands before it.
STREET = {
    "words": ("_version", "_words", "_shown", "_convert", "errors", "_hints", "_cpu"),
    "border": ("_arrays", "_loader", "_layer_choice"),
    "families": (
        "_registry",
        "activations",
        "losses",
        "metrics",
        "heads",
        "inner",
        "outer",
        "initialization",
    ),
    "network": (
        "_layers",
        "jets",
        "_custom_outputs",
        "_custom",
        "derivatives",
        "input_derivatives",
        "network",
    ),
    "algorithms": ("algorithm", "presets", "schedules"),
    "data": ("batch", "samplers"),
    "calls": (
        "results",
        "_learners",
        "evaluation",
        "_mixture",
        "_measure",
        "_custom_objective",
        "_custom_heads",
        "_custom_meta",
        "_evaluated",
        "_evaluated_learners",
        "_support_rows",
        "adaptation",
        "meta",
        "training",
        "posteriors",
        "ensembles",
    ),
    "reports": ("planning", "build", "_debug"),
    "programs": ("demo", "cli", "__main__"),
}
ORDER = [module for room in STREET.values() for module in room]

#: Lines of code of the longest function, without its docstring.
LONGEST = 60

#: A sampler's own street, below ``samplers``: `__init__` holds the registry.
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def module_of(path):
    """Name of the place on the street."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path):
    """Places on the street that a file imports, wherever in it."""
    places = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            whole = node.module == "fomaml_fast"
            names = [f"fomaml_fast.{a.name}" for a in node.names] if whole else [node.module]
        places |= {name.split(".")[1] for name in names if name.startswith("fomaml_fast.")}
    return places & set(ORDER)


def test_every_module_has_one_place():
    assert len(ORDER) == len(set(ORDER))
    assert set(ORDER) == {module_of(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_left(path):
    own = ORDER.index(module_of(path))
    assert [name for name in imported(path) if ORDER.index(name) > own] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_functions_are_short(path):
    long = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef):
            continue
        body = node.body[1:] if ast.get_docstring(node) else node.body
        lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
        if lines > LONGEST:
            long[node.name] = lines
    assert long == {}


def test_the_reader_sees_an_import_that_points_right(tmp_path):
    wrong = tmp_path / "errors.py"
    wrong.write_text("def late():\n    from fomaml_fast.network import MLP\n", encoding="utf-8")
    assert imported(wrong) == {"network"}
