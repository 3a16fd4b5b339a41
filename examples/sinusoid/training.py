"""Meta-training of all methods on one stream of tasks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import fomaml_fast as ff
from examples.sinusoid.settings import Settings
from fomaml_fast.samplers import Sinusoid

SAMPLER = Sinusoid()


@dataclass(frozen=True)
class Method:
    """A way to train: its name in the tables, the algorithm, and the initial weights."""

    name: str
    algorithm: ff.Algorithm
    scheme: str | None


@dataclass(frozen=True)
class Trained:
    """What a training run gave.

    ``curve [chunks]`` is the mean query loss of each chunk of meta-batches, ``seconds`` the time
    in `meta_step` alone, ``dropped`` the tasks left out because they diverged, and ``rates`` the
    learned inner rates (None where none are learned).
    """

    method: Method
    shots: int
    theta: npt.NDArray[Any]
    curve: npt.NDArray[np.float64]
    seconds: float
    dropped: int
    rates: npt.NDArray[Any] | None = None


def methods(settings: Settings, shots: int) -> list[Method]:
    """Return the methods to train at K = `shots`.

    The pretrained network is meta-training with no inner step: its query loss is taken at theta,
    so Adam descends the pooled regression loss of as many rows from the same tasks.

    Examples
    --------
    >>> from examples.sinusoid.settings import Settings
    >>> [method.name for method in methods(Settings(), shots=10)]
    ['MAML', 'FOMAML', 'pretrained']
    """
    rate, steps = settings.inner_rate, settings.inner_steps
    first, exact = ff.fomaml(rate, steps), ff.maml(rate, steps)
    found = [
        Method("MAML", exact, settings.scheme),
        Method("FOMAML", first, settings.scheme),
        Method("pretrained", ff.fomaml(rate, steps=0), settings.scheme),
    ]
    if shots in settings.small_scheme_shots:
        found.append(Method("MAML, small init", exact, settings.small_scheme))
        found.append(Method("FOMAML, small init", first, settings.small_scheme))
    return found


def make_network(settings: Settings, context: int = 0) -> ff.MLP:
    """Return the network of the protocol, with an input more for each context parameter.

    Examples
    --------
    >>> from examples.sinusoid.settings import Settings
    >>> make_network(Settings()).sizes
    (1, 40, 40, 1)
    """
    n_in, *others = settings.sizes
    return ff.MLP((n_in + context, *others), activation=settings.activation)


def train(
    settings: Settings,
    shots: int,
    *,
    seed: int,
    todo: Sequence[Method] | None = None,
    sampler: Sinusoid = SAMPLER,
    threads: int | None = None,
    advance: Callable[[int], None] = lambda n: None,
    stop: threading.Event | None = None,
) -> list[Trained]:
    """Train every method at K = `shots`, all on the same meta-batches.

    Parameters
    ----------
    settings : Settings
    shots : int
        Support rows a task, and query rows.
    seed : int
        Of the initial weights and the tasks.
    todo : sequence of Method, optional
        What to train; `methods` by default.
    sampler : Sinusoid
        Where the tasks come from.
    threads : int or None
        For each meta-step.
    advance : callable
        Told after every chunk how many meta-steps were taken.
    stop : threading.Event, optional
        Ends the training early when set.

    Returns
    -------
    list of Trained
        One per method, in order.
    """
    outer = ff.outer.Adam(settings.outer_rate)
    chosen = methods(settings, shots) if todo is None else list(todo)
    nets = [make_network(settings, m.algorithm.context) for m in chosen]
    states = [
        ff.init_state(net, m.algorithm, outer, theta=net.init(seed, np.float32, m.scheme))
        for net, m in zip(nets, chosen, strict=True)
    ]
    curves: list[list[float]] = [[] for _ in chosen]
    seconds, dropped = [0.0] * len(chosen), [0] * len(chosen)
    rng = np.random.default_rng([seed, shots])
    for batches in chunks(settings, sampler, rng, settings.iterations, shots):
        if stop is not None and stop.is_set():
            break
        for i, method in enumerate(chosen):
            state, total = states[i], 0.0
            start = time.perf_counter()
            for batch in batches:
                state, metrics = ff.meta_step(
                    nets[i],
                    state,
                    batch,
                    method.algorithm,
                    outer,
                    threads=threads,
                    on_divergence="drop",
                )
                total += metrics.loss
                dropped[i] += metrics.n_dropped
            seconds[i] += time.perf_counter() - start
            states[i] = state
            curves[i].append(total / len(batches))
            advance(len(batches))
    return [
        Trained(m, shots, s.theta, np.array(c), t, d, s.rates if s.rates.size else None)
        for m, s, c, t, d in zip(chosen, states, curves, seconds, dropped, strict=True)
    ]


def chunks(
    settings: Settings,
    sampler: Sinusoid,
    rng: np.random.Generator,
    iterations: int,
    shots: int,
    queries: int | None = None,
) -> Iterator[list[ff.TaskBatch]]:
    """Draw meta-batches, many by one call of the sampler; each is a view into its arrays."""
    size = settings.tasks_per_batch
    for done in range(0, iterations, settings.chunk):
        count = min(settings.chunk, iterations - done)
        drawn = sampler.sample(rng, count * size, shots, queries)
        arrays = drawn.x_support, drawn.y_support, drawn.x_query, drawn.y_query
        yield [
            ff.TaskBatch(*(a[i * size : (i + 1) * size] for a in arrays), check_finite=False)
            for i in range(count)
        ]
