"""Many Python threads in the core at once: nothing waits for ever, and no bit differs."""

import sys
import sysconfig
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fomaml_fast as ff

PATIENCE = 120  # seconds until a thread that hangs fails the test instead of blocking it
CALLERS = 8


def jobs():
    """Calls of every kind and of many shapes, each returning its arrays."""
    rng = np.random.default_rng(0)
    outer = ff.outer.Adam(1e-3)
    found = []
    for dtype in (np.float32, np.float64):
        for sizes, n_tasks, steps in (
            ((1, 16, 1), 3, 2),
            ((4, 40, 40, 2), 33, 1),
            ((3, 90, 1), 17, 3),
        ):
            net = ff.MLP(sizes, activation="tanh")
            x = rng.standard_normal((2, n_tasks, 7, sizes[0])).astype(dtype)
            y = rng.standard_normal((2, n_tasks, 7, sizes[-1])).astype(dtype)
            batch = ff.TaskBatch(x[0], y[0], x[1], y[1])
            theta = net.init(1, dtype=dtype)
            for algorithm in (
                ff.maml(lr=0.01, steps=steps),
                ff.fomaml(lr=0.01, steps=steps),
                ff.Algorithm(ff.inner.Adam(0.01), steps=steps, gradient="exact"),
            ):
                state = ff.init_state(net, algorithm, outer, theta=theta)

                def meta_grad(net=net, theta=theta, batch=batch, algorithm=algorithm):
                    result = ff.meta_grad(net, theta, batch, algorithm, threads=2)
                    return result.grad, result.losses

                def meta_step(net=net, state=state, batch=batch, algorithm=algorithm):
                    stepped, metrics = ff.meta_step(net, state, batch, algorithm, outer)
                    return stepped.theta, stepped.moments, metrics.losses

                def adapt(net=net, theta=theta, x=x, y=y, algorithm=algorithm):
                    return (ff.adapt(net, theta, x[0], y[0], algorithm),)

                def predict(net=net, theta=theta, x=x):
                    return (net.predict(theta, x[1]),)

                found += [meta_grad, meta_step, adapt, predict]
    return found


def same(results, expected):
    return len(results) == len(expected) and all(
        np.array_equal(a, b) for a, b in zip(results, expected, strict=True)
    )


def test_callers_at_once_get_the_bits_of_one_alone():
    calls = jobs()
    expected = [call() for call in calls]
    start = threading.Barrier(CALLERS)
    wrong, done = [], []

    def hammer(seed):
        order = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(calls)), 5))
        start.wait(PATIENCE)
        wrong.extend(i for i in order if not same(calls[i](), expected[i]))
        done.append(seed)

    threads = [threading.Thread(target=hammer, args=(i,), daemon=True) for i in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(done) == list(range(CALLERS)), "a caller hangs or raised"
    assert wrong == []


def test_calls_nested_in_pools_end_with_the_same_bits():
    calls = jobs()
    expected = [call() for call in calls]

    def inner(call):
        with ThreadPoolExecutor(2) as pool:
            return [future.result(PATIENCE) for future in (pool.submit(call), pool.submit(call))]

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(inner, call) for call in calls]
        for future, wanted in zip(futures, expected, strict=True):
            first, second = future.result(PATIENCE)
            assert same(first, wanted)
            assert same(second, wanted)


def test_a_free_threaded_python_stays_without_its_lock():
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("this Python is not a free-threaded build")
    # An extension module that does not declare itself safe would have switched the lock on.
    assert not sys._is_gil_enabled()
