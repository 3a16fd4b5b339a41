"""To tell where tasks diverged costs no more memory and work than the call that is told about."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest

import fomaml_fast as ff

#: What each call is; all of them leave one task in two divergent at a rate of 100.
CALLS = {
    "adapt": "ff.adapt(net, theta, x, y, a(lr), threads=1)",
    "adapt, mask": "ff.adapt(net, theta, x, y, a(lr), threads=1, on_divergence='mask')",
    "adapt, trace": "ff.adapt(net, theta, x, y, a(lr), threads=1, trace=[0, steps])",
    "adapt, trace and mask": (
        "ff.adapt(net, theta, x, y, a(lr), threads=1, trace=[steps], on_divergence='mask')"
    ),
    "evaluate": "ff.evaluate(net, theta, batch, a(lr), steps=(1, steps), threads=1)",
    "evaluate, raise": (
        "ff.evaluate(net, theta, batch, a(lr), steps=(steps,), threads=1, on_divergence='raise')"
    ),
    "meta_grad": "ff.meta_grad(net, theta, batch, a(lr), threads=1)",
    "meta_grad, drop": "ff.meta_grad(net, theta, batch, a(lr), threads=1, on_divergence='drop')",
    "meta_step": "ff.meta_step(net, state, batch, a(lr), outer, threads=1)",
}
SETUP = """
import resource
import numpy as np
import fomaml_fast as ff

steps, tasks = 300, 32
net = ff.MLP([200, 100, 5])
theta, rng = net.init(0), np.random.default_rng(0)
x = rng.standard_normal((tasks, 5, 200)).astype(np.float32)
y = rng.standard_normal((tasks, 5, 5)).astype(np.float32)
y[::2], x[::2] = 0, 0  # these stay where they are at any rate: nothing of them moves
batch, outer = ff.TaskBatch(x, y, x, y), ff.outer.SGD(1e-3)
state = ff.init_state(net, ff.fomaml(), outer)
a = lambda lr: ff.fomaml(lr=lr, steps=steps)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
lr = 1e-4
"""
CHECK = """
before, lr = peak(), 100.0
try:
    result = CALL
    told = "result"
except ff.DivergenceError as error:
    told = f"{len(error.tasks)} diverged"
print(told, peak() - before, tasks * net.n_params * 4)
"""


@pytest.mark.parametrize("name", CALLS)
def test_memory_of_a_diagnosis(name):
    """Beyond the call's own peak a few parameters of each task, where every step's would be 300."""
    script = textwrap.dedent(SETUP) + CALLS[name] + CHECK.replace("CALL", CALLS[name])
    ended = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"},
    )
    told, grown, parameters = ended.stdout.rsplit(maxsplit=2)
    answers = ("mask", "drop", "evaluate")
    expected = "result" if name.endswith(answers) else "16 diverged"
    assert told == expected, ended.stdout
    assert int(grown) < 8 * int(parameters), f"{int(grown) / 1e6:.0f} MB"


@pytest.mark.parametrize("gradient", ["first", "exact"])
@pytest.mark.parametrize("how", ["raise", "drop"])
def test_work_of_a_diagnosis_with_a_custom_loss(gradient, how):
    """The function is called as often as where nothing diverges."""
    calls = []

    def squares(outputs, targets):
        calls.append(len(outputs))
        error = outputs - targets
        size = error[0].size
        return (error**2).mean(axis=(1, 2)), 2 * error / size, lambda v: 2 * v / size

    net = ff.MLP([1, 4, 1], activation="identity", loss=ff.losses.Custom(squares))
    x = np.ones((6, 3, 1))
    algorithm = ff.Algorithm(ff.inner.SGD(0.01), steps=30, gradient=gradient)
    theta = net.init(0, np.float64)
    ff.meta_grad(net, theta, ff.TaskBatch(x, x, x, x), algorithm)
    usual, calls[:] = sum(calls), []
    x[2] = 1e100
    batch = ff.TaskBatch(x, x, x, x)
    with np.errstate(all="ignore"):
        if how == "raise":
            with pytest.raises(ff.DivergenceError, match=r"tasks \[2\]"):
                ff.meta_grad(net, theta, batch, algorithm)
        else:
            dropped = ff.meta_grad(net, theta, batch, algorithm, on_divergence=how)
            assert np.flatnonzero(dropped.diverged).tolist() == [2]
    assert sum(calls) <= usual


@pytest.mark.parametrize("own_theta", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
def test_one_task_of_many_is_told_as_if_it_were_alone(own_theta, ragged):
    """Whatever the diagnosis runs again, the number of the task and the step are its own."""
    net = ff.MLP([1, 4, 1], activation="identity")
    rng = np.random.default_rng(0)
    theta = net.init(0, np.float64)
    x = rng.standard_normal((1000, 3, 1))
    x[637] *= 1e20
    algorithm = ff.fomaml(lr=0.01, steps=40)
    sets = [rows[: 2 + i % 2] for i, rows in enumerate(x)] if ragged else x
    with pytest.raises(ff.DivergenceError) as alone:
        ff.adapt(net, theta, x[637][: 2 + 637 % 2] if ragged else x[637], sets[637], algorithm)
    thetas = np.tile(theta, (1000, 1)) if own_theta else theta
    with pytest.raises(ff.DivergenceError) as caught:
        ff.adapt(net, thetas, sets, sets, algorithm)
    assert caught.value.tasks == [637]
    assert caught.value.step == alone.value.step
    kept, diverged = ff.adapt(net, thetas, sets, sets, algorithm, on_divergence="mask")
    single, _ = ff.adapt(net, theta, sets[637], sets[637], algorithm, on_divergence="mask")
    assert np.flatnonzero(diverged).tolist() == [637]
    assert np.array_equal(kept[637], single)
    assert np.isfinite(kept).all()


def test_one_theta_of_many_on_shared_rows():
    """Rows that all tasks share; one task's parameters are too large."""
    net = ff.MLP([1, 4, 1], activation="identity")
    x = np.ones((3, 1))
    thetas = np.tile(net.init(0, np.float64), (50, 1))
    thetas[31] *= 1e60
    with pytest.raises(ff.DivergenceError) as caught:
        ff.adapt(net, thetas, x, x, ff.fomaml(lr=0.01, steps=20))
    assert caught.value.tasks == [31]
    kept, diverged = ff.adapt(net, thetas, x, x, ff.fomaml(lr=0.01, steps=20), on_divergence="mask")
    assert np.flatnonzero(diverged).tolist() == [31]
    assert np.isfinite(kept).all()
