"""The compiled core, as `_loader` exports it: it checks its arguments, and raises by its hooks."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

isa: str
version: str
compiler: str
eigen: str
threads_backend: str
vector_bytes: int
max_layers: int
activation_names: tuple[str, ...]
norm_names: tuple[str, ...]
loss_names: tuple[str, ...]
inner_names: tuple[str, ...]
outer_names: tuple[str, ...]
flow_names: tuple[str, ...]
#: By family and name: the names and defaults of a member's options.
options: dict[str, dict[str, list[tuple[str, float]]]]
#: By family and name: what Python asks of a member.
facts: dict[str, dict[str, dict[str, Any]]]
engine_names: tuple[str, ...]
fault_reasons: tuple[str, ...]

class Network:
    def __init__(
        self,
        sizes: list[int],
        activations: list[tuple[str, list[float]]],
        norms: list[str],
        loss: tuple[str, list[float]],
        has_loss: bool,
    ) -> None: ...
    @property
    def n_params(self) -> int: ...
    @property
    def weight_offsets(self) -> list[int]: ...
    @property
    def bias_offsets(self) -> list[int]: ...
    @property
    def gain_offsets(self) -> list[int]: ...
    @property
    def shift_offsets(self) -> list[int]: ...

class Examples:
    def __init__(
        self,
        set: str,
        x: Any,
        y: Any,
        weights: Any,
        mask: Any,
        class_mask: Any,
        dtype: str | None,
        like: str,
        forces: bool,
        check_finite: Any,
    ) -> None: ...
    def take(self, tasks: npt.NDArray[np.int64]) -> Examples: ...
    def at_step(self, step: int) -> Examples: ...
    steps: int
    tasks: int
    dtype: str
    ragged: bool
    per_output: bool
    rows: int
    columns: int
    x: Any
    y: Any
    weights: Any
    mask: Any
    classes: Any

class Algorithm:
    def __init__(
        self,
        inner: str,
        options: list[float],
        shared: dict[str, float],
        rates: npt.NDArray[np.float64],
        steps: int,
        flow: str,
        adapt: str,
        layers: list[int],
        context: int,
        learned: str,
        step_weights: npt.NDArray[np.float64],
        implicit: tuple[float, float, int],
        query_loss: tuple[str, list[float]] | None,
        owns_query_loss: bool,
        head: dict[str, Any],
    ) -> None: ...

class Posterior:
    def __init__(
        self, net: Network, algorithm: Algorithm, head: Any, numbers: Any, per_output: bool
    ) -> None: ...
    @property
    def per_output(self) -> bool: ...
    def update(self, rows: Examples, features: Any, forget: float) -> None: ...
    def predict(self, features: Any, deviations: bool) -> tuple[Floats, Floats | None]: ...
    def read(self) -> tuple[Floats, Floats, Floats]: ...
    memory: bytes

class Outer:
    def __init__(
        self, name: str, options: list[float], clip_norm: float, which: str, layers: list[int]
    ) -> None: ...
    @property
    def n_moments(self) -> int: ...

def set_hooks(
    convert: Callable[..., Any],
    count: Callable[..., int],
    flag: Callable[..., bool],
    refused: Callable[..., Exception],
    diverged: Callable[..., Exception],
) -> None: ...
def multiply_add_gflops(threads: int, milliseconds: int) -> float: ...
def default_threads() -> int: ...
def requested_threads() -> int: ...
def force_engine(name: str) -> None: ...
def forced_engine() -> str: ...
def engine_work(
    order: str, sizes: list[int], tasks: int, support: int, query: int, steps: int, lanes: int
) -> dict[str, tuple[float, bool]]: ...
def check_match(support: Examples, query: Examples) -> None: ...
def task_weights(value: Any, tasks: int, dtype: str, forces: bool) -> Floats: ...
def check_algorithm(algorithm: Algorithm, net: Network) -> None: ...
def first_rates(algorithm: Algorithm, net: Network, dtype: str) -> Floats: ...
def parameters(net: Network, theta: Any) -> Floats: ...
def parameters_of_tasks(net: Network, theta: Any, check_finite: Any) -> Floats: ...
def predict(
    net: Network, theta: Any, x: Any, context: Any, threads: Any, check_finite: Any
) -> Any: ...
def loss(
    net: Network,
    theta: Any,
    x: Any,
    y: Any,
    weights: Any,
    mask: Any,
    class_mask: Any,
    threads: Any,
    check_finite: Any,
) -> Any: ...
def gradient(
    net: Network,
    theta: Any,
    x: Any,
    y: Any,
    weights: Any,
    mask: Any,
    class_mask: Any,
    threads: Any,
    check_finite: Any,
) -> tuple[Any, Floats]: ...
def hvp(
    net: Network,
    theta: Any,
    x: Any,
    y: Any,
    v: Any,
    weights: Any,
    mask: Any,
    class_mask: Any,
    threads: Any,
    check_finite: Any,
) -> Floats: ...
def gnvp(
    net: Network,
    theta: Any,
    x: Any,
    y: Any,
    v: Any,
    weights: Any,
    mask: Any,
    class_mask: Any,
    threads: Any,
    check_finite: Any,
) -> Floats: ...
def jvp(net: Network, theta: Any, x: Any, v: Any, threads: Any, check_finite: Any) -> Any: ...
def vjp(
    net: Network, theta: Any, x: Any, cotangent: Any, threads: Any, check_finite: Any
) -> Floats: ...
def input_vjp(
    net: Network, theta: Any, x: Any, cotangent: Any, threads: Any, check_finite: Any
) -> Any: ...
def input_jvp(
    net: Network, theta: Any, x: Any, tangent: Any, threads: Any, check_finite: Any
) -> Any: ...
def directions(net: Network, directions: Any, dtype: str) -> Floats: ...
def jet(
    net: Network, theta: Any, x: Any, directions: Any, order: int, threads: Any, check_finite: Any
) -> Any: ...
def jet_jvp(
    net: Network,
    theta: Any,
    x: Any,
    directions: Any,
    order: int,
    v: Any,
    threads: Any,
    check_finite: Any,
) -> Any: ...
def jet_vjp(
    net: Network,
    theta: Any,
    x: Any,
    directions: Any,
    order: int,
    cotangent: Any,
    threads: Any,
    check_finite: Any,
) -> Floats: ...
def jet_vjp_tangent(
    net: Network,
    theta: Any,
    x: Any,
    directions: Any,
    order: int,
    cotangent: Any,
    v: Any,
    cotangent_tangent: Any,
    threads: Any,
    check_finite: Any,
) -> Floats: ...
def vjp_tangent(
    net: Network,
    theta: Any,
    x: Any,
    cotangent: Any,
    v: Any,
    cotangent_tangent: Any,
    threads: Any,
    check_finite: Any,
) -> Floats: ...
def adapt(
    net: Network,
    theta: Any,
    x: Any,
    y: Any,
    weights: Any,
    mask: Any,
    class_mask: Any,
    algorithm: Algorithm,
    rates: Any,
    steps: int,
    masks: bool,
    threads: Any,
    check_finite: Any,
) -> Any: ...
def trace(*arguments: Any) -> tuple[Floats, Floats, Any]: ...
def evaluate(
    net: Network,
    theta: Any,
    support: Examples,
    query: Examples,
    algorithm: Algorithm,
    rates: Any,
    points: Sequence[int],
    wants_thetas: bool,
    threads: Any,
    check_finite: Any,
) -> tuple[Floats, Flags, Floats | None]: ...
def predictive(
    net: Network,
    theta: Any,
    support: Examples,
    query: Examples,
    algorithm: Algorithm,
    rates: Any,
    steps: int,
    threads: Any,
    check_finite: Any,
) -> tuple[Floats, Floats, Flags]: ...
def meta_grad(
    net: Network,
    theta: Any,
    support: Examples,
    query: Examples,
    algorithm: Algorithm,
    rates: Any,
    task_weights: Floats | None,
    mean: bool,
    per_task: bool,
    trace: bool,
    drops: bool,
    threads: Any,
    check_finite: Any,
) -> tuple[Any, ...]: ...
def meta_step(
    net: Network,
    theta: Any,
    rates: Any,
    moments: Any,
    step: int,
    lr: float | tuple[float, ...],
    outer: Outer,
    support: Examples,
    query: Examples,
    algorithm: Algorithm,
    task_weights: Floats | None,
    mean: bool,
    trace: bool,
    drops: bool,
    threads: Any,
    check_finite: Any,
) -> tuple[Any, ...]: ...
def meta_grad_of_learners(*arguments: Any) -> tuple[Any, ...]: ...
def meta_step_of_learners(*arguments: Any) -> tuple[Any, ...]: ...
def adapt_of_learners(*arguments: Any) -> Any: ...
def evaluate_of_learners(*arguments: Any) -> tuple[Any, ...]: ...
def check_outer(outer: Outer, lr: float | tuple[float, ...], net: Network) -> None: ...
def outer_step(
    net: Network,
    theta: Any,
    rates: Any,
    moments: Any,
    step: int,
    lr: float | tuple[float, ...],
    outer: Outer,
    algorithm: Algorithm,
    grad: Floats,
    rate_grad: Floats | None,
    tasks: int,
) -> tuple[Floats, Floats, Floats, float]: ...
def check_meta(
    net: Network,
    theta: Any,
    support: Examples,
    query: Examples,
    algorithm: Algorithm,
    rates: Any,
    check_finite: Any,
    of_state: bool = False,
) -> tuple[Floats, Floats | None]: ...
def check_adaptation(
    net: Network,
    theta: Any,
    support: Examples,
    query: Examples | None,
    algorithm: Algorithm,
    rates: Any,
    steps: int,
    check_finite: Any,
) -> tuple[Floats, Floats | None]: ...
def plan(
    operation: str,
    net: Network,
    support: Examples,
    query: Examples,
    algorithm: Algorithm,
    weighs_tasks: bool,
    threads: Any,
) -> tuple[str, bool, int, int, float, list[tuple[str, str | None, float]]]: ...
def inner_states(algorithm: Algorithm) -> int: ...
def inner_step(
    net: Network,
    algorithm: Algorithm,
    rates: Floats | None,
    k: int,
    thetas: Floats,
    anchors: Floats,
    gradients: Floats,
    states: Floats,
) -> tuple[Floats, Floats]: ...
def inner_pullback(
    net: Network,
    algorithm: Algorithm,
    rates: Floats | None,
    k: int,
    exact: bool,
    thetas: Floats,
    anchors: Floats,
    gradients: Floats,
    states: Floats,
    co_thetas: Floats,
    co_states: Floats,
) -> tuple[Floats, Floats, Floats, Floats, Floats]: ...
