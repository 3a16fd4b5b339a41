"""Support rows of their own at every inner step, through every engine, against the oracle."""

import pickle
from types import SimpleNamespace

import numpy as np
import oracle
import pytest
from oracle.flows import result
from oracle.inner_optimisers import SGD, Adagrad, Adam, RMSprop
from oracle.unroll import Algorithm

import fomaml_fast as ff
from fomaml_fast import _debug

T, S = 5, 3
NET = ff.MLP([3, 7, 2], activation="tanh")
SLOW = oracle.Net((3, 7, 2), ("tanh",), "mse")
ENGINES = ("reference", "rows", "lanes")


def arrays(rows, seed=0):
    rng = np.random.default_rng(seed)
    shapes = ((T, S, rows, 3), (T, S, rows, 2), (T, 6, 3), (T, 6, 2))
    return tuple(rng.standard_normal(shape) for shape in shapes)


class Stream:
    """The oracle's objective with the support rows of the step that is due."""

    def __init__(self, of_steps):
        self.of_steps, self.taken = of_steps, 0

    def support_gradient(self, fast, theta):
        self.taken += 1
        return self.of_steps[(self.taken - 1) % S].support_gradient(fast, theta)

    def __getattr__(self, name):
        return getattr(self.of_steps[0], name)


class Stepwise(Algorithm):
    def objective(self, net, task):
        of_steps = [
            SimpleNamespace(
                x_support=task.x_support[k],
                y_support=task.y_support[k],
                x_query=task.x_query,
                y_query=task.y_query,
                weights_support=None if task.weights is None else task.weights[k],
                weights_query=None,
            )
            for k in range(S)
        ]
        return Stream([super(Stepwise, self).objective(net, one) for one in of_steps])


OPTIMISERS = {
    "sgd": (ff.inner.SGD(0.1), SGD()),
    "momentum": (ff.inner.SGD(0.1, momentum=0.9), SGD(momentum=0.9)),
    "adam": (ff.inner.Adam(0.1), Adam()),
    "rmsprop": (ff.inner.RMSprop(0.1), RMSprop()),
    "adagrad": (ff.inner.Adagrad(0.1), Adagrad()),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("flow", ["first", "exact"])
@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("options", [{}, {"adapt": "head"}, {"step_weights": [0.2, 0.3, 0.5]}])
def test_meta_gradients(engine, flow, rows, name, options):
    mine, slow = OPTIMISERS[name]
    x, y, xq, yq = arrays(rows)
    weights = np.random.default_rng(1).uniform(0.5, 2, (T, S, rows))
    theta = NET.init(0, np.float64)
    algorithm = ff.Algorithm(inner=mine, steps=S, gradient=flow, **options)
    tasks = [
        SimpleNamespace(x_support=a, y_support=b, x_query=c, y_query=d, weights=w)
        for a, b, c, d, w in zip(x, y, xq, yq, weights, strict=True)
    ]
    expected = result(
        SLOW, theta, tasks, Stepwise(optimiser=slow, rates=0.1, steps=S, gradient=flow, **options)
    )
    batch = ff.TaskBatch(x, y, xq, yq, weights_support=weights)
    with _debug.force_engine(engine):
        got = ff.meta_grad(NET, theta, batch, algorithm)
    np.testing.assert_allclose(got.grad, expected.grad, rtol=0, atol=1e-9)
    np.testing.assert_allclose(got.loss, expected.loss, rtol=0, atol=1e-12)


def test_steps_must_be_those_of_the_algorithm():
    batch = ff.TaskBatch(*arrays(1))
    assert batch.n_steps == S
    theta = NET.init(0, np.float64)
    with pytest.raises(ValueError, match="x_support holds rows for 3 inner steps.* takes 4"):
        ff.meta_grad(NET, theta, batch, ff.maml(0.1, steps=4))
    with pytest.raises(ValueError, match="x_support holds rows for 3 inner steps.* 9 are"):
        ff.evaluate(NET, theta, batch, ff.maml(0.1, steps=S), steps=(9,))


def test_pickles_and_takes():
    batch = ff.TaskBatch(*arrays(2))
    again = pickle.loads(pickle.dumps(batch)).take([2, 0])
    np.testing.assert_array_equal(again.x_support, batch.x_support[[2, 0]])
