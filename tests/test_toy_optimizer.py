"""CONTRIBUTING's recipe for an inner optimiser, followed: one file, one line, and it is there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fomaml_fast as ff
from fomaml_fast._loader import core

ROOT = Path(__file__).parents[1]
TOY = ROOT / "tests" / "toy"
LINE = "FOMAML_FAST_INNER(toy, Toy)\n"


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
    """Return the folder of a package whose core was built with the toy optimiser."""
    if shutil.which("cmake") is None or shutil.which("ninja") is None:
        pytest.skip("needs cmake and ninja")
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        pytest.skip("needs a C++ compiler")
    tree = tmp_path_factory.mktemp("toy")
    shutil.copy(ROOT / "CMakeLists.txt", tree)
    compiled = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    for folder in ("cmake", "cpp", "python"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=compiled)

    shutil.copy(TOY / "toy.hpp", tree / "cpp" / "src" / "inner")
    with (tree / "cpp" / "src" / "inner" / "registry.def").open("a", encoding="utf-8") as registry:
        registry.write(LINE)

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


def test_one_file_and_one_line_make_an_optimiser(package):
    checked = run(sys.executable, TOY / "check.py", PYTHONPATH=str(package), FOMAML_FAST_ISA="")
    assert len(checked.splitlines()) == 2 * len(ff.build_info()["engines"])


@pytest.mark.parametrize("name", ff.inner.names())
def test_python_and_core_agree_on_defaults(name):
    made = ff.inner.get(name)()
    assert made.options == tuple(value for _, value in core.inner_options[name])
