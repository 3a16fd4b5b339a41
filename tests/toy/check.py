"""Run where the core has the toys: their registration and their numbers, or an assertion.

Networks, losses and optimisers are written out here. Gradients are complex steps, meta-gradients
central differences of the loss that adaptation leads to.
"""

import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np

import fomaml_fast as ff
from fomaml_fast import _debug, activations, inner, losses, outer

SIZES, TASKS, ROWS, STEPS, LR = (2, 9, 1), 11, 5, 3, 0.05
CUTS = np.cumsum([SIZES[0] * SIZES[1], SIZES[1], SIZES[1]])
BEND, DEPTH, WIDTH, FRICTION = 0.8, 0.4, 0.7, 0.25

rng = np.random.default_rng(0)
# More tasks than a vector has lanes, and not a multiple.
XS, XQ = rng.standard_normal((2, TASKS, ROWS, SIZES[0]))
YS, YQ = 0.5 * rng.standard_normal((2, TASKS, ROWS, 1))
THETA = 0.5 * rng.standard_normal(CUTS[-1] + 1)
EACH = list(zip(XS, YS, XQ, YQ, strict=True))
BATCH = ff.TaskBatch(XS, YS, XQ, YQ)


def descent(gradients):
    """Directions of plain descent."""
    return gradients[-1]


def swift(gradients):
    """Heavy ball with a cubic term."""
    buffer = np.zeros_like(THETA)
    for gradient in gradients:
        buffer = (1 - FRICTION) * buffer + gradient
    return buffer + buffer**3


def smooth(error):
    return np.mean(np.sqrt(WIDTH**2 + error**2) - WIDTH)


def squares(error):
    return np.mean(error**2)


@dataclass
class World:
    """What one toy is tried in; the others are the library's own."""

    toy: str
    net: ff.MLP
    optimiser: Any
    sigma: Any = np.tanh
    loss: Any = squares
    direction: Any = descent

    def outputs(self, theta, x):
        w0, b0, w1, b1 = np.split(theta, CUTS)
        return self.sigma(x @ w0.reshape(SIZES[:2]) + b0) @ w1[:, None] + b1

    def loss_at(self, theta, x, y):
        return self.loss(self.outputs(theta, x) - y)

    def gradient(self, theta, x, y, h=1e-30):
        """No difference is taken, so nothing cancels."""
        units = 1j * h * np.eye(len(theta))
        return np.array([self.loss_at(theta + unit, x, y).imag / h for unit in units])

    def adapted(self, theta, x, y):
        gradients = []
        for _ in range(STEPS):
            gradients.append(self.gradient(theta, x, y))
            theta = theta - LR * self.direction(gradients)
        return theta


def differences(function, theta, h=1e-5):
    unit = h * np.eye(len(theta))
    return np.array([(function(theta + e) - function(theta - e)) / (2 * h) for e in unit])


def close(found, expected, tolerance, what):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale, err_msg=what)


def worlds():
    """One for every toy that takes part in meta-gradients."""
    sgd = inner.SGD(LR)
    yield World(
        "swoosh",
        ff.MLP(SIZES, activations.Swoosh(bend=BEND)),
        sgd,
        sigma=lambda z: z + BEND * np.sin(z),
    )
    yield World(
        "shelf",
        ff.MLP(SIZES, activations.Shelf(depth=DEPTH)),
        sgd,
        sigma=lambda z: np.where(z.real > -DEPTH, z, -DEPTH),
    )
    yield World("smooth", ff.MLP(SIZES, "tanh", losses.Smooth(width=WIDTH)), sgd, loss=smooth)
    swift_ = inner.get("swift")(lr=LR, friction=FRICTION)
    yield World("swift", ff.MLP(SIZES, "tanh"), swift_, direction=swift)


def complaint(kind, call):
    """What a call says that must fail."""
    try:
        call()
    except kind as error:
        return str(error)
    raise AssertionError("nothing was said")


