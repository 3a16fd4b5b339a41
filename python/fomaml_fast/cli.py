"""The command line: ``fomaml-fast demo`` and ``fomaml-fast info``."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence

from fomaml_fast._version import __version__
from fomaml_fast.build import build_info


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
    try:
        return demo(options.seed, options.threads)
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


def demo(seed: int, threads: int) -> int:
    """Meta-learn sinusoids before the user's eyes."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a log in ASCII has no ±
    try:
        from fomaml_fast.demo import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "rich":
            raise
        print('rich is not installed: in a clone, pip install ".[demo]"', file=sys.stderr)
        return 1
    run(seed=seed, threads=threads)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fomaml-fast", description="Meta-learning of small networks, fast on a CPU."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("demo", help="meta-learn sinusoids, in seconds")
    show.add_argument("--seed", type=_at_least(0), default=0, metavar="N", help="default: 0")
    show.add_argument("--threads", type=_at_least(1), default=1, metavar="N", help="default: 1")
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
