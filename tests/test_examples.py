"""The command line of the experiments, and what all of them share."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("matplotlib", reason="needs the examples extra")
pytest.importorskip("plotly", reason="needs the examples extra")
pytest.importorskip("statsmodels", reason="needs the examples extra")

from examples import command, report

ROOT = Path(__file__).parents[1]


# The command


@pytest.fixture
def recorded(monkeypatch):
    """Replace the experiments by ones that only record how they are called."""
    calls = []

    def experiment(name):
        def run(out_dir, **options):
            calls.append((name, out_dir, options))
            return SimpleNamespace(summary=[f"{name} {i}." for i in ("one", "two", "three")])

        return run

    for name in command.EXPERIMENTS:
        module = importlib.import_module(f"examples.{name}.experiment")
        monkeypatch.setattr(module, "run", experiment(name))
    return calls


def test_the_main_three_run_with_defaults(recorded, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.main([]) == 0
    options = {"quick": False, "seed": 0, "threads": None}
    folder = Path("fomaml_fast_demo")
    assert recorded == [(name, folder, options) for name in command.MAIN]
    folders = {path.parent.name for path in (ROOT / "examples").glob("*/experiment.py")}
    assert folders == set(command.EXPERIMENTS)
    shown = capsys.readouterr().out
    assert "quadratic.png" in shown
    assert shown.splitlines()[-3:] == [f"• {name} one." for name in command.MAIN]


def test_options_are_passed_on(recorded, tmp_path, capsys):
    arguments = ["gapminder", "--out", str(tmp_path), "--quick", "--seed", "7", "--threads", "1"]
    assert command.main(arguments) == 0
    assert command.main(arguments[1:], experiment="presets") == 0
    options = {"quick": True, "seed": 7, "threads": 1}
    assert recorded == [("gapminder", tmp_path, options), ("presets", tmp_path, options)]
    shown = capsys.readouterr().out.splitlines()
    assert shown[-3:] == ["• presets one.", "• presets two.", "• presets three."]
    assert "In short (a shortened run: its figures mean nothing)" in shown


@pytest.mark.parametrize("name", command.EXPERIMENTS)
def test_each_is_a_module_that_runs(name):
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{name}", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"usage: python -m examples.{name} ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["omniglot"], "invalid choice: 'omniglot'"),
        (["--threads", "0"], "expected an integer of at least 1, got '0'"),
        (["--seed", "x"], "expected an integer of at least 0, got 'x'"),
    ],
)
def test_bad_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def obstacles(folder):
    """Folders that cannot be written to, each made in a way of its own."""
    (folder / "file").write_text("mine")
    (folder / "figure_is_folder" / "quadratic.png").mkdir(parents=True)
    yield folder / "file", "File exists"
    yield folder / "file" / "below", "Not a directory"
    yield folder / "figure_is_folder", "Is a directory"
    yield folder / ("x" * 300), "File name too long"
    if os.geteuid() != 0:  # root writes anywhere
        (folder / "locked").mkdir(mode=0o500)
        yield folder / "locked", "Permission denied"
    if Path("/proc/self").exists():
        yield Path("/proc/self/figures"), "No such file or directory"


def test_a_folder_that_cannot_be_written_is_told_before_training(recorded, tmp_path, capsys):
    for folder, reason in obstacles(tmp_path):
        assert command.main(["quadratic", "--out", str(folder)]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.count("\n") == 1
        assert shown.err.startswith(f"--out: cannot write {folder}")
        assert shown.err.endswith(f": {reason}\n")
    assert recorded == []
    assert (tmp_path / "file").read_text() == "mine"


def test_files_of_an_earlier_run_are_left_until_they_are_replaced(recorded, tmp_path):
    (tmp_path / "quadratic.png").write_text("old")
    assert command.main(["quadratic", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "quadratic.png").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["quadratic.png"]


def forget_examples(monkeypatch):
    for name in list(sys.modules):
        if name.startswith("examples.") and name != "examples.command":
            monkeypatch.delitem(sys.modules, name)


def test_missing_package_is_one_line(monkeypatch, capsys):
    forget_examples(monkeypatch)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert command.main(["sinusoid", "--quick"]) == 1
    shown = capsys.readouterr()
    assert shown.err == 'matplotlib is not installed: in a clone, pip install ".[examples]"\n'
    assert shown.out == ""


def test_other_import_errors_are_not_hidden(monkeypatch):
    forget_examples(monkeypatch)
    monkeypatch.setitem(sys.modules, "json", None)
    with pytest.raises(ModuleNotFoundError, match="json"):
        command.main(["sinusoid", "--quick"])


def test_interruption_ends_quietly(monkeypatch, recorded, capsys, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("examples.sinusoid.experiment"), "run", interrupted)
    assert command.main(["--out", str(tmp_path)]) == 130
    assert recorded == []
    assert capsys.readouterr().err == "interrupted\n"


# What is printed and written, by the shortest run of all


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Return what a shortened run of everything printed into a pipe, by experiment."""
    out = tmp_path_factory.mktemp("quick")
    environment = {k: v for k, v in os.environ.items() if k not in {"COLUMNS", "TERM"}}
    return out, {
        name: subprocess.run(
            [sys.executable, "-m", f"examples.{name}", "--quick", "--out", str(out)],
            cwd=ROOT,
            env={**environment, "PYTHONUTF8": "1"},
            capture_output=True,
            encoding="utf-8",
            check=True,
        ).stdout
        for name in command.EXPERIMENTS
    }


