"""The command line: what it runs, prints and refuses."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import fomaml_fast as ff
from fomaml_fast import cli


def test_info_prints_every_fact(capsys):
    assert cli.main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(ff.build_info())
    assert ff.__version__ in lines[0]


def test_module_runs():
    done = subprocess.run(
        [sys.executable, "-m", "fomaml_fast", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ff.__version__


@pytest.fixture
def recorded(monkeypatch):
    """Replace the experiments by ones that only record how they are called."""
    calls = []

    def experiment(name):
        def run(out_dir, **options):
            calls.append((name, out_dir, options))
            return SimpleNamespace(figures=[out_dir / f"{name}.png"])

        return run

    for name in cli.EXPERIMENTS:
        module = importlib.import_module(f"fomaml_fast.experiments.{name}")
        monkeypatch.setattr(module, "run", experiment(name))
    return calls


def test_demo_runs_all_with_defaults(recorded, capsys):
    assert cli.main(["demo"]) == 0
    options = {"quick": False, "seed": 0, "threads": None}
    folder = Path("fomaml_fast_demo")
    assert recorded == [(name, folder, options) for name in cli.MAIN]
    assert {"sinusoid", "gapminder", "quadratic", "presets"} == set(cli.EXPERIMENTS)
    shown = capsys.readouterr().out
    for name in cli.MAIN:
        assert str(folder / f"{name}.png") in shown


def test_demo_passes_options_on(recorded, tmp_path):
    arguments = ["demo", "gapminder", "--out", str(tmp_path), "--quick", "--seed", "7"]
    assert cli.main([*arguments, "--threads", "1"]) == 0
    assert recorded == [("gapminder", tmp_path, {"quick": True, "seed": 7, "threads": 1})]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "omniglot"], "invalid choice: 'omniglot'"),
        (["demo", "--threads", "0"], "expected an integer of at least 1, got '0'"),
        (["demo", "--seed", "x"], "expected an integer of at least 0, got 'x'"),
        ([], "required"),
    ],
)
def test_bad_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def forget_experiments(monkeypatch):
    for name in list(sys.modules):
        if name.startswith("fomaml_fast.experiments"):
            monkeypatch.delitem(sys.modules, name)


def test_missing_extra_is_one_line(monkeypatch, capsys):
    forget_experiments(monkeypatch)
    monkeypatch.setitem(sys.modules, "rich", None)
    assert cli.main(["demo", "sinusoid", "--quick"]) == 1
    shown = capsys.readouterr()
    assert shown.err == 'rich is not installed: in the project, pip install ".[demo]"\n'
    assert shown.out == ""


def test_other_import_errors_are_not_hidden(monkeypatch):
    forget_experiments(monkeypatch)
    monkeypatch.setitem(sys.modules, "fomaml_fast.samplers", None)
    with pytest.raises(ModuleNotFoundError, match="samplers"):
        cli.main(["demo", "sinusoid", "--quick"])


def test_interruption_ends_quietly(monkeypatch, recorded, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    module = importlib.import_module("fomaml_fast.experiments.sinusoid")
    monkeypatch.setattr(module, "run", interrupted)
    assert cli.main(["demo"]) == 130
    assert recorded == []
    assert capsys.readouterr().err == "interrupted\n"
