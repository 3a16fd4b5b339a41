"""Errors of arguments that are nearly right tell what to write instead."""

import numpy as np
import pytest

import fomaml_fast as ff

NET = ff.MLP([1, 4, 1])
THETA = NET.init(0)
BATCH = ff.samplers.Sinusoid().sample(0, n_tasks=3, k_support=4, k_query=5)


def test_a_name_or_number_for_an_inner_optimiser():
    for value in ("adam", 0.01):
        with pytest.raises(TypeError, match=r"inner.*such as inner\.SGD"):
            ff.Algorithm(value)


def test_implicit_as_a_name():
    with pytest.raises(ValueError, match=r"gradient.*Implicit\(...\)"):
        ff.Algorithm(ff.inner.SGD(0.1), gradient="implicit")


def test_one_number_of_steps():
    with pytest.raises(TypeError, match=r"steps must be a sequence.*got 5"):
        ff.evaluate(NET, THETA, BATCH, ff.maml(), steps=5)


@pytest.mark.parametrize("call", [ff.evaluate, ff.meta_grad])
def test_a_schedule_where_one_algorithm_is_needed(call):
    schedule = ff.schedules.derivative_order(ff.maml(), switch=5)
    with pytest.raises(TypeError, match=r"algorithm.*of one step"):
        call(NET, THETA, BATCH, schedule)


def test_a_function_or_a_class_for_a_loss():
    def absolute(outputs, targets):
        return np.abs(outputs - targets).sum((1, 2)), np.sign(outputs - targets)

    with pytest.raises(TypeError, match=r"^loss.*losses\.Custom"):
        ff.MLP([1, 1], loss=absolute)
    with pytest.raises(TypeError, match=r"^query_loss.*losses\.Custom"):
        ff.Algorithm(ff.inner.SGD(0.1), query_loss=absolute)
    with pytest.raises(TypeError, match=r"^loss must be a name.*object made from a class"):
        ff.MLP([1, 1], loss=ff.losses.Huber)
    with pytest.raises(ValueError, match=r"^query_loss must be one of.*huber"):
        ff.Algorithm(ff.inner.SGD(0.1), query_loss="Huber")


def test_labels_as_floats():
    x, labels = np.zeros((3, 4, 1)), np.zeros((3, 4))
    with pytest.raises(ValueError, match=r"y_support.*class labels must be integers"):
        ff.TaskBatch(x, labels, x, labels)
    with pytest.raises(ValueError, match=r"y_support\[0\].*class labels must be integers"):
        ff.TaskBatch(list(x), list(labels), x, labels)
    with pytest.raises(ValueError, match=r"y .*class labels must be integers"):
        NET.loss(NET.init(0, np.float64), x[0], labels[0])


def test_labels_with_an_axis_too_many():
    x, labels = np.zeros((3, 4, 1)), np.zeros((3, 4, 1), np.int64)
    with pytest.raises(ValueError, match=r"y_support must have shape \[3, 4\], labels of tasks"):
        ff.TaskBatch(x, labels, x, labels)


def test_the_way_to_convert_is_one_of_the_call():
    x, y = np.zeros((3, 4, 1)), np.zeros((3, 4, 1), np.float32)
    with pytest.raises(TypeError, match=r"numpy\.asarray\(y_support.*or TaskBatch\(") as in_batch:
        ff.TaskBatch(x, y, x, y)
    with pytest.raises(TypeError, match=r"numpy\.asarray\(cotangent, dtype=numpy\.float32\)$"):
        NET.vjp(THETA, BATCH.x_query, np.zeros((3, 5, 1)))
    assert "x_support is float64" in str(in_batch.value)
    with pytest.raises(TypeError, match=r"y_query is float32 but x_query .*or TaskBatch\("):
        ff.TaskBatch(x, x, x, y)


def test_a_state_of_another_algorithm():
    outer = ff.outer.Adam()
    plain, learns = ff.maml(), ff.meta_sgd()
    state = ff.init_state(NET, plain, outer)
    with pytest.raises(ValueError, match=r"state\.rates must not be empty.*init_state"):
        ff.meta_step(NET, state, BATCH, learns, outer)
    state = ff.init_state(NET, learns, outer)
    with pytest.raises(ValueError, match=r"state\.moments.*number of learned rates"):
        ff.meta_step(NET, state, BATCH, plain, outer)
