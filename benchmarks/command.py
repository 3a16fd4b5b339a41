"""Options that the commands of this directory share: ``--quick``, blocks and their length."""

from __future__ import annotations

import argparse

from benchmarks import threads


def parser(description: str, *, blocks: int, seconds: float) -> argparse.ArgumentParser:
    """A parser that knows the common options."""
    common = argparse.ArgumentParser(description=description)
    common.add_argument("--quick", action="store_true", help="a smoke test")
    common.add_argument("--blocks", type=int, default=blocks)
    common.add_argument("--seconds", type=float, default=seconds, help="length of one block")
    return common


def begin(common: argparse.ArgumentParser) -> argparse.Namespace:
    """The options, after the threads are settled: no numerical library is imported yet."""
    options = common.parse_args()
    threads.limit(threads.count())
    if options.quick:
        options.blocks, options.seconds = 1, 0.002
    return options
