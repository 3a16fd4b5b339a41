"""Many learners in one call beside one call each: ``python -m benchmarks.learners``.

Both are meta-steps of the same states on the same batch, in turns in one process; a figure is the
ratio of the medians, with the microseconds of a learner in one call before it.
"""

from __future__ import annotations

import argparse
import statistics
import time

from benchmarks import threads

LEARNERS = (1, 2, 8, 32)
#: Name, sizes, tasks, rows of a set.
CASES = (
    ("sine-1", (1, 40, 40, 1), 25, 10),
    ("sine-1, 4 tasks", (1, 40, 40, 1), 4, 10),
    ("tiny", (1, 8, 1), 4, 5),
    ("one weight", (1, 1), 4, 5),
    ("64-128-128-5", (64, 128, 128, 5), 8, 20),
)
SECONDS = 0.4  # of each case


def case(sizes: tuple[int, ...], tasks: int, rows: int, exact: bool, learners: int) -> str:
    """Microseconds of a learner in one call, and what that is of its own call."""
    import numpy as np

    import fomaml_fast as ff

    rng = np.random.default_rng(0)
    shapes = [(tasks, rows, n) for n in (sizes[0], sizes[-1])] * 2
    batch = ff.TaskBatch(*(rng.standard_normal(s).astype(np.float32) for s in shapes))
    net, outer = ff.MLP(sizes), ff.outer.Adam()
    algorithm = ff.maml(lr=0.01) if exact else ff.fomaml(lr=0.01)
    together = ff.init_state(net, algorithm, outer, seed=range(learners))
    alone = [together.learner(r) for r in range(learners)]
    seconds: tuple[list[float], list[float]] = [], []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(seconds[0]) < 5:
        start = time.perf_counter()
        ff.meta_step(net, together, batch, algorithm, outer)
        between = time.perf_counter()
        for state in alone:
            ff.meta_step(net, state, batch, algorithm, outer)
        seconds[0].append(between - start)
        seconds[1].append(time.perf_counter() - between)
    one, each = (statistics.median(s) for s in seconds)
    return f"{one / learners * 1e6:.1f}: {one / each:.2f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=threads.count())
    threads.limit(parser.parse_args().threads)
    print("| | gradient |" + "".join(f" R = {n} |" for n in LEARNERS))
    print("|---|---|" + "---|" * len(LEARNERS))
    for name, sizes, tasks, rows in CASES:
        for exact in (False, True):
            cells = [case(sizes, tasks, rows, exact, n) for n in LEARNERS]
            print(f"| {name} | {'exact' if exact else 'first'} |", *(f" {c} |" for c in cells))


if __name__ == "__main__":
    main()
