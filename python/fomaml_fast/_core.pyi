"""The compiled core, as `_loader` exports it. Arrays are C-contiguous and checked."""

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

class Network:
    def __init__(
        self,
        sizes: list[int],
        activations: list[tuple[str, list[float]]],
        norms: list[str],
        loss: tuple[str, list[float]],
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

class Rows:
    def __init__(
        self,
        x: Floats,
        y: npt.NDArray[Any] | None,
        offsets: npt.NDArray[np.int64],
        shared: bool,
        tasks: int,
        top_label: int,
        coefficients: Floats | None,
        classes: npt.NDArray[np.uint8] | None,
    ) -> None: ...
    @property
    def x(self) -> Floats: ...
    @property
    def y(self) -> npt.NDArray[Any] | None: ...
    @property
    def offsets(self) -> npt.NDArray[np.int64]: ...
    @property
    def tasks(self) -> int: ...
    @property
    def top_label(self) -> int: ...

class Algorithm:
    def __init__(
        self,
        *,
        inner: str,
        options: list[float],
        shared: dict[str, float],
        rates: npt.NDArray[np.float64],
        steps: int,
        flow: str,
        adapt: str,
        layers: list[int],
        context: int,
        learns_rates: bool,
        step_weights: list[float],
        implicit: tuple[float, float, int],
        query_loss: tuple[str, list[float]] | None,
    ) -> None: ...
    def fits(self, net: Network, rates: Floats | None) -> bool: ...

class Outer:
    def __init__(self, name: str, options: list[float], clip_norm: float) -> None: ...
    @property
    def n_moments(self) -> int: ...

def stack_plain(x: Any, y: Any, check_finite: bool) -> Rows | None: ...
def match(support: Rows, query: Rows) -> bool: ...
def multiply_add_gflops(threads: int, milliseconds: int) -> float: ...
def default_threads() -> int: ...
def requested_threads() -> int: ...
def force_engine(name: str) -> None: ...
def plan(
    operation: str,
    net: Network,
    support: Rows,
    query: Rows,
    algorithm: Algorithm,
    rates: Floats | None,
    weighs_tasks: bool,
    threads: int,
) -> tuple[str, bool, int, int, float, list[tuple[str, str | None, float]]]: ...
def engine_work(
    order: str, sizes: list[int], tasks: int, support: int, query: int, steps: int, lanes: int
) -> dict[str, tuple[float, bool]]: ...
def forced_engine() -> str: ...
def first_non_finite(array: Floats) -> int: ...
def predict(net: Network, theta: Floats, rows: Rows, threads: int) -> Floats: ...
def loss(net: Network, theta: Floats, rows: Rows, threads: int) -> Floats: ...
def gradient(net: Network, theta: Floats, rows: Rows, threads: int) -> tuple[Floats, Floats]: ...
def hvp(net: Network, theta: Floats, rows: Rows, tangent: Floats, threads: int) -> Floats: ...
def gnvp(net: Network, theta: Floats, rows: Rows, tangent: Floats, threads: int) -> Floats: ...
def jvp(net: Network, theta: Floats, rows: Rows, tangent: Floats, threads: int) -> Floats: ...
def vjp(net: Network, theta: Floats, rows: Rows, cotangents: Floats, threads: int) -> Floats: ...
def vjp_tangent(
    net: Network,
    theta: Floats,
    rows: Rows,
    cotangents: Floats,
    tangent: Floats,
    cotangent_tangents: Floats,
    threads: int,
) -> Floats: ...
def predict_plain(
    net: Network, theta: Any, x: Any, threads: Any, check_finite: bool
) -> Floats | None: ...
def loss_plain(
    net: Network, theta: Any, x: Any, y: Any, threads: Any, check_finite: bool
) -> Any: ...
def gradient_plain(
    net: Network, theta: Any, x: Any, y: Any, threads: Any, check_finite: bool
) -> tuple[Any, Floats] | None: ...
def hvp_plain(
    net: Network, theta: Any, x: Any, y: Any, tangent: Any, threads: Any, check_finite: bool
) -> Floats | None: ...
def gnvp_plain(
    net: Network, theta: Any, x: Any, y: Any, tangent: Any, threads: Any, check_finite: bool
) -> Floats | None: ...
def jvp_plain(
    net: Network, theta: Any, x: Any, tangent: Any, threads: Any, check_finite: bool
) -> Floats | None: ...
def vjp_plain(
    net: Network, theta: Any, x: Any, cotangents: Any, threads: Any, check_finite: bool
) -> Floats | None: ...
def adapt(
    net: Network,
    theta: Floats,
    support: Rows,
    algorithm: Algorithm,
    rates: Floats | None,
    steps: int,
    threads: int,
) -> tuple[Floats, Flags, bool]: ...
def trace(
    net: Network,
    theta: Floats,
    support: Rows,
    query: Rows | None,
    algorithm: Algorithm,
    rates: Floats | None,
    steps: int,
    with_thetas: bool,
    threads: int,
) -> tuple[Any, Floats, Any, Flags]: ...
def adapt_plain(
    net: Network,
    theta: Any,
    x: Any,
    y: Any,
    algorithm: Algorithm,
    threads: Any,
    check_finite: bool,
) -> Floats | None: ...
def meta_grad(
    net: Network,
    theta: Any,
    support: Rows,
    query: Rows,
    algorithm: Algorithm,
    rates: Any,
    task_weights: Floats | None,
    mean: bool,
    per_task: bool,
    threads: int,
    check_finite: bool,
) -> (
    tuple[
        bool,
        float,
        Floats,
        Floats,
        Floats | None,
        Floats | None,
        Flags | None,
        Floats | None,
        tuple[Floats, npt.NDArray[np.int32], Flags] | None,
        bool,
    ]
    | None
): ...
def inner_states(algorithm: Algorithm) -> int: ...
def inner_step(
    net: Network,
    algorithm: Algorithm,
    rates: Floats | None,
    k: int,
    thetas: Floats,
    anchor: Floats,
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
    anchor: Floats,
    gradients: Floats,
    states: Floats,
    co_thetas: Floats,
    co_states: Floats,
) -> tuple[Floats, Floats, Floats, Floats, Floats]: ...
def outer_step(
    outer: Outer, lr: float, step: int, theta: Floats, gradient: Floats, moments: Floats
) -> tuple[Floats, Floats, float]: ...
def meta_step(
    net: Network,
    theta: Any,
    support: Rows,
    query: Rows,
    algorithm: Algorithm,
    task_weights: Floats | None,
    mean: bool,
    threads: int,
    check_finite: bool,
    outer: Outer,
    lr: float,
    step: int,
    moments: Any,
) -> (
    tuple[
        bool,
        float,
        tuple[Floats, Floats, float] | None,
        Floats,
        Floats | None,
        Flags | None,
        tuple[Floats, npt.NDArray[np.int32], Flags] | None,
    ]
    | None
): ...
