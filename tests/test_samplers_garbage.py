"""Any object in any argument of the samplers: a TypeError or ValueError that names the argument."""

import datetime
import decimal
import inspect
import random
import time
import warnings

import numpy as np

from fomaml_fast import samplers

SECONDS = 5
N = 72
GARBAGE = (
    None, True, -1, 0, 3, 2**40, -(2**70), 1.5, float("nan"), float("inf"), 1j, "", "words", b"b",
    [], (), {}, set(), {1, 2}, [None], [[1], [1, 2]], [1, "a"], ["a", 1.0] * 36, [{}] * N, [[]] * N,
    object, object(), len, range(N), range(0), (i for i in range(3)), decimal.Decimal("sNaN"),
    datetime.date(2020, 1, 1), np.nan, np.datetime64("NaT"), np.array(3), np.array(None),
    np.zeros(0), np.zeros((0, 3)), np.zeros((N, 0)), np.zeros((2, N)), np.zeros((N, 2, 2)),
    np.full(N, np.nan), np.full((N, 3), np.inf), np.arange(N), np.arange(N) - 5, np.arange(N) * 1j,
    np.arange(N) > 4, np.full(N, "a"), np.full(N, b"a"), np.array(["a", None, 1.0] * 24, object),
    np.array([[], None, {}] * 24, object), np.full(N, np.datetime64("NaT")), np.full(N, 2**62),
    np.zeros(N, "f4,i2"), np.zeros(N, np.float16), np.zeros(N, ">f8"), np.zeros(N, np.longdouble),
    np.ma.masked_array(np.arange(N), np.arange(N) == 2), np.array([object()] * N, object),
    np.random.RandomState(0), np.random.default_rng(0), np.float32, np.int64, "f4,,", ">f4", "int",
    samplers.Curves(np.zeros(2), np.zeros(2), np.zeros(2)), samplers.Curves(1, None, "a"),
    samplers.Curves(np.zeros(2), np.zeros(3), np.zeros(2)),
)  # fmt: skip
X = np.random.default_rng(0).standard_normal((N, 3))
GROUP = np.arange(N) % 6


def calls():
    """Every public function with arguments that are right: (function, its keyword arguments)."""
    found = [
        (samplers.get, {"name": "groups"}),
        (samplers.split_classes, {"y": GROUP, "fractions": (0.5, 0.5), "rng": 0}),
        (samplers.split_groups, {"groups": GROUP, "n_folds": 2, "rng": 0}),
        (
            samplers.Groups,
            {"x": X, "y": X[:, 0], "groups": GROUP, "k_support": 3, "n_query": 2, "order": None,
             "support": "random", "among": None},
        ),
        (
            samplers.Episodes,
            {"x": X, "y": GROUP, "n_way": 2, "k_shot": 1, "n_query": 2, "classes": None,
             "groups": None, "among": None},
        ),
        (
            samplers.Sinusoid,
            {"amplitude": (0, 1), "phase": (0, 1), "frequency": (0, 1), "x_range": (0, 1),
             "noise": 0},
        ),
    ]  # fmt: skip
    right = {"rng": 0, "n_tasks": 3, "dtype": "float32", "k_support": 2, "k_query": 3, "n_grid": 4}
    for name in samplers.names():
        sampler = samplers.get(name).example()
        right["curves"] = samplers.Sinusoid().draw(0, 3)
        for method in ("sample", "draw", "all", "observe", "observe_on_grid"):
            function = getattr(sampler, method, None)
            if function is not None:
                wanted = inspect.signature(function).parameters
                found.append((function, {k: v for k, v in right.items() if k in wanted}))
    found.append((right["curves"], {"x": [0.0, 1.0]}))
    return found


def test_garbage_is_told_by_its_argument():
    everything, rng, tried = calls(), random.Random(0), 0
    for function, arguments in everything:
        function(**arguments)
    warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        function, right = rng.choice(everything)
        wrong = {
            k: rng.choice(GARBAGE) for k in rng.choices(sorted(right), k=rng.choice((1, 1, 2)))
        }
        if any(
            isinstance(v, int | np.integer) and v > 1000 for k, v in wrong.items() if k != "rng"
        ):
            continue  # honest requests for all the memory there is
        tried += 1
        try:
            function(**{**right, **wrong})
        except (TypeError, ValueError) as error:
            message = str(error)
            # An array that is right in itself can be the wrong one for another argument.
            assert any(message.startswith(k) for k in right), (function, wrong, message)
    assert tried > 500
