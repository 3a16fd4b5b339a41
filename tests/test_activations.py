"""Activations as objects: their options in every engine, their names, and what is refused."""

from __future__ import annotations

import math
import pickle
from typing import get_args

import numpy as np
import pytest

import fomaml_fast as ff
import oracle
from cases import DTYPES, GRADIENTS, LR, build
from fomaml_fast import _debug, activations, inner, losses, outer
from fomaml_fast._loader import core
from oracle.activations import parse
from subject import activation as made
from subject import algorithm, batch, mlp
from tolerances import assert_close

ENGINES = ff.build_info()["engines"]
#: A narrow network, one of widths beside a vector's, one of a wide first layer (dual in Rows).
SIZES = ((2, 5, 4, 1), (3, 17, 9, 2), (90, 6, 5, 2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("norm", [None, "layer"])
@pytest.mark.parametrize("label", [*oracle.VARIANTS, "leaky_relu", "elu"])
@pytest.mark.parametrize("engine", ENGINES)
def test_options_reach_every_engine(engine, label, norm, gradient, dtype):
    for sizes in SIZES:
        case = build(sizes, label, "mse", dtype, norm=norm, n_tasks=9)
        expected = case.expected(LR, 3, gradient)
        with _debug.force_engine(engine):
            found = ff.meta_grad(mlp(case), case.theta, batch(case), algorithm(gradient, 3))
        assert_close(found.grad, expected.task_grads.mean(axis=0), "meta_gradient", dtype)
        assert_close(found.losses, expected.losses, "loss", dtype)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_layer_has_its_own_options(engine):
    labels = ("elu(alpha=0.5)", "leaky_relu(negative_slope=0.2)", "elu(alpha=2)", "elu", "tanh")
    case = build((3, 9, 8, 7, 6, 5, 2), labels, n_tasks=5)
    with _debug.force_engine(engine):
        found = ff.meta_grad(mlp(case), case.theta, batch(case), algorithm("exact", 2))
    expected = case.expected(LR, 2, "exact").task_grads.mean(axis=0)
    assert_close(found.grad, expected, "meta_gradient", np.float64)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("label", [*oracle.VARIANTS, "elu(alpha=0)"])
def test_derivatives_at_the_corner_are_torchs(engine, label):
    """At z = 0 both take the branch below: alpha, or the slope."""
    ((_, at_zero),) = parse(label)[1].items()
    net = ff.MLP([1, 1, 1], made(label))
    theta, x, y = np.array([1.0, 0.0, 1.0, 0.0]), np.zeros((1, 1)), np.full((1, 1), -0.5)
    with _debug.force_engine(engine):
        _, gradient = net.value_and_grad(theta, x, y)
        product = net.hvp(theta, x, y, np.array([0.0, 1.0, 0.0, 0.0]))
    # The loss is (sigma(b) + 1/2)^2: its derivatives on b are sigma', and 2 sigma'^2 + sigma''.
    bend = at_zero if label.startswith("elu") else 0.0
    assert gradient[1] == pytest.approx(at_zero, abs=1e-15)
    assert product[1] == pytest.approx(2 * at_zero**2 + bend, abs=1e-15)


def test_a_network_takes_names_objects_and_sequences_of_them():
    alone = ff.MLP([1, 3, 3, 1], activation=activations.LeakyReLU(negative_slope=0.2))
    assert alone.activations == (activations.LeakyReLU(0.2),) * 2
    assert "activation=LeakyReLU(negative_slope=0.2)" in repr(alone)
    mixed = ff.MLP([1, 3, 3, 1], ["tanh", activations.ELU(alpha=0.5)])
    assert mixed.activations == ("tanh", activations.ELU(0.5))
    assert ff.MLP(mixed.sizes, mixed.activations) == mixed
    # Defaults are defaults, however they are written.
    assert ff.MLP([1, 3, 1], activations.ELU()) == ff.MLP([1, 3, 1], "elu")
    assert ff.MLP([1, 3, 1], activations.ELU(0.5)) != ff.MLP([1, 3, 1], "elu")
    assert len({alone, mixed, pickle.loads(pickle.dumps(mixed))}) == 2


def test_initialisation_is_the_activations():
    schemes = {name: activations.get(name).initialization for name in activations.names()}
    rectifiers = ("relu", "leaky_relu", "elu", "softplus", "gelu", "silu")
    assert schemes == {
        **dict.fromkeys(rectifiers, "he_normal"),
        **dict.fromkeys(("tanh", "sigmoid"), "glorot_uniform"),
        **dict.fromkeys(("sin", "identity"), "lecun_normal"),
    }
    theta = ff.MLP([400, 300, 1], activations.LeakyReLU(0.3)).init(0, np.float64)
    assert np.std(theta[: 400 * 300]) == pytest.approx(math.sqrt(2 / 400), rel=0.02)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ff.MLP([1, 2, 1], "Relu"), ValueError, "did you mean 'relu'"),
        (lambda: ff.MLP([1, 2, 2, 1], ["tanh", "Leaky-ReLU"]), ValueError, r"\[1\].*'leaky_relu'"),
        (lambda: ff.MLP([1, 2, 1], norm="Layer"), ValueError, "did you mean 'layer'"),
        (lambda: ff.MLP([1, 2, 1], loss="MSE"), ValueError, "did you mean 'mse'"),
        (lambda: ff.MLP([1, 2, 1], activations.ELU), TypeError, r"did you mean ELU\(\)"),
        (lambda: ff.MLP([1, 2, 1], losses.MSE()), TypeError, "activation must be a name"),
        (lambda: ff.MLP([1, 2, 1], None), TypeError, "activation must be a name"),
        (lambda: inner.get("Adam"), ValueError, "did you mean 'adam'"),
        (lambda: activations.ELU(alpha=math.nan), ValueError, "alpha must be finite"),
        (lambda: activations.ELU(alpha="1"), TypeError, "alpha must be a number"),
        (lambda: activations.LeakyReLU(slope=0.1), TypeError, "did you mean negative_slope"),
        (lambda: activations.LeakyReLU(negativeslope=1), TypeError, "mean negative_slope"),
        (lambda: activations.LeakyReLU(whatever=1), TypeError, "only negative_slope$"),
        (lambda: activations.get("tanh").__class__(a=1), TypeError, "only none at all"),
        (lambda: inner.Adam(learning_rate=0.1), TypeError, "no argument learning_rate.*mean lr"),
        (lambda: outer.Adam(learning_rate=0.1), TypeError, "no argument learning_rate.*mean lr"),
        (lambda: outer.SGD(0.1, Momentum=0.9), TypeError, "did you mean momentum"),
        (lambda: inner.Adam(0.1, epsilon=1e-8), TypeError, "did you mean eps"),
        (lambda: inner.Adam(0.1, beta1=0.9), TypeError, "did you mean betas"),
        (lambda: losses.Huber(quantile=0.9), TypeError, "only delta$"),
        (lambda: losses.Quantile(quantile=0.9), TypeError, "did you mean tau"),
    ],
)
def test_errors_name_what_was_meant(make, error, message):
    with pytest.raises(error, match=message):
        make()


