"""The installed command line: what it runs, prints and refuses."""

import os
import re
import subprocess
import sys

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


def demo_of_few_steps(**environment):
    """Run the demo, shortened, as a process whose output is a pipe; return what it printed."""
    code = "from fomaml_fast import demo; demo.run(seed=3, threads=1, meta_steps=200)"
    clean = {k: v for k, v in os.environ.items() if k not in {"COLUMNS", "NO_COLOR", "TERM"}}
    if environment.get("PYTHONIOENCODING"):
        code = "import sys; sys.stdout.reconfigure(errors='replace'); " + code
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, **environment},
        capture_output=True,
        encoding=environment.get("PYTHONIOENCODING", "utf-8"),
        check=True,
    ).stdout


@pytest.fixture(scope="module")
def shown():
    pytest.importorskip("rich", reason="needs the demo extra")
    return demo_of_few_steps(PYTHONUTF8="1")


def test_the_demo_shows_progress_a_table_a_curve_and_three_sentences(shown):
    for part in ("pretrained", "meta-trained", "200 of 200", "before", "1 step", "10 steps"):
        assert part in shown
    assert len(re.findall(r"\d\.\d\d ± \d\.\d\d", shown)) >= 6
    assert shown.count("  |") > 10
    end = shown.split("after one step\n")[-1]
    assert len(re.findall(r"\.(?=\s)", end)) == 3
    assert end.rstrip().endswith(".")


def test_the_demo_fits_80_columns_and_has_no_colours_in_a_pipe(shown):
    assert max(map(len, shown.splitlines())) <= 80
    assert "\x1b" not in shown
    assert "\r" not in shown


def test_the_demo_runs_where_the_terminal_knows_ascii_alone():
    pytest.importorskip("rich", reason="needs the demo extra")
    assert "±" not in demo_of_few_steps(PYTHONIOENCODING="ascii", PYTHONUTF8="0")


def test_what_the_demo_says_follows_from_its_figures():
    demo = pytest.importorskip("fomaml_fast.demo", reason="needs the demo extra")
    import numpy as np

    pretrained, meta_trained = (
        ff.Evaluation(demo.STEPS, np.array([row, row]), np.zeros((2, 4), bool))
        for row in ([3.0, 2.0, 1.9, 1.8], [3.5, 0.5, 0.4, 0.25])
    )
    first, second, third = demo.sentences(demo.Outcome(pretrained, meta_trained, 1.25))
    assert "from 3.50 to 0.50, and ten steps take it to 0.25" in first
    assert "at 2.00, 4.0 times as much" in second
    assert "took 1.2 s" in third


def test_the_demo_adapts_better_than_pretraining():
    demo = pytest.importorskip("fomaml_fast.demo", reason="needs the demo extra")
    outcome = demo.run(seed=0, meta_steps=3000)
    assert outcome.meta_trained.mean[1] < 0.6 * outcome.meta_trained.mean[0]
    assert outcome.meta_trained.mean[1] < 0.8 * outcome.pretrained.mean[1]


def test_the_demo_passes_options_on(monkeypatch):
    demo = pytest.importorskip("fomaml_fast.demo", reason="needs the demo extra")
    calls = []
    monkeypatch.setattr(demo, "run", lambda **options: calls.append(options))
    assert cli.main(["demo"]) == 0
    assert cli.main(["demo", "--seed", "7", "--threads", "2"]) == 0
    assert calls == [{"seed": 0, "threads": 1}, {"seed": 7, "threads": 2}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "omniglot"], "unrecognized arguments: omniglot"),
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


def test_missing_extra_is_one_line(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "fomaml_fast.demo", raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    assert cli.main(["demo"]) == 1
    shown = capsys.readouterr()
    assert shown.err == 'rich is not installed: in a clone, pip install ".[demo]"\n'
    assert shown.out == ""


def test_other_import_errors_are_not_hidden(monkeypatch):
    monkeypatch.delitem(sys.modules, "fomaml_fast.demo", raising=False)
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ModuleNotFoundError, match="numpy"):
        cli.main(["demo"])


def test_interruption_ends_quietly(monkeypatch, capsys):
    demo = pytest.importorskip("fomaml_fast.demo", reason="needs the demo extra")

    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run", interrupted)
    assert cli.main(["demo"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