def check_meta_gradients(world):
    ends = np.array([world.adapted(THETA, x, y) for x, y, _, _ in EACH])
    through = differences(
        lambda at: np.mean([world.loss_at(world.adapted(at, a, b), c, d) for a, b, c, d in EACH]),
        THETA,
    )
    ahead = np.mean([world.gradient(e, x, y) for e, x, y in zip(ends, XQ, YQ, strict=True)], axis=0)
    assert np.abs(through - ahead).max() > 1e-2 * np.abs(through).max(), "nothing to tell apart"
    for engine in ff.build_info()["engines"]:
        if engine == "echo":
            continue
        with _debug.force_engine(engine):
            for flow, expected in (("exact", through), ("first", ahead)):
                algorithm = ff.Algorithm(world.optimiser, steps=STEPS, gradient=flow)
                what = f"{world.toy} {engine} {flow}"
                close(ff.adapt(world.net, THETA, XS, YS, algorithm), ends, 1e-12, what)
                grad = ff.meta_grad(world.net, THETA, BATCH, algorithm).grad
                close(grad, expected, 1e-7, what)  # differences of h^2 = 1e-10, and rounding over h
                single = [array.astype(np.float32) for array in (XS, YS, XQ, YQ)]
                found = ff.meta_grad(
                    world.net, THETA.astype(np.float32), ff.TaskBatch(*single), algorithm
                )
                close(found.grad, expected, 1e-4, what)
                print("checked", what)


def check_outer():
    net, algorithm = ff.MLP(SIZES, "tanh"), ff.Algorithm(inner.SGD(LR), steps=1)
    lively = outer.get("lively")(lr=0.1, softness=0.3)
    state, mean, theta = ff.init_state(net, algorithm, lively, theta=THETA), 0.0, THETA
    for _ in range(3):
        mean = 0.5 * mean + 0.5 * ff.meta_grad(net, theta, BATCH, algorithm).grad
        theta = theta - 0.1 * mean / (np.abs(mean) + 0.3)
        state, _ = ff.meta_step(net, state, BATCH, algorithm, lively)
        close(state.theta, theta, 1e-13, "lively")
    print("checked lively")


def check_engine():
    world = next(worlds())
    maml = ff.Algorithm(inner.SGD(LR), steps=1)
    expected = np.array([world.outputs(THETA, x) for x in XQ])
    assert "echo" in ff.build_info()["engines"]
    free = ff.plan(world.net, BATCH, maml, operation="predict")
    assert free.engine == "echo", "its cost is the least"
    assert ff.plan(world.net, BATCH, maml).engine != "echo", "it says that it cannot"
    with _debug.force_engine("echo"):
        close(world.net.predict(THETA, XQ), expected, 1e-14, "echo")
        close(world.net.predict(np.tile(THETA, (TASKS, 1)), XQ), expected, 1e-14, "echo")
        plan = ff.plan(world.net, BATCH, maml)
        assert plan.engine is None
        (echo,) = [engine for engine in plan.engines if engine.name == "echo"]
        assert "anything but outputs" in str(echo)
        said = complaint(RuntimeError, lambda: ff.meta_grad(world.net, THETA, BATCH, maml))
        assert "engine" in said
    print("checked echo")


def check_names():
    """Python has a class of each, with the options and their defaults, that can be pickled."""
    defaults = {
        activations.get("swoosh"): ("Swoosh", (0.5,)),
        activations.get("shelf"): ("Shelf", (1.0,)),
        losses.get("smooth"): ("Smooth", (1.0,)),
        inner.get("swift")(lr=LR): ("Swift", (0.5,)),
        outer.get("lively")(lr=0.1): ("Lively", (0.5, 0.1)),
    }
    for spec, (name, options) in defaults.items():
        assert (type(spec).__name__, spec.options) == (name, options)
        assert pickle.loads(pickle.dumps(spec)) == spec
    assert repr(inner.Swift(LR, friction=FRICTION)) == "Swift(lr=0.05, friction=0.25)"
    assert activations.Shelf().initialization == "he_normal"
    assert activations.Swoosh().initialization == "lecun_normal"
    assert not losses.Smooth().takes_labels
    assert "swoosh" in repr(ff.MLP(SIZES, "swoosh"))
    assert "did you mean bend" in complaint(TypeError, lambda: activations.Swoosh(Bend=1))
    print("checked names")


def main():
    check_names()
    for world in worlds():
        check_meta_gradients(world)
    check_outer()
    check_engine()


if __name__ == "__main__":
    main()