FAMILIES = {
    "activations": (activations, activations.ActivationName),
    "losses": (losses, losses.LossName),
    "inner": (inner, inner.InnerName),
    "outer": (outer, outer.OuterName),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_names_and_defaults_are_the_cores(family):
    module, literal = FAMILIES[family]
    assert set(get_args(literal)) == set(core.options[family]) == set(module.names())
    for name, options in core.options[family].items():
        kind = type(module.get(name)) if family in ("activations", "losses") else module.get(name)
        spec = kind() if family in ("activations", "losses") else kind(lr=0.1)
        assert spec.name == name
        assert spec.options == tuple(value for _, value in options)
        again = pickle.loads(pickle.dumps(spec))
        assert (again, hash(again), repr(again)) == (spec, hash(spec), repr(spec))


def test_a_rate_below_zero_is_asked_about():
    for make in (lambda: inner.SGD(-0.1), lambda: inner.Adam([0.1, -0.2])):
        with pytest.warns(inner.NegativeRate, match="ascends the support loss") as caught:
            spec = make()
        assert caught[0].filename == __file__
    case = build((2, 4, 1))
    # Learned rates may pass 0: they are nobody's question.
    learned = ff.Algorithm(inner.SGD(0.1), 2, learn_rates=True)
    ff.meta_grad(mlp(case), case.theta, batch(case), learned, rates=np.array(-0.1))
    assert pickle.loads(pickle.dumps(spec)) == spec
