"""The installed package: its facts agree, and the loader picks a core or says why it cannot."""

import ast
import importlib.metadata
import importlib.resources
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import fomaml_fast
from fomaml_fast import _cpu
from fomaml_fast._loader import ISA_VARIABLE, choose_isa, compiled_isas, core

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def distribution():
    try:
        return importlib.metadata.distribution("fomaml-fast")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("fomaml-fast is imported from a source tree, not installed")


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_one_version(distribution):
    versions = {fomaml_fast.__version__, fomaml_fast.build_info()["version"], distribution.version}
    assert len(versions) == 1
    assert re.fullmatch(r"\d+\.\d+\.\d+([a-z.+].*)?", versions.pop())


def test_numpy_is_the_only_requirement(distribution):
    required = [line for line in distribution.requires if "extra ==" not in line]
    assert [re.match(r"[\w.-]+", line)[0] for line in required] == ["numpy"]


@pytest.mark.parametrize("extra", ["demo", "examples", "test", "bench", "dev"])
def test_extras(distribution, extra):
    assert extra in distribution.metadata.get_all("Provides-Extra")
    pattern = rf"""extra == ["']{extra}["']"""
    assert [line for line in distribution.requires if re.search(pattern, line)]


def test_command(distribution):
    (entry,) = distribution.entry_points.select(group="console_scripts")
    assert entry.name == "fomaml-fast"
    assert callable(entry.load())


def test_license_and_types_are_shipped(distribution):
    assert distribution.metadata["License-Expression"] == "Apache-2.0"
    assert distribution.metadata.get_all("License-File") == ["LICENSE"]
    shipped = {path.name for path in importlib.resources.files("fomaml_fast").iterdir()}
    assert {"py.typed", "_core.pyi"} <= shipped