@pytest.mark.parametrize("name", command.EXPERIMENTS)
def test_all_fits_80_columns_and_ends_with_three_sentences(quick, name):
    out, shown = quick
    lines = shown[name].splitlines()
    # The folder's name is the user's: a path is not broken.
    assert [line for line in lines if len(line) > 80 and str(out) not in line] == []
    assert "\x1b" not in shown[name]
    end = shown[name].split("In short")[-1]
    assert end.count("\n• ") == 3
    assert end.rstrip().endswith(".")


@pytest.mark.parametrize("name", command.EXPERIMENTS)
def test_terms_stand_above_the_tables(quick, name):
    lines = quick[1][name].splitlines()
    term = {
        "quadratic": "uphill",
        "presets": "K ",
        "gapminder": "K ",
        "sinusoid": "n steps",
        "curves": "error ",
    }[name]
    told = next(i for i, line in enumerate(lines) if line.startswith(term))
    rule = next(i for i, line in enumerate(lines[told:], told) if set(line) == {"─"})
    assert told < rule


@pytest.mark.parametrize("name", command.EXPERIMENTS)
def test_the_files_are_those_that_were_promised(quick, name):
    out, shown = quick
    module = importlib.import_module(f"examples.{name}.experiment")
    for file in module.OUTPUTS:
        assert (out / file).stat().st_size > 0
        assert file in shown[name]


def test_no_file_was_not_promised(quick):
    promised = [
        file
        for name in command.EXPERIMENTS
        for file in importlib.import_module(f"examples.{name}.experiment").OUTPUTS
    ]
    assert sorted(path.name for path in quick[0].iterdir()) == sorted(promised)


def test_a_narrow_terminal_loses_no_digit(monkeypatch, capsys):
    monkeypatch.setattr(report, "console", report.Console(width=20))
    report.print_table("title", ["name", "figure"], [["a method with a name", "3.14159 ± 0.27"]])
    assert "a method with a name" in (shown := capsys.readouterr().out)
    assert "3.14159 ± 0.27" in shown


def test_figures_of_the_pages_are_drawn_by_a_command():
    promised = {
        file
        for name in command.EXPERIMENTS
        for file in importlib.import_module(f"examples.{name}.experiment").OUTPUTS
    }
    drawn = {path.name for path in (ROOT / "docs" / "figures").glob("*.png")}
    assert drawn - promised == {"sweep.png"}  # of benchmarks/
    assert {file for file in promised if file.endswith(".png")} <= drawn
