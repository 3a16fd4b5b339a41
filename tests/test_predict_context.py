"""Context parameters beside x are further columns of x."""

from __future__ import annotations

import numpy as np
import pytest

import fomaml_fast as ff

RNG = np.random.default_rng(3)
NET = ff.MLP([5, 7, 2], "tanh")
THETA = NET.init(0, np.float64)
PHI = RNG.normal(size=(3, 2))
X = RNG.normal(size=(3, 4, 3))


def joined(x, phi):
    """One set of rows with phi behind every row."""
    return np.hstack([x, np.tile(phi, (len(x), 1))])


@pytest.mark.parametrize("shape", ["x and phi", "x", "phi", "neither", "ragged", "ragged, one phi"])
def test_rows_and_tasks_broadcast(shape):
    many_x, many_phi = shape in ("x and phi", "x"), shape in ("x and phi", "phi", "ragged")
    x, phi = X if many_x else X[0], PHI if many_phi else PHI[0]
    if shape.startswith("ragged"):
        x = [X[0], X[1][:1], X[2][:3]]
    got = NET.predict(THETA, x, context=phi)
    if shape == "neither":
        expected = NET.predict(THETA, joined(x, phi))
        assert got.shape == expected.shape
        np.testing.assert_array_equal(got, expected)
        return
    assert len(got) == 3
    for t, outputs in enumerate(got):
        rows = x if getattr(x, "ndim", 3) == 2 else x[t]
        own = phi if phi.ndim == 1 else phi[t]
        np.testing.assert_allclose(outputs, NET.predict(THETA, joined(rows, own)), rtol=1e-12)


def test_what_adapt_returns_is_what_predict_takes():
    y = RNG.normal(size=(3, 4, 2))
    cavia = ff.cavia(lr=0.1, steps=20, context=2)
    phi = ff.adapt(NET, THETA, X, y, cavia)
    batch = ff.TaskBatch(X, y, X, y)
    errors = ((NET.predict(THETA, X, context=phi) - y) ** 2).mean(axis=(1, 2))
    expected = ff.evaluate(NET, THETA, batch, cavia, steps=(20,)).losses[:, 0]
    np.testing.assert_allclose(errors, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("x", "context", "error", "message"),
    [
        (X, PHI[:2], ValueError, "context must hold 1 or 3 tasks as x does, got 2"),
        (list(X), PHI[:2], ValueError, "context must hold 1 or 3 tasks as x does, got 2"),
        (X, PHI[:, :1], ValueError, "x must have 4 columns"),
        ([X[0], X[1][:, :1]], PHI[0], ValueError, r"x\[1\] must have shape \[rows, 3\]"),
        (X, np.zeros(5), ValueError, "context must have shape"),
        (X, np.zeros(0), ValueError, "context must have shape"),
        (X, PHI.astype(np.float32), TypeError, "context is float32 but theta is float64"),
        (X, PHI * np.nan, ValueError, "context must be finite"),
    ],
)
def test_errors_name_the_argument(x, context, error, message):
    with pytest.raises(error, match=message):
        NET.predict(THETA, x, context=context)