def test_the_installed_demo_needs_the_progress_bar_alone(distribution):
    needed = [line for line in distribution.requires if re.search(r"""== ["']demo["']""", line)]
    assert [re.match(r"[\w.-]+", line)[0] for line in needed] == ["rich"]


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Return the names in a wheel without the compiled core, and in the source archive."""
    backend = pytest.importorskip("scikit_build_core.build", reason="needs the build back end")
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("no source tree")
    out = tmp_path_factory.mktemp("archives")
    here = Path.cwd()
    os.chdir(ROOT)
    try:
        wheel = backend.build_wheel(str(out), {"wheel.cmake": "false"})
        source = backend.build_sdist(str(out))
    finally:
        os.chdir(here)
    with zipfile.ZipFile(out / wheel) as a, tarfile.open(out / source) as b:
        return a.namelist(), [name.partition("/")[2] for name in b.getnames()]


def test_examples_are_in_the_source_archive_and_not_in_the_wheel(archives):
    wheel, source = archives
    assert {
        name.split("/")[0] for name in wheel if not name.split("/")[0].endswith(".dist-info")
    } == {"fomaml_fast"}
    assert not [name for name in wheel if "examples" in name or "experiments" in name]
    assert "fomaml_fast/demo.py" in wheel
    here = {p.relative_to(ROOT).as_posix() for p in (ROOT / "examples").rglob("*.py")}
    assert here
    assert here <= set(source)


def test_import_is_light():
    # Packages of the extras must not be needed, nor cost time, where only the library is used.
    heavy = ["matplotlib", "pandas", "plotly", "rich", "scipy", "statsmodels", "torch", "jax"]
    code = "import sys, fomaml_fast; print(*sys.modules)"
    loaded = set(python(code).stdout.split())
    assert "fomaml_fast" in loaded
    assert not loaded & set(heavy)


def test_build_info():
    facts = fomaml_fast.build_info()
    assert {
        "compiled_isas",
        "compiler",
        "eigen",
        "isa",
        "threads_backend",
        "version",
    } <= facts.keys()
    assert facts["isa"] in facts["compiled_isas"]
    assert facts["threads_backend"] in {"openmp", "std", "none"}
    assert re.match(r"(gcc|clang) \d+", facts["compiler"])
    assert re.match(r"3\.[4-9]|[4-9]\.", facts["eigen"])
    assert core.__name__ == f"fomaml_fast._core_{facts['isa']}"


def test_the_stub_describes_the_core():
    text = (importlib.resources.files("fomaml_fast") / "_core.pyi").read_text(encoding="utf-8")
    described = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.AnnAssign):
            described.add(node.target.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            described.add(node.name)
    exported = {name for name in dir(core) if not name.startswith("__")}
    assert exported == described


@pytest.mark.parametrize("isa", compiled_isas())
def test_every_core_can_be_forced(isa):
    if isa not in _cpu.runnable_isas():
        pytest.skip(f"this machine does not run {isa}")
    code = "import fomaml_fast; print(fomaml_fast.build_info()['isa'])"
    assert python(code, **{ISA_VARIABLE: isa}).stdout.strip() == isa


def test_a_wrong_name_says_what_there_is():
    result = python("import fomaml_fast", **{ISA_VARIABLE: "x87"})
    assert result.returncode == 1
    message = result.stderr.splitlines()[-1]
    assert message.startswith("ImportError: FOMAML_FAST_ISA='x87'")
    for isa in (*compiled_isas(), *_cpu.runnable_isas()):
        assert isa in message


def test_an_empty_name_is_none():
    assert python("import fomaml_fast", **{ISA_VARIABLE: ""}).returncode == 0


@pytest.mark.parametrize(
    ("compiled", "runnable", "chosen"),
    [
        (("x86_64_v4", "x86_64_v3", "x86_64_v2"), ("x86_64_v2", "generic"), "x86_64_v2"),
        (("x86_64_v3", "x86_64_v2"), ("x86_64_v4", "x86_64_v3", "x86_64_v2"), "x86_64_v3"),
        (("generic",), ("x86_64_v3", "x86_64_v2", "generic"), "generic"),
        (("neon", "generic"), ("neon", "generic"), "neon"),
    ],
)
def test_the_best_of_both_is_chosen(compiled, runnable, chosen):
    assert choose_isa(compiled, runnable, None) == chosen


@pytest.mark.parametrize(
    ("compiled", "runnable", "forced", "message"),
    [
        (("x86_64_v4",), ("x86_64_v3", "generic"), "x86_64_v4", "does not run"),
        (("x86_64_v3",), ("x86_64_v3", "generic"), "generic", "no compiled core"),
        (("x86_64_v4",), ("x86_64_v3", "generic"), None, "holds no core"),
        ((), ("generic",), None, "compiled: none"),
    ],
)
def test_no_choice(compiled, runnable, forced, message):
    with pytest.raises(ImportError, match=message):
        choose_isa(compiled, runnable, forced)


@pytest.mark.parametrize(
    ("compiled", "runnable", "forced", "isas"),
    [
        (("x86_64_v4",), ("x86_64_v3", "x86_64_v2", "generic"), None, "all"),
        (("x86_64_v4",), ("generic",), None, "generic"),  # "all" starts at x86_64_v2
        (("x86_64_v3",), ("x86_64_v4", "x86_64_v3", "generic"), "x86_64_v4", "x86_64_v4"),
    ],
)
def test_an_installation_that_does_not_fit_names_the_build_option(compiled, runnable, forced, isas):
    with pytest.raises(ImportError) as caught:
        choose_isa(compiled, runnable, forced)
    (option,) = re.findall(r"cmake\.define\.(FOMAML_FAST_ISAS)=(\w+)'", str(caught.value))
    assert option == ("FOMAML_FAST_ISAS", isas)


V2 = {"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"}
V3 = V2 | {"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"}
V4 = V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}


@pytest.mark.parametrize(
    ("flags", "levels"),
    [
        (set(), ()),
        (V2, ("x86_64_v2",)),
        (V3 - {"fma"}, ("x86_64_v2",)),
        (V3, ("x86_64_v3", "x86_64_v2")),
        (V4, ("x86_64_v4", "x86_64_v3", "x86_64_v2")),
        (V4 - {"avx512vl"}, ("x86_64_v3", "x86_64_v2")),
        (V4 - {"popcnt"}, ()),  # a level counts only if all below it do
    ],
)
def test_levels(flags, levels):
    assert _cpu.x86_levels(flags) == levels


def test_both_sources_of_features_agree():
    try:
        from_glibc, from_kernel = _cpu._flags_from_glibc(), _cpu._flags_from_proc()
    except (OSError, AttributeError) as error:
        pytest.skip(f"one source only on this system: {error}")
    assert _cpu.x86_levels(from_glibc) == _cpu.x86_levels(from_kernel)


def test_the_command_runs_as_a_module():
    result = subprocess.run(
        [sys.executable, "-m", "fomaml_fast", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == fomaml_fast.__version__
