"""The command line: ``fomaml-fast demo`` and ``fomaml-fast info``."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from fomaml_fast._version import __version__
from fomaml_fast.build import build_info

#: Experiments by name, in the order in which ``demo`` runs them.
EXPERIMENTS = ("sinusoid", "gapminder", "quadratic", "presets")

#: What ``demo`` alone runs: the main job. `presets` takes minutes, and repeats published figures.
MAIN = ("sinusoid", "gapminder", "quadratic")

#: Packages of the ``demo`` extra, by the name they are imported under.
EXTRAS = ("matplotlib", "pandas", "plotly", "rich", "statsmodels")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process by default.

    Returns
    -------
    int
        Exit status: 0, or 1 where a package is missing, 130 after Ctrl-C.

    Examples
    --------
    >>> main(["info"])  # doctest: +ELLIPSIS
    version ...
    0
    """
    options = _parser().parse_args(arguments)
    if options.command == "info":
        return info()
    chosen = MAIN if options.experiment is None else (options.experiment,)
    try:
        return demo(chosen, options.out, options.quick, options.seed, options.threads)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def info() -> int:
    """Print what `build_info` tells, a fact a line."""
    facts = build_info()
    width = max(map(len, facts))
    for name, value in facts.items():
        shown = ", ".join(map(str, value)) if isinstance(value, tuple | list) else value
        print(f"{name:<{width}}  {shown}")
    return 0


def demo(experiments: Sequence[str], out: Path, quick: bool, seed: int, threads: int | None) -> int:
    """Run experiments one after the other, and print where their figures are."""
    try:
        runs = [
            importlib.import_module(f"fomaml_fast.experiments.{name}").run for name in experiments
        ]
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in EXTRAS:
            raise
        print(f'{missing} is not installed: in the project, pip install ".[demo]"', file=sys.stderr)
        return 1
    figures = []
    for run in runs:
        figures += run(out, quick=quick, seed=seed, threads=threads).figures
        print()
    print("Figures:")
    for path in figures:
        print(f"  {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fomaml-fast", description="Meta-learning of small networks, fast on a CPU."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("demo", help="run the experiments, print tables and draw figures")
    show.add_argument(
        "experiment", nargs="?", choices=EXPERIMENTS, help="default: " + ", ".join(MAIN)
    )
    show.add_argument(
        "--out",
        type=Path,
        default=Path("fomaml_fast_demo"),
        metavar="DIR",
        help="folder of the figures (default: ./fomaml_fast_demo)",
    )
    show.add_argument(
        "--quick", action="store_true", help="a shortened run that only shows that all works"
    )
    show.add_argument("--seed", type=_at_least(0), default=0, metavar="N", help="default: 0")
    show.add_argument(
        "--threads", type=_at_least(1), default=None, metavar="N", help="default: all cores"
    )
    commands.add_parser("info", help="print how the library was built")
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
