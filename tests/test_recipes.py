"""CONTRIBUTING's recipes, followed to the letter: a file and a line, and the member is there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fomaml_fast as ff

ROOT = Path(__file__).parents[1]
TOYS = ROOT / "tests" / "toy"
FAMILIES = ("activations", "losses", "inner", "outer", "engines")


def recipes():
    """Files, and lines with the registries they go to, as CONTRIBUTING lists them."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## Recipes")[1].split("\n## ")[0]
    files = re.findall(r"^1\. `(cpp/src/[\w/]+\.hpp)`", section, re.MULTILINE)
    lines = re.findall(r"^2\. `(FOMAML_FAST_\w+\(.*?\))` in `(.*?)`\.$", section, re.MULTILINE)
    return files, lines


def test_there_is_a_recipe_of_every_family():
    files, lines = recipes()
    families = {Path(file).relative_to("cpp/src").parts[0] for file in files}
    assert families == set(FAMILIES)
    assert {Path(registry).parent.name for _, registry in lines} == set(FAMILIES)
    toys = {path.relative_to(TOYS) for path in TOYS.rglob("*.hpp")}
    assert {Path(file).relative_to("cpp/src") for file in files} == toys
    assert len(lines) == len(files)


def run(*command, **environment):
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """Return the folder of a package whose core was built with the toys: nothing else changed."""
    if shutil.which("cmake") is None or shutil.which("ninja") is None:
        pytest.skip("needs cmake and ninja")
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        pytest.skip("needs a C++ compiler")
    tree = tmp_path_factory.mktemp("toys")
    shutil.copy(ROOT / "CMakeLists.txt", tree)
    compiled = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    for folder in ("cmake", "cpp", "python"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=compiled)

    files, lines = recipes()
    for file in files:
        (tree / file).parent.mkdir(exist_ok=True)
        shutil.copy(TOYS / Path(file).relative_to("cpp/src"), tree / file)
    for line, registry in lines:
        with (tree / registry).open("a", encoding="utf-8") as definitions:
            definitions.write(line + "\n")

    run(
        *("cmake", "-G", "Ninja", "-S", tree, "-B", tree / "build"),
        f"-DPython_EXECUTABLE={sys.executable}",
        f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={tree / 'python' / 'fomaml_fast'}",
        f"-DFOMAML_FAST_ISAS={ff.build_info()['isa']}",
        # Without optimisation: what counts here is the time of the compiler.
        *("-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0"),
    )
    run("cmake", "--build", tree / "build", "--parallel", str(len(os.sched_getaffinity(0))))
    return tree / "python"


def test_one_file_and_one_line_make_a_member(package):
    checked = run(sys.executable, TOYS / "check.py", PYTHONPATH=str(package), FOMAML_FAST_ISA="")
    # Four toys with first-order and exact meta-gradients in every engine, and three checks more.
    assert len(checked.splitlines()) == 4 * 2 * len(ff.build_info()["engines"]) + 3
