"""What the Python objects promise: frozen, comparable, picklable, thread-safe."""

from __future__ import annotations

import copy
import inspect
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fomaml_fast as ff
from cases import DTYPES, build
from subject import algorithm, batch, mlp

VALUES = {
    "MLP": lambda: ff.MLP((2, 8, 8, 3), ("relu", "tanh"), ff.losses.CrossEntropy()),
    "Algorithm": lambda: ff.Algorithm(ff.inner.SGD(0.1), steps=3, gradient="exact"),
    "inner.SGD": lambda: ff.inner.SGD(0.1),
    "outer.SGD": lambda: ff.outer.SGD(0.1, momentum=0.9, clip_norm=2.0),
    "outer.Adam": lambda: ff.outer.Adam(0.1, betas=(0.5, 0.9)),
    "outer.AdamW": lambda: ff.outer.AdamW(ff.schedules.cosine(0.1, 100, warmup=5)),
    "losses.MSE": lambda: ff.losses.MSE(),
    "losses.CrossEntropy": lambda: ff.losses.CrossEntropy(),
    "schedules.exponential": lambda: ff.schedules.exponential(0.1, 0.5, every=10),
    "schedules.piecewise": lambda: ff.schedules.piecewise((0.1, 0.01), (10,)),
}

OTHERS = {
    "MLP": lambda: ff.MLP((2, 8, 8, 3), ("relu", "relu"), "cross_entropy"),
    "Algorithm": lambda: ff.Algorithm(ff.inner.SGD(0.1), steps=3, gradient="first"),
    "inner.SGD": lambda: ff.inner.SGD(0.2),
    "outer.SGD": lambda: ff.outer.SGD(0.1, momentum=0.9),
    "outer.Adam": lambda: ff.outer.Adam(0.1),
    "outer.AdamW": lambda: ff.outer.AdamW(0.1),
}

every_value = pytest.mark.parametrize("name", VALUES)


@every_value
def test_values_compare_and_hash(name):
    one, other = VALUES[name](), VALUES[name]()
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other}) == 1
    assert one != "something else"
    if name in OTHERS:
        assert one != OTHERS[name]()


@every_value
def test_values_are_frozen(name):
    value = VALUES[name]()
    for attribute in [*vars(value), "lr", "sizes", "new"]:
        with pytest.raises(AttributeError):
            setattr(value, attribute, 1)


@every_value
def test_values_pickle_and_copy(name):
    value = VALUES[name]()
    if hasattr(value, "_core"):
        assert value._core is not None  # cached compiled objects must not hinder pickling
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(value, protocol)) == value
    assert copy.copy(value) == value
    assert copy.deepcopy(value) == value


def test_loss_by_name_is_loss_by_object():
    assert ff.MLP((2, 3), loss="mse") == ff.MLP((2, 3), loss=ff.losses.MSE())
    assert ff.MLP((2, 3, 1), "tanh") == ff.MLP([2, 3, 1], ["tanh"])
    assert ff.MLP((2, 3, 1)) != ff.MLP((2, 3, 2))


def test_presets():
    assert ff.fomaml() == ff.Algorithm(ff.inner.SGD(0.01), steps=1, gradient="first")
    assert ff.maml(0.1, 5) == ff.Algorithm(ff.inner.SGD(0.1), steps=5, gradient="exact")


def test_signatures_and_defaults_of_torch():
    adam, adamw, sgd = ff.outer.Adam(), ff.outer.AdamW(), ff.outer.SGD(0.1)
    assert (adam.lr, adam.betas, adam.eps, adam.weight_decay, adam.amsgrad) == (
        1e-3,
        (0.9, 0.999),
        1e-8,
        0,
        False,
    )
    assert adamw.weight_decay == 1e-2
    assert (sgd.momentum, sgd.dampening, sgd.weight_decay, sgd.nesterov) == (0, 0, 0, False)
    assert ff.outer.SGD(0.1, 0.9, 0.1, 0.2, False).dampening == 0.1  # torch's order
    assert ff.outer.Adam(0.1, (0.5, 0.6), 1e-3, 0.2, True).amsgrad
    for optimiser in (ff.outer.SGD, ff.outer.Adam, ff.outer.AdamW):
        parameters = inspect.signature(optimiser).parameters
        assert parameters["clip_norm"].kind is inspect.Parameter.KEYWORD_ONLY


