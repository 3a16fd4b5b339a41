"""The one-way streets of the code, read from its include and import lines."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CPP = ROOT / "cpp"
PACKAGE = ROOT / "python" / "fomaml_fast"

#: base <- kernels <- {activations, losses} <- network <- {inner, outer} <- meta <- engines <- api
#: <- {c_api, bindings}: an include points to a lower number or stays in its room.
STREET = {
    "base": 0,
    "kernels": 1,
    "activations": 2,
    "losses": 2,
    "network": 3,
    "inner": 4,
    "outer": 4,
    "meta": 5,
    "engines": 6,
    "api": 7,
    "c_api": 8,
    "bindings": 8,
}

#: Rooms at the border, which include api/ and nothing behind it.
BORDER = ("c_api", "bindings")

#: Headers that belong to one place, and the places (paths below cpp/) that may include them.
OUTSIDERS = {
    # The reference engine computes with Eigen; api/build tells of its version.
    r"Eigen/.*|unsupported/.*": r"src/engines/reference/.*|src/api/build\.cpp",
    r"omp\.h|future": r"src/base/parallel\.cpp",
    r"thread|condition_variable": r"src/base/(parallel|team|processors)\.(cpp|hpp)",
    r"mutex|shared_mutex": r"src/base/.*",
    r"pybind11/.*|Python\.h": r"bindings/.*",
    # The core prints nothing and reports by status code.
    r"iostream|ostream|stdexcept|exception|typeinfo": r"bindings/.*",
}

#: Longest file, in lines; beyond it a file is two files.
LONGEST = 400

CPP_FILES = sorted(
    path
    for room in ("src", "bindings", "include", "tests")
    for path in (CPP / room).rglob("*")
    if path.suffix in {".cpp", ".hpp", ".h", ".inl", ".def"}
)
CORE_FILES = [path for path in CPP_FILES if path.parts[len(CPP.parts)] in {"src", "bindings"}]
PYTHON_FILES = sorted(PACKAGE.rglob("*.py"))
LIBRARY_FILES = [
    path for path in PYTHON_FILES if path.name not in {"cli.py", "demo.py", "__main__.py"}
]


def named(paths):
    return [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in paths]


def includes(text, brackets):
    """Targets of the include lines in one of the two spellings, '""' or '<>'."""
    start, end = brackets
    return re.findall(rf"^\s*#\s*include\s*{start}([^{end}]+){end}", text, re.MULTILINE)


def room_of(path):
    inside = path.relative_to(CPP)
    return inside.parts[1] if inside.parts[0] == "src" else inside.parts[0]


def wrong_way(room, text):
    """Quoted includes that leave `room` other than to the left."""
    targets = [target for target in includes(text, '""') if "/" in target]
    return [
        target
        for target in targets
        if (to := target.split("/")[0]) != room and STREET.get(to, 99) >= STREET[room]
    ]


def outsiders(place, text):
    """Bracketed includes that `place`, a path below cpp/, may not have."""
    return [
        target
        for target in includes(text, "<>")
        for header, allowed in OUTSIDERS.items()
        if re.fullmatch(header, target) and not re.fullmatch(allowed, place)
    ]


def imports(path):
    """Absolute names of all modules that a Python file imports, wherever in it."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def test_there_is_something_to_read():
    assert {room_of(path) for path in CORE_FILES} >= {"base", "kernels", "engines", "bindings"}
    assert len(LIBRARY_FILES) > 10


@pytest.mark.parametrize("path", named(CORE_FILES))
def test_includes_point_left(path):
    assert room_of(path) in STREET, "a room without a place on the street"
    assert wrong_way(room_of(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", named([p for p in CORE_FILES if room_of(p) in BORDER]))
def test_the_border_knows_api_alone(path):
    """Bindings, and the C interface, translate: what a call means is decided in api/."""
    rooms = {
        target.split("/")[0]
        for target in includes(path.read_text(encoding="utf-8"), '""')
        if "/" in target
    }
    assert rooms <= {"api", room_of(path)}


@pytest.mark.parametrize("path", named(CORE_FILES))
def test_headers_stay_where_they_belong(path):
    place = path.relative_to(CPP).as_posix()
    assert outsiders(place, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", named((CPP / "src" / "engines").rglob("*.[ch]pp")))
def test_engines_do_not_know_each_other(path):
    own = path.relative_to(CPP / "src" / "engines").parts[0]
    others = [
        target
        for target in includes(path.read_text(encoding="utf-8"), '""')
        if re.match(r"engines/[^/]+/", target) and not target.startswith(f"engines/{own}/")
    ]
    assert others == []


def test_the_reader_sees_what_it_forbids():
    text = '#include <omp.h>\n#include "engines/engine.hpp"\n  # include "base/arena.hpp"\n'
    assert wrong_way("network", text) == ["engines/engine.hpp"]
    assert wrong_way("losses", '#include "activations/relu.hpp"\n') == ["activations/relu.hpp"]
    assert wrong_way("api", text) == []
    assert outsiders("src/network/layout.hpp", text) == ["omp.h"]
    assert outsiders("src/base/parallel.cpp", text) == []


@pytest.mark.parametrize("path", named(LIBRARY_FILES))
def test_the_library_needs_numpy_alone_and_no_command(path):
    roots = {name.split(".")[0] for name in imports(path)}
    assert roots <= {*sys.stdlib_module_names, "numpy", "fomaml_fast"}
    assert not [name for name in imports(path) if re.match(r"fomaml_fast\.(cli|demo)(\.|$)", name)]


def long_files():
    places = (CPP, PACKAGE, ROOT / "examples", ROOT / "tests", ROOT / "benchmarks")
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    return [
        path
        for path in files
        if path.suffix in {".cpp", ".hpp", ".h", ".inl", ".def", ".py", ".pyi"}
        and len(path.read_text(encoding="utf-8").splitlines()) > LONGEST
    ]


def test_files_are_short():
    assert long_files() == []
