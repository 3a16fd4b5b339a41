"""First-order and exact meta-gradients against the oracle, closed forms and their own laws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fomaml_fast as ff
import oracle
from cases import DTYPES, GRADIENTS, LR, TASK_COUNTS, WIDTHS, build, pairs, ragged_rows
from subject import algorithm, batch, meta_grad, mlp
from tolerances import assert_close

ACTIVATIONS = (*ff.activations.names(), *oracle.VARIANTS)
LOSSES = ff.losses.names()
STEPS = (0, 1, 2, 5)


def assert_matches_oracle(case, gradient, steps, *, ragged=False):
    """Every field of the result, with and without its extras."""
    expected = case.expected(LR, steps, gradient)
    dtype = case.dtype
    plain = meta_grad(case, gradient, steps, ragged=ragged)
    assert plain.task_grads is None
    assert plain.losses_before is None
    full = meta_grad(case, gradient, steps, ragged=ragged, per_task=True, trace=True)
    for result in (plain, full):
        assert result.grad.dtype == result.losses.dtype == dtype
        assert isinstance(result.loss, float)
        assert_close(result.grad, expected.task_grads.mean(axis=0), "meta_gradient", dtype)
        assert_close(result.losses, expected.losses, "loss", dtype)
        assert_close(result.loss, expected.losses.mean(), "loss", dtype)
        assert result.n_dropped == 0
        assert result.diverged.tolist() == [False] * len(case.tasks)
        if steps == 0:
            assert result.support_losses is None
        else:
            assert_close(result.support_losses, expected.support_losses, "loss", dtype)
    assert_close(full.task_grads, expected.task_grads, "meta_gradient", dtype, tasks=True)
    assert_close(full.losses_before, expected.losses_before, "loss", dtype)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_everything_registered(activation, loss, gradient, dtype, steps):
    assert_matches_oracle(build((3, 9, 6, 4), activation, loss, dtype), gradient, steps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("n_tasks", TASK_COUNTS)
def test_task_counts(n_tasks, gradient, dtype):
    for sets in ((1, 1), (3, 7), (10, 10)):
        case = build(
            (1, 12, 1), "relu", dtype=dtype, n_tasks=n_tasks, support=sets[0], query=sets[1]
        )
        assert_matches_oracle(case, gradient, 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize(("width", "n_tasks"), pairs(WIDTHS, TASK_COUNTS))
def test_sizes_around_vector_widths(width, n_tasks, gradient, dtype):
    other = WIDTHS[(WIDTHS.index(width) + 4) % len(WIDTHS)]
    for sizes in ((width, other, 1), (1, width, other, 2), (other, width), (3, 5, width)):
        case = build(
            sizes, "tanh", "mse", dtype, n_tasks=n_tasks, support=min(width, 9), query=other
        )
        assert_matches_oracle(case, gradient, 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize(("n_out", "n_tasks"), pairs((2, 3, 5, 8, 9, 17), (1, 3, 16, 25)))
def test_class_counts(n_out, n_tasks, gradient, dtype):
    case = build((4, 10, n_out), "silu", "cross_entropy", dtype, n_tasks=n_tasks)
    assert_matches_oracle(case, gradient, 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n_tasks", [1, 3, 16, 21])
def test_ragged_tasks(n_tasks, loss, gradient, dtype):
    case = build((2, 9, 3), "gelu", loss, dtype, rows=ragged_rows(n_tasks))
    assert_matches_oracle(case, gradient, 2, ragged=True)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_equal_tasks_listed_are_equal_tasks_stacked(gradient):
    case = build((2, 9, 3), n_tasks=6)
    assert_close(
        meta_grad(case, gradient, 2, ragged=True).grad,
        meta_grad(case, gradient, 2).grad,
        "meta_gradient",
        np.float64,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_wide_input_and_few_rows(gradient, dtype):
    """The shape of images: the first layer is far wider than the support set is long."""
    case = build((160, 24, 5), "tanh", "cross_entropy", dtype, n_tasks=4, support=5, query=15)
    for steps in (1, 3):
        assert_matches_oracle(case, gradient, steps)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_exact_equals_first_order_only_without_steps(gradient):
    case = build((2, 9, 3))
    first, exact = (meta_grad(case, kind, 0).grad for kind in GRADIENTS)
    np.testing.assert_allclose(first, exact, rtol=1e-13)
    first, exact = (meta_grad(case, kind, 1).grad for kind in GRADIENTS)
    assert np.abs(first - exact).max() > 1e-3 * np.abs(exact).max()


def test_first_order_gradient_is_the_query_gradient_at_the_adapted_parameters():
    """Load the adapted weights, take a plain gradient, compare (as learn2learn tests it)."""
    case = build((3, 8, 4), "relu", "cross_entropy", n_tasks=5)
    x, y, x_query, y_query = case.arrays()
    adapted = ff.adapt(mlp(case), case.theta, x, y, algorithm(steps=3))
    _, expected = mlp(case).value_and_grad(adapted, x_query, y_query)
    result = meta_grad(case, "first", 3, per_task=True)
    assert_close(result.task_grads, expected, "meta_gradient", np.float64, tasks=True)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("steps", STEPS)
def test_exact_gradient_matches_finite_differences(loss, steps):
    case = build((2, 7, 3), "tanh", loss)
    net, tasks, inner = mlp(case), batch(case), algorithm("exact", steps)
    v, h = np.random.default_rng(9).normal(size=case.theta.size), 1e-5
    ends = [ff.meta_grad(net, case.theta + s * h * v, tasks, inner).loss for s in (1, -1)]
    gradient = ff.meta_grad(net, case.theta, tasks, inner).grad
    assert gradient @ v == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-7)


def quadratic(alpha_a, w, c, steps, gradient, dtype=np.float64):
    """Meta-gradient of 1/2 a (w - c)^2 as a one-unit network; rows +x, -x keep the bias at 0."""
    x = 1.25
    rows = np.array([[[x], [-x]]], dtype=dtype)
    targets = (c * rows).astype(dtype)
    tasks = ff.TaskBatch(rows, targets, rows, targets)
    a = 2 * x**2
    inner = algorithm(gradient, steps, alpha_a / a)
    return a, ff.meta_grad(ff.MLP((1, 1)), np.array([w, 0], dtype=dtype), tasks, inner).grad


@given(
    alpha_a=st.floats(-0.5, 2.2), w=st.floats(-3, 3), c=st.floats(-3, 3), steps=st.integers(0, 7)
)
def test_closed_forms_of_the_quadratic(alpha_a, w, c, steps):
    a, first = quadratic(alpha_a, w, c, steps, "first")
    _, exact = quadratic(alpha_a, w, c, steps, "exact")
    factor = 1 - alpha_a
    size = 1e-12 * a * 6 * max(1, abs(factor)) ** (2 * steps)
    np.testing.assert_allclose(first, [factor**steps * a * (w - c), 0], rtol=0, atol=size)
    np.testing.assert_allclose(exact, [factor ** (2 * steps) * a * (w - c), 0], rtol=0, atol=size)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("alpha_a", "steps"), list(itertools.product([1.2, 1.5, 1.9], [1, 3, 5])))
def test_first_order_points_uphill_where_the_step_overshoots(alpha_a, steps, dtype):
    """For alpha a > 1 and S odd FOMAML has the wrong sign; MAML never does."""
    w, c = 2.0, 0.5
    a, first = quadratic(alpha_a, w, c, steps, "first", dtype)
    _, exact = quadratic(alpha_a, w, c, steps, "exact", dtype)
    downhill = a * (w - c)
    assert first[0] * downhill < 0
    assert exact[0] * downhill > 0
    # The gradient is a (w - c) at the adapted w: its error is that of rounding w.
    atol = 4 * a * w * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(first[0], (1 - alpha_a) ** steps * downhill, rtol=0, atol=atol)
    np.testing.assert_allclose(exact[0], (1 - alpha_a) ** (2 * steps) * downhill, rtol=0, atol=atol)


cases = st.builds(
    build,
    st.lists(st.integers(1, 9), min_size=2, max_size=4).map(lambda s: (*s, s[0] + 1)),
    st.sampled_from(ACTIVATIONS),
    st.sampled_from(LOSSES),
    n_tasks=st.integers(1, 20),
    support=st.integers(1, 6),
    query=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
gradients = st.sampled_from(GRADIENTS)
steps_drawn = st.integers(0, 3)


def close(actual, expected, **options):
    assert_close(actual, expected, "meta_gradient", np.float64, **options)


@given(cases, gradients, steps_drawn)
def test_sum_is_the_number_of_tasks_times_the_mean(case, gradient, steps):
    mean = meta_grad(case, gradient, steps)
    total = meta_grad(case, gradient, steps, reduction="sum")
    close(total.grad, len(case.tasks) * mean.grad)
    close(total.loss, len(case.tasks) * mean.loss)
    np.testing.assert_array_equal(total.losses, mean.losses)


@given(cases, gradients, steps_drawn)
def test_task_gradients_sum_to_the_gradient(case, gradient, steps):
    result = meta_grad(case, gradient, steps, reduction="sum", per_task=True)
    scale = np.abs(result.task_grads).sum(axis=0).max()
    difference = result.task_grads.sum(axis=0) - result.grad
    assert np.abs(difference).max() <= 1e-13 * scale
    assert result.loss == pytest.approx(result.losses.sum(), rel=1e-13)


@given(cases, gradients, steps_drawn, st.randoms(use_true_random=False))
def test_permuting_tasks_permutes_their_results(case, gradient, steps, random):
    order = list(range(len(case.tasks)))
    random.shuffle(order)
    net, tasks, inner = mlp(case), batch(case), algorithm(gradient, steps)
    there = ff.meta_grad(net, case.theta, tasks, inner, per_task=True)
    shuffled = ff.meta_grad(net, case.theta, tasks.take(order), inner, per_task=True)
    close(shuffled.task_grads, there.task_grads[order], tasks=True)
    close(shuffled.losses, there.losses[order])
    scale = np.abs(there.task_grads).mean(axis=0).max()
    assert np.abs(shuffled.grad - there.grad).max() <= 1e-12 * scale


@given(cases, gradients, steps_drawn, st.integers(2, 4))
def test_repeating_tasks_leaves_the_mean(case, gradient, steps, times):
    net, tasks, inner = mlp(case), batch(case), algorithm(gradient, steps)
    once = ff.meta_grad(net, case.theta, tasks, inner, per_task=True)
    repeated = tasks.take(list(range(len(tasks))) * times)
    many = ff.meta_grad(net, case.theta, repeated, inner)
    scale = np.abs(once.task_grads).mean(axis=0).max()
    assert np.abs(many.grad - once.grad).max() <= 1e-12 * scale
    assert many.loss == pytest.approx(once.loss, rel=1e-12)


@given(cases, gradients, st.integers(1, 3), st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(case, gradient, steps, random):
    arrays = case.arrays()
    support, query = list(range(arrays[0].shape[1])), list(range(arrays[2].shape[1]))
    random.shuffle(support)
    random.shuffle(query)
    orders = (support, support, query, query)
    shuffled = [a[:, order] for a, order in zip(arrays, orders, strict=True)]
    inner = algorithm(gradient, steps)
    there = ff.meta_grad(mlp(case), case.theta, batch(case), inner, per_task=True)
    result = ff.meta_grad(mlp(case), case.theta, ff.TaskBatch(*shuffled), inner, per_task=True)
    close(result.task_grads, there.task_grads, tasks=True)
    close(result.losses, there.losses)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_inputs_are_never_written(gradient):
    case = build((2, 9, 3), n_tasks=17)
    arrays = case.arrays()
    for array in (case.theta, *arrays):
        array.setflags(write=False)
    copies = [array.copy() for array in (case.theta, *arrays)]
    ff.meta_grad(
        mlp(case), case.theta, ff.TaskBatch(*arrays), algorithm(gradient, 2), per_task=True
    )
    for array, copy in zip((case.theta, *arrays), copies, strict=True):
        np.testing.assert_array_equal(array, copy)