def test_registries():
    assert set(ff.activations.names()) >= {
        *("relu", "tanh", "sigmoid", "softplus", "gelu", "silu", "identity")
    }
    assert set(ff.losses.names()) >= {"mse", "cross_entropy"}
    assert set(ff.inner.names()) >= {"sgd"}
    assert set(ff.outer.names()) >= {"sgd", "adam", "adamw"}
    for module in (ff.activations, ff.losses, ff.inner, ff.outer):
        names = module.names()
        assert isinstance(names, tuple)
        assert len(set(names)) == len(names)


def test_network_attributes():
    net = ff.MLP([3, 8, 5, 2], ["tanh", "relu"])
    assert net.sizes == (3, 8, 5, 2)
    assert net.activations == ("tanh", "relu")
    assert net.n_params == 3 * 8 + 8 + 8 * 5 + 5 + 5 * 2 + 2


def test_flatten_and_unflatten():
    net = ff.MLP((3, 8, 2))
    theta = np.arange(net.n_params, dtype=np.float64)
    (w1, b1), (w2, b2) = layers = net.unflatten(theta)
    np.testing.assert_array_equal(w1, np.arange(24).reshape(3, 8))
    np.testing.assert_array_equal(b1, np.arange(24, 32))
    np.testing.assert_array_equal(w2, np.arange(32, 48).reshape(8, 2))
    np.testing.assert_array_equal(b2, [48, 49])
    for part in (w1, b1, w2, b2):
        assert np.shares_memory(part, theta)
    np.testing.assert_array_equal(net.flatten(layers), theta)
    out = np.empty_like(theta)
    assert net.flatten(layers, out=out) is out
    np.testing.assert_array_equal(out, theta)

    thetas = np.stack([theta, theta + 100])
    layers = net.unflatten(thetas)
    assert [(w.shape, b.shape) for w, b in layers] == [((2, 3, 8), (2, 8)), ((2, 8, 2), (2, 2))]
    np.testing.assert_array_equal(net.flatten(layers), thetas)
    layers[0][0][1, 2, 3] = -1
    assert thetas[1, 19] == -1


# Standard deviations of the schemes' published definitions, by fan-in and fan-out.
DEVIATION = {
    "he_normal": lambda n_in, n_out: (2 / n_in) ** 0.5,
    "glorot_uniform": lambda n_in, n_out: (2 / (n_in + n_out)) ** 0.5,
    "lecun_normal": lambda n_in, n_out: (1 / n_in) ** 0.5,
    # A normal truncated at two standard deviations has 0.8796 of its deviation left.
    "maml": lambda n_in, n_out: 0.01 * 0.87962566,
}


@pytest.mark.parametrize("scheme", DEVIATION)
def test_initialisation_schemes(scheme):
    net = ff.MLP((300, 200, 100), "tanh")
    for weights, bias in net.unflatten(net.init(0, np.float64, scheme)):
        assert not bias.any()
        expected = DEVIATION[scheme](*weights.shape)
        assert weights.std() == pytest.approx(expected, rel=0.02)
        assert abs(weights.mean()) < 4 * expected / weights.size**0.5
        if scheme == "maml":
            assert np.abs(weights).max() <= 0.02
        if scheme == "glorot_uniform":
            assert np.abs(weights).max() <= 3**0.5 * expected


@pytest.mark.parametrize(
    ("activation", "scheme"),
    [("relu", "he_normal"), ("tanh", "glorot_uniform"), ("identity", "lecun_normal")],
)
def test_standard_scheme_follows_the_activation(activation, scheme):
    net = ff.MLP((30, 20, 10), activation)
    (standard, _), _ = net.unflatten(net.init(4))
    (named, _), _ = net.unflatten(net.init(4, scheme=scheme))
    np.testing.assert_array_equal(standard, named)


