"""Ctrl-C stops a long call between blocks, and the package works on afterwards."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# Each call would take minutes at the least; the alarm delivers Ctrl-C's signal while it runs.
SCRIPT = """
import signal, threading
import numpy as np
import fomaml_fast as ff

net = ff.MLP((1, 40, 40, 1))
theta = net.init(0)
x = np.random.default_rng(0).normal(size=({tasks}, 10, 1)).astype(np.float32)
batch = ff.TaskBatch(x, x, x, x)
small = batch.take([0, 1, 2])
expected = ff.meta_grad(net, theta, small, ff.maml())

def interrupt():
    signal.raise_signal(signal.SIGINT)

try:
    timer = threading.Timer(0.3, interrupt)
    timer.start()
    {call}
except KeyboardInterrupt:
    print("interrupted")
again = ff.meta_grad(net, theta, small, ff.maml())
assert again.grad.tobytes() == expected.grad.tobytes()
print("works on")
"""

CALLS = {
    "meta_grad": "ff.meta_grad(net, theta, batch, ff.maml(1e-6, {steps}), threads={threads})",
    "adapt": "ff.adapt(net, theta, x, x, ff.fomaml(1e-6, {steps}), threads={threads})",
    "evaluate": "ff.evaluate(net, theta, batch, ff.fomaml(1e-6), steps=({steps},),"
    " threads={threads})",
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CALLS)
def test_interrupt(name, threads):
    call = CALLS[name].format(steps=500, threads=threads)
    script = SCRIPT.format(tasks=100_000, call=call)
    # The limit is no measure of speed: an interrupt that is lost would block here for an hour.
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["interrupted", "works on"]


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
