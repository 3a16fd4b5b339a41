"""Run where the core has the toy optimiser: its registration and meta-gradients, or an assertion.

The network, its gradient and the optimiser are written out here; derivatives of the whole are
central differences.
"""

import numpy as np

import fomaml_fast as ff
from fomaml_fast import _debug

N_IN, N_HIDDEN, STEPS, LR, FRICTION = 2, 3, 3, 0.05, 0.25
CUTS = np.cumsum([N_IN * N_HIDDEN, N_HIDDEN, N_HIDDEN])


def outputs(theta, x):
    w0, b0, w1, b1 = np.split(theta, CUTS)
    hidden = np.tanh(x @ w0.reshape(N_IN, N_HIDDEN) + b0)
    return hidden, hidden @ w1[:, None] + b1


def loss(theta, x, y):
    return np.mean((outputs(theta, x)[1] - y) ** 2)


def gradient(theta, x, y):
    hidden, out = outputs(theta, x)
    w1 = np.split(theta, CUTS)[2]
    co_out = 2 * (out - y) / len(x)
    co_hidden = co_out * w1 * (1 - hidden**2)
    parts = x.T @ co_hidden, co_hidden.sum(0), hidden.T @ co_out, co_out.sum(0)
    return np.concatenate([part.ravel() for part in parts])


def adapted(theta, x, y):
    buffer = np.zeros_like(theta)
    for _ in range(STEPS):
        buffer = (1 - FRICTION) * buffer + gradient(theta, x, y)
        theta = theta - LR * (buffer + buffer**3)
    return theta


def differences(function, theta, h=1e-5):
    unit = h * np.eye(len(theta))
    return np.array([(function(theta + e) - function(theta - e)) / (2 * h) for e in unit])


def main():
    assert "toy" in ff.inner.names()
    kind = ff.inner.get("toy")
    assert kind is ff.inner.Toy
    assert kind(lr=LR).friction == 0.5
    toy = kind(lr=LR, friction=FRICTION)
    assert repr(toy) == "Toy(lr=0.05, friction=0.25)"

    rng = np.random.default_rng(0)
    tasks = 11  # more than a vector has lanes, and not a multiple
    xs, xq = rng.standard_normal((2, tasks, 5, N_IN))
    ys, yq = 0.5 * rng.standard_normal((2, tasks, 5, 1))
    theta = 0.5 * rng.standard_normal(CUTS[-1] + 1)
    net = ff.MLP([N_IN, N_HIDDEN, 1], activation="tanh")
    batch = ff.TaskBatch(xs, ys, xq, yq)

    ends = np.array([adapted(theta, xs[t], ys[t]) for t in range(tasks)])
    each = list(zip(xs, ys, xq, yq, strict=True))
    through = differences(
        lambda at: np.mean([loss(adapted(at, a, b), c, d) for a, b, c, d in each]), theta
    )
    ahead = np.mean(
        [differences(lambda at, t=t: loss(at, xq[t], yq[t]), ends[t]) for t in range(tasks)], axis=0
    )
    assert np.abs(through - ahead).max() > 1e-2 * np.abs(through).max(), "nothing to tell apart"

    for engine in ff.build_info()["engines"]:
        with _debug.force_engine(engine):
            for flow, expected in (("exact", through), ("first", ahead)):
                algorithm = ff.Algorithm(toy, steps=STEPS, gradient=flow)
                np.testing.assert_allclose(
                    ff.adapt(net, theta, xs, ys, algorithm),
                    ends,
                    rtol=0,
                    atol=1e-12,
                    err_msg=engine,
                )
                grad = ff.meta_grad(net, theta, batch, algorithm).grad
                scale = np.abs(expected).max()  # differences of h^2 = 1e-10, and rounding over h
                np.testing.assert_allclose(
                    grad, expected, rtol=0, atol=1e-7 * scale, err_msg=f"{engine} {flow}"
                )
                print("checked", engine, flow)


if __name__ == "__main__":
    main()
