"""The same bits for any number of threads, and for the same call again."""

from __future__ import annotations

import numpy as np
import pytest

import fomaml_fast as ff
from cases import DTYPES, GRADIENTS, build, parameters, ragged_rows
from subject import algorithm, batch, meta_grad, mlp

THREADS = (1, 2, 3, 4, 7, None)

# Small and large networks, few and many tasks, equal and ragged: every engine and block shape.
CASES = {
    "small, many tasks": lambda dtype: build((1, 20, 20, 1), "relu", "mse", dtype, n_tasks=67),
    "one task": lambda dtype: build((4, 16, 2), "tanh", "mse", dtype, n_tasks=1),
    "classes": lambda dtype: build((5, 24, 5), "silu", "cross_entropy", dtype, n_tasks=33),
    "wide input": lambda dtype: build(
        (300, 64, 5), "tanh", "cross_entropy", dtype, n_tasks=9, support=5, query=15
    ),
    "wide layers": lambda dtype: build((6, 130, 70, 3), "gelu", "mse", dtype, n_tasks=19),
    "thousands of tasks": lambda dtype: build(
        (2, 5, 1), "tanh", "mse", dtype, n_tasks=2500, support=3, query=2
    ),
    "ragged": lambda dtype: build((3, 17, 2), "tanh", "mse", dtype, rows=ragged_rows(41)),
}

every_case = pytest.mark.parametrize("name", CASES)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def assert_same_bits(compute):
    """`compute` maps a number of threads to arrays."""
    expected = [np.asarray(array) for array in compute(1)]
    for threads in (*THREADS, 1):
        for array, reference in zip(compute(threads), expected, strict=True):
            assert np.asarray(array).tobytes() == reference.tobytes(), f"threads={threads}"


@every_dtype
@every_case
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_meta_gradient(name, dtype, gradient):
    case = CASES[name](dtype)
    net, tasks, inner = mlp(case), batch(case, ragged=name == "ragged"), algorithm(gradient, 2)

    def compute(threads, **options):
        result = ff.meta_grad(net, case.theta, tasks, inner, threads=threads, **options)
        return result.grad, result.loss, result.losses, result.support_losses

    assert_same_bits(compute)
    assert_same_bits(lambda threads: compute(threads, per_task=True))
    assert_same_bits(lambda threads: compute(threads, reduction="sum"))


@every_dtype
@every_case
def test_adapt(name, dtype):
    case = CASES[name](dtype)
    x, y, _, _ = case.arrays(ragged=name == "ragged")
    net, inner = mlp(case), algorithm(steps=3)
    assert_same_bits(lambda threads: [ff.adapt(net, case.theta, x, y, inner, threads=threads)])

    def trace(threads):
        result = ff.adapt(net, case.theta, x, y, inner, threads=threads, trace=True)
        return result.thetas, result.losses

    assert_same_bits(trace)


@every_dtype
@every_case
def test_evaluate(name, dtype):
    case = CASES[name](dtype)
    net, tasks = mlp(case), batch(case, ragged=name == "ragged")
    assert_same_bits(
        lambda threads: [
            ff.evaluate(
                net, case.theta, tasks, algorithm(), steps=(0, 1, 3), threads=threads
            ).losses
        ]
    )


@every_dtype
@pytest.mark.parametrize("name", [name for name in CASES if name != "ragged"])
def test_hvp(name, dtype):
    case = CASES[name](dtype)
    x, y, _, _ = case.arrays()
    v = parameters(case.sizes, np.random.default_rng(1)).astype(dtype)
    assert_same_bits(lambda threads: [mlp(case).hvp(case.theta, x, y, v, threads=threads)])


@every_dtype
def test_meta_step(dtype):
    case = CASES["small, many tasks"](dtype)
    net, tasks, inner, outer = mlp(case), batch(case), algorithm("exact", 1), ff.outer.Adam()

    def compute(threads):
        state = ff.init_state(net, inner, outer, theta=case.theta)
        for _ in range(3):
            state, metrics = ff.meta_step(net, state, tasks, inner, outer, threads=threads)
        return *state, metrics.grad_norm

    assert_same_bits(compute)


def at_offset(array, offset):
    """The same values `offset` items past a 64-byte boundary."""
    buffer = np.empty(array.nbytes + 128, np.uint8)
    start = -buffer.ctypes.data % 64 + offset * array.itemsize
    view = buffer[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


@every_dtype
@pytest.mark.parametrize("name", [name for name in CASES if name != "ragged"])
def test_addresses_do_not_matter(name, dtype):
    """Neither where the arrays lie that come in, nor where those that go out happen to."""
    case = CASES[name](dtype)
    net, inner = mlp(case), algorithm("exact", 1)
    v = parameters(case.sizes, np.random.default_rng(1)).astype(dtype)
    arrays, results, kept = case.arrays(), {}, []
    for offset in range(8):
        theta, tangent, *moved = (at_offset(a, offset) for a in (case.theta, v, *arrays))
        tasks = ff.TaskBatch(*moved)
        calls = {
            "meta_grad": lambda t=theta, b=tasks: ff.meta_grad(net, t, b, inner).grad,
            "task_grads": lambda t=theta, b=tasks: (
                ff.meta_grad(net, t, b, inner, per_task=True).task_grads
            ),
            "predict": lambda t=theta, m=moved: net.predict(t, m[0]),
            "value_and_grad": lambda t=theta, m=moved: net.value_and_grad(t, *m[:2])[1],
            "hvp": lambda t=theta, m=moved, u=tangent: net.hvp(t, *m[:2], u),
            "adapt": lambda t=theta, m=moved: ff.adapt(net, t, *m[:2], inner),
        }
        for call, compute in calls.items():
            kept.append(compute())  # kept alive, so that the next result lies elsewhere
            kept.append(np.empty(offset + 1, dtype))
            results.setdefault(call, set()).add(kept[-2].tobytes())
    assert {call: len(bits) for call, bits in results.items()} == dict.fromkeys(results, 1)


def test_asking_for_more_does_not_change_the_numbers_much():
    """`per_task` and `trace` may take another path: the answer is the same to rounding."""
    case = CASES["small, many tasks"]("float64")
    plain = meta_grad(case, "exact", 2)
    full = meta_grad(case, "exact", 2, per_task=True, trace=True)
    np.testing.assert_allclose(full.grad, plain.grad, rtol=0, atol=1e-14)
    np.testing.assert_allclose(full.losses, plain.losses, rtol=1e-14)
