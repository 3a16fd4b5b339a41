"""Ctrl-C stops a long call between blocks, and the package works on afterwards."""

from __future__ import annotations

import signal
import subprocess
import sys
from itertools import product

import pytest

import fomaml_fast as ff

# The alarm delivers Ctrl-C's signal while the call runs; each would take minutes at the least. A
# shell that starts jobs in the background has them ignore the signal: the child restores it.
SCRIPT = """
import signal, threading
import numpy as np
import fomaml_fast as ff
from fomaml_fast import _debug

signal.signal(signal.SIGINT, signal.default_int_handler)
net = ff.MLP((1, 40, 40, 1))
theta = net.init(0)
rng = np.random.default_rng(0)

def rows(tasks, n):
    return rng.normal(size=(tasks, n, 1)).astype(np.float32)

x = rows({tasks}, {n})
batch = ff.TaskBatch(x, x, x, x)
few = rows(3, 10)
small = ff.TaskBatch(few, few, few, few)
expected = ff.meta_grad(net, theta, small, ff.maml())
SQUARES = ff.losses.Custom(
    lambda o, y: (((o - y) ** 2).mean(axis=(1, 2)), 2 * (o - y) / o[0].size)
)
custom = ff.MLP((1, 40, 40, 1), loss=SQUARES)

def again_and_again(call):
    while True:
        call()

with _debug.force_engine({engine!r}):
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    try:
        {call}
    except KeyboardInterrupt:
        print("interrupted")
again = ff.meta_grad(net, theta, small, ff.maml())
assert again.grad.tobytes() == expected.grad.tobytes()
print("works on")
"""

# Tasks, rows of each, and a call that no number of tasks, steps, iterations or rows may keep from
# stopping.
ADAM = "ff.Algorithm(ff.inner.Adam(1e-6), {steps}, gradient={gradient!r})"
CALLS = {
    "meta_grad, many tasks": (
        100_000,
        10,
        "ff.meta_grad(net, theta, batch, ff.maml(1e-6, 500), {t})",
    ),
    "adapt, many tasks": (100_000, 10, "ff.adapt(net, theta, x, x, ff.fomaml(1e-6, 500), {t})"),
    "adapt": (1, 10, "ff.adapt(net, theta, x, x, ff.fomaml(1e-6, 10**9), {t})"),
    "adapt, Adam": (
        1,
        10,
        f"ff.adapt(net, theta, x, x, {ADAM.format(steps=10**9, gradient='first')}, {{t}})",
    ),
    "evaluate": (1, 10, "ff.evaluate(net, theta, batch, ff.fomaml(1e-6), steps=(10**7,), {t})"),
    "first order": (1, 10, "ff.meta_grad(net, theta, batch, ff.fomaml(1e-6, 10**9), {t})"),
    "exact": (
        1,
        10,
        "again_and_again(lambda: ff.meta_grad(net, theta, batch, ff.maml(1e-6, 1000), {t}))",
    ),
    "conjugate gradients": (
        1,
        300_000,
        "ff.meta_grad(net, theta, batch, ff.imaml(1e-9, 1, 1e4, 1e-30, 10**6), {t})",
    ),
    "a long step": (1, 300_000, "ff.adapt(net, theta, x, x, ff.fomaml(1e-9, 10**5), {t})"),
    "predict": (1, 300_000, "again_and_again(lambda: net.predict(theta, x, {t}))"),
    "hvp": (1, 300_000, "again_and_again(lambda: net.hvp(theta, x, x, theta, {t}))"),
    "a custom loss": (1, 10, "ff.adapt(custom, theta, x, x, ff.fomaml(1e-6, 10**6), {t})"),
}
#: What an engine does not compute.
DECLINED = {("lanes", "a custom loss"), ("lanes", "conjugate gradients")}


def run(script):
    # The limit is no measure of speed: an interrupt that is lost would block here for an hour.
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("engine", "name"), sorted({*product(ff.build_info()["engines"], CALLS)} - DECLINED)
)
def test_interrupt(name, engine, threads):
    tasks, n, call = CALLS[name]
    call = call.format(t=f"threads={threads}")
    assert run(SCRIPT.format(tasks=tasks, n=n, call=call, engine=engine))[:2] == [
        "interrupted",
        "works on",
    ]


def test_interrupt_where_the_shell_ignores_the_signal():
    """A parent that ignores Ctrl-C hands that on to its children."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        test_interrupt("adapt", ff.build_info()["engines"][0], 1)
    finally:
        signal.signal(signal.SIGINT, before)


def test_signal_handlers_run_during_a_call():
    """An interrupt that a handler swallows does not stop the call."""
    script = """
import signal, threading
import numpy as np
import fomaml_fast as ff

seen = []
signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
net = ff.MLP((1, 8, 1))
x = np.ones((20_000, 5, 1))
batch = ff.TaskBatch(x, x, x, x)
threading.Timer(0.05, signal.raise_signal, [signal.SIGUSR1]).start()
result = None
while not seen:
    result = ff.meta_grad(net, net.init(0, np.float64), batch, ff.maml(1e-3, 20))
assert np.all(np.isfinite(result.grad))
print("finished")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "finished\n"
    assert signal.SIGUSR1  # the platform has it