def test_initialisation_is_seeded():
    net = ff.MLP((3, 8, 2))
    assert net.init(0).dtype == np.float32
    np.testing.assert_array_equal(net.init(7), net.init(7))
    assert np.any(net.init(7) != net.init(8))
    np.testing.assert_array_equal(net.init(7, np.float64).astype(np.float32), net.init(7))
    np.testing.assert_array_equal(net.init(np.random.default_rng(7)), net.init(7))
    for bad, error in (({"scheme": "zeros"}, ValueError), ({"dtype": np.float16}, TypeError)):
        with pytest.raises(error, match=next(iter(bad))):
            net.init(0, **bad)
    with pytest.raises((TypeError, ValueError), match="seed"):
        net.init(-1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_state_round_trips(dtype, tmp_path):
    case = build((2, 8, 1), "tanh", "mse", dtype)
    net, tasks, inner, outer = mlp(case), batch(case), algorithm(), ff.outer.Adam(amsgrad=True)
    state = ff.init_state(net, inner, outer, theta=case.theta)
    for _ in range(2):
        state, _ = ff.meta_step(net, state, tasks, inner, outer)
    assert all(isinstance(part, np.ndarray) for part in state)
    assert state._fields == ("theta", "rates", "moments", "step")

    np.savez(tmp_path / "state.npz", **state._asdict())
    with np.load(tmp_path / "state.npz") as saved:  # without allow_pickle
        loaded = ff.State(**saved)
    pickled = pickle.loads(pickle.dumps(state))
    expected, _ = ff.meta_step(net, state, tasks, inner, outer)
    for again in (loaded, pickled):
        result, _ = ff.meta_step(net, again, tasks, inner, outer)
        for ours, theirs in zip(result, expected, strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("ragged", [False, True])
def test_batch_pickles(ragged):
    case = build((2, 5, 3), "tanh", "cross_entropy", rows=[(2, 3), (2, 3)])
    tasks = pickle.loads(pickle.dumps(batch(case, ragged=ragged)))
    np.testing.assert_array_equal(
        ff.meta_grad(mlp(case), case.theta, tasks, algorithm()).grad,
        ff.meta_grad(mlp(case), case.theta, batch(case), algorithm()).grad,
    )


def test_build_info():
    info = ff.build_info()
    for key in ("isa", "compiled_isas", "threads_backend", "compiler", "eigen", "version"):
        assert info[key], key
    assert info["version"] == ff.__version__
    assert info["isa"] in info["compiled_isas"]
    assert info["threads_backend"] in {"openmp", "std::thread", "serial"}
    assert "reference" in info["engines"]


def test_python_threads_may_call_at_once():
    """Cases of many shapes from many threads give the bits that they give alone."""
    cases = [
        build((2, width, 3), "tanh", loss, dtype, n_tasks=n_tasks)
        for width, loss, dtype, n_tasks in [
            (5, "mse", "float64", 3),
            (17, "cross_entropy", "float32", 16),
            (40, "mse", "float32", 33),
            (64, "cross_entropy", "float64", 5),
        ]
    ]

    def compute(index):
        case = cases[index % len(cases)]
        inner = algorithm("exact" if index % 2 else "first", 1 + index % 3)
        threads = (1, 2, None)[index % 3]
        net, tasks = mlp(case), batch(case)
        result = ff.meta_grad(net, case.theta, tasks, inner, threads=threads)
        state = ff.init_state(net, inner, ff.outer.Adam(), theta=case.theta)
        state, _ = ff.meta_step(net, state, tasks, inner, ff.outer.Adam(), threads=threads)
        return result.grad.tobytes() + result.losses.tobytes() + state.theta.tobytes()

    jobs = list(range(24)) * 4
    expected = [compute(job) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(compute, jobs)) == expected


def test_one_network_may_be_shared_by_threads():
    case = build((2, 17, 3), n_tasks=16)
    net, tasks, inner = mlp(case), batch(case), algorithm("exact", 2)

    def compute(_):
        return ff.meta_grad(net, case.theta, tasks, inner).grad.tobytes()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(compute, range(100)))) == 1
