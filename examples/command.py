"""The command line of the experiments: ``python -m examples`` and ``python -m examples.NAME``."""

from __future__ import annotations

import argparse
import importlib
import io
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType

#: Experiments by name, in the order in which they run.
EXPERIMENTS = ("sinusoid", "gapminder", "quadratic", "presets", "curves")

#: What runs where none is named. `presets` takes minutes, and repeats published figures; `curves`
#: shows a special kind of network.
MAIN = ("sinusoid", "gapminder", "quadratic")

#: Packages that they need, by the name they are imported under.
NEEDED = (
    "fomaml_fast",
    "matplotlib",
    "numpy",
    "pandas",
    "plotly",
    "rich",
    "sklearn",
    "statsmodels",
)


def main(arguments: Sequence[str] | None = None, experiment: str | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process by default.
    experiment : str, optional
        The one to run; by default the arguments name it.

    Returns
    -------
    int
        Exit status: 0, or 1 where a package is missing, 2 where the folder of the figures cannot be
        written, 130 after Ctrl-C.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a log in ASCII has no ±
    options = _parser(experiment).parse_args(arguments)
    chosen = MAIN if options.experiment is None else (options.experiment,)
    try:
        modules = [importlib.import_module(f"examples.{name}.experiment") for name in chosen]
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in NEEDED:
            raise
        print(f'{missing} is not installed: in a clone, pip install ".[examples]"', file=sys.stderr)
        return 1
    obstacle = why_unwritable(options.out, (name for m in modules for name in m.OUTPUTS))
    if obstacle is not None:
        print(f"--out: {obstacle}", file=sys.stderr)
        return 2
    try:
        run(modules, options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def run(modules: Sequence[ModuleType], options: argparse.Namespace) -> None:
    """Run experiments one after the other; end with their files and three sentences."""
    from examples.report import new_part, say

    reports = []
    for module in modules:
        new_part(module.TITLE)
        reports.append(
            module.run(options.out, quick=options.quick, seed=options.seed, threads=options.threads)
        )
    new_part(f"Files in {options.out}")
    say(", ".join(name for module in modules for name in module.OUTPUTS))
    new_part("In short" + (" (a shortened run: its figures mean nothing)" if options.quick else ""))
    # Three sentences: all of an experiment that runs alone, else the first of each.
    said = reports[0].summary if len(reports) == 1 else [report.summary[0] for report in reports]
    for sentence in said:
        say(f"• {sentence}")


def why_unwritable(folder: Path, names: Iterable[str]) -> str | None:
    """Make `folder`, and say why files of these names could not be written there.

    Parameters
    ----------
    folder : Path
        Made if absent, with its parents.
    names : iterable of str
        Of the files; those that exist are opened and left as they are.

    Returns
    -------
    str or None
        What is in the way and the system's reason; None where nothing is.

    Examples
    --------
    >>> from pathlib import Path
    >>> why_unwritable(Path("/dev/null/figures"), [])
    'cannot write /dev/null/figures: Not a directory'
    """
    at = folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        for at in (folder / name for name in names):
            if at.exists():
                at.open("ab").close()
    except OSError as error:
        return f"cannot write {at}: {error.strerror}"
    return None


def _parser(experiment: str | None) -> argparse.ArgumentParser:
    module = "examples" if experiment is None else f"examples.{experiment}"
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}", description="Run experiments, print tables and draw figures."
    )
    if experiment is None:
        parser.add_argument(
            "experiment", nargs="?", choices=EXPERIMENTS, help="default: " + ", ".join(MAIN)
        )
    else:
        parser.set_defaults(experiment=experiment)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("fomaml_fast_demo"),
        metavar="DIR",
        help="folder of the figures (default: ./fomaml_fast_demo)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a shortened run that only shows that all works"
    )
    parser.add_argument("--seed", type=_at_least(0), default=0, metavar="N", help="default: 0")
    parser.add_argument(
        "--threads", type=_at_least(1), default=None, metavar="N", help="default: all cores"
    )
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    """Return an argument type: integers of at least `least`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(
                f"expected an integer of at least {least}, got {text!r}"
            )
        return value

    return parse
