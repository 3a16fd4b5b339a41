"""Threads from outside: environment variables, fork, many Python threads, flat memory."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import textwrap
from itertools import accumulate
from pathlib import Path

import pytest


def run_python(code: str, **environment: str) -> str:
    """Output of a fresh interpreter; a hang is a failure."""
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


DEFAULT_THREADS = "import fomaml_fast as ff; print(ff.build_info()['default_threads'])"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"FOMAML_FAST_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, "3"),
        ({"FOMAML_FAST_NUM_THREADS": "", "OMP_NUM_THREADS": "5"}, "5"),
        ({"FOMAML_FAST_NUM_THREADS": "nonsense", "OMP_NUM_THREADS": "4"}, "4"),
        ({"FOMAML_FAST_NUM_THREADS": "", "OMP_NUM_THREADS": "4,2"}, "4"),
    ],
)
def test_environment_sets_the_default(environment: dict[str, str], expected: str) -> None:
    assert run_python(DEFAULT_THREADS, **environment) == expected


@pytest.mark.parametrize("value", ["0", "-3", "x", "2.5", "3x", "+1", " 1", "99999999999"])
def test_a_useless_number_of_threads_is_reported(value: str) -> None:
    script = """
        import warnings

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            import fomaml_fast
        print(*(w.message for w in caught), fomaml_fast.build_info()["default_threads"])
    """
    printed = run_python(script, FOMAML_FAST_NUM_THREADS=value, OMP_NUM_THREADS="5")
    assert printed == f"FOMAML_FAST_NUM_THREADS='{value}' is ignored: not a number from 1 5"


def quotas() -> list[int]:
    """Processors that the usual places of a control group's quota name, rounded up."""
    named = []
    paths = [line.split(":", 2) for line in read("/proc/self/cgroup").splitlines()]
    for controllers, path in {(fields[1], fields[2]) for fields in paths if len(fields) == 3}:
        for group in ("/", *accumulate(f"{part}/" for part in path.split("/"))):
            place = Path(f"/sys/fs/cgroup/{controllers}/{group}")
            limit = read(place / "cpu.max") or (
                f"{read(place / 'cpu.cfs_quota_us')} {read(place / 'cpu.cfs_period_us')}"
            )
            quota, *period = limit.split() or [""]
            if quota.isdigit() and period:
                named.append(math.ceil(int(quota) / int(period[0])))
    return named


def read(path: str | Path) -> str:
    """What stands in a file, if it is one."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this platform")
def test_all_processors_by_default() -> None:
    unset = {"FOMAML_FAST_NUM_THREADS": "", "OMP_NUM_THREADS": ""}
    expected = min([len(os.sched_getaffinity(0)), *quotas()])
    assert int(run_python(DEFAULT_THREADS, **unset)) == expected


@pytest.mark.parametrize("engine", ["rows", "lanes", "reference"])
def test_busy_neighbours_change_no_bits(engine: str) -> None:
    output = run_python(
        f"""
        import subprocess, sys
        import numpy as np
        import fomaml_fast as ff
        from fomaml_fast._debug import force_engine

        net = ff.MLP([3, 40, 40, 2], "tanh")
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((48, 9, 3)), rng.standard_normal((48, 9, 2))
        batch, theta = ff.TaskBatch(x, y, x, y), net.init(0, np.float64)
        compute = lambda threads: ff.meta_grad(net, theta, batch, ff.maml(), threads=threads)
        with force_engine({engine!r}):
            alone = compute(1)
            hogs = [
                subprocess.Popen([sys.executable, "-c", "while True: pass"])
                for _ in range(2 * ff.build_info()["default_threads"])
            ]
            try:
                answers = [compute(threads) for threads in (None, 2, 5) for _ in range(25)]
            finally:
                for hog in hogs:
                    hog.kill()
                    hog.wait()
        print({{a.grad.tobytes() + a.losses.tobytes() for a in answers}} ==
              {{alone.grad.tobytes() + alone.losses.tobytes()}})
        """
    )
    assert output == "True"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_computes_the_same() -> None:
    output = run_python(
        """
        import os
        import numpy as np
        import fomaml_fast as ff

        net = ff.MLP([3, 16, 2], "tanh")
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((32, 9, 3)), rng.standard_normal((32, 9, 2))
        batch, theta = ff.TaskBatch(x, y, x, y), net.init(0, np.float64)
        compute = lambda: ff.meta_grad(net, theta, batch, ff.maml(), threads=2).grad.tobytes()
        before = compute()
        child = os.fork()
        if child == 0:
            os._exit(0 if compute() == before else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), compute() == before)
        """
    )
    assert output == "0 True"


def test_memory_stays_flat() -> None:
    output = run_python(
        """
        import resource
        import fomaml_fast as ff

        net, algorithm, outer = ff.MLP([1, 8, 1]), ff.maml(steps=2), ff.outer.Adam()
        batches = [ff.samplers.Sinusoid().sample(s, 4 + s, 3 + s, 5) for s in range(4)]
        state = ff.init_state(net, algorithm, outer)

        def train(steps):
            global state
            for step in range(steps):
                state, _ = ff.meta_step(net, state, batches[step % 4], algorithm, outer, threads=1)

        train(2000)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        train(50000)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        """
    )
    assert int(output) < 1024  # kB
