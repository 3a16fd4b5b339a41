"""What a meta-learning algorithm is: a point in a space of independent choices.

WHAT adapts x HOW (inner optimiser, steps, rates) x HOW THE GRADIENT FLOWS back x WHERE the query
loss is taken. `presets` names points of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fomaml_fast import inner as _inner
from fomaml_fast import losses as _losses
from fomaml_fast._arrays import (
    FloatArray,
    as_array,
    as_count,
    as_number,
    float_dtype,
    one_of,
)
from fomaml_fast._layer_choice import as_layers, to_core
from fomaml_fast._loader import core
from fomaml_fast._shown import shown
from fomaml_fast.heads import BayesianHead
from fomaml_fast.network import MLP

#: Flows that are named; `Implicit` is the other one.
GRADIENTS = ("first", "exact", "reptile")
#: Shapes that learned rates may be spread over.
RATE_KINDS = ("scalar", "layer", "step_layer", "parameter")


@dataclass(frozen=True)
class Implicit:
    """The implicit meta-gradient (iMAML; Rajeswaran, Finn, Kakade & Levine 2019).

    The inner loop descends ``L_s(phi) + mu/2 ||phi - theta||^2``; the meta-gradient x solves
    ``(I + H/mu) x = g`` over what adapts, g the query gradient and H the support Hessian where the
    loop ended, by conjugate gradients from 0.

    Parameters
    ----------
    mu : float, default 1
        Strength of the pull, above 0 (the paper's lambda).
    tol : float, default 1e-6
        Residual at which to stop, relative to the norm of g.
    max_iter : int, default 20
        Most iterations.

    Raises
    ------
    TypeError, ValueError
        For anything out of range, naming the argument.

    Examples
    --------
    >>> Implicit(mu=2.0)
    Implicit(mu=2.0, tol=1e-06, max_iter=20)
    """

    mu: float = 1.0
    tol: float = 1e-6
    max_iter: int = 20

    def __post_init__(self) -> None:
        object.__setattr__(self, "mu", as_number(self.mu, "mu", least=0))
        if self.mu == 0:
            raise ValueError("mu must be above 0, got 0")
        object.__setattr__(self, "tol", as_number(self.tol, "tol", least=0))
        object.__setattr__(self, "max_iter", as_count(self.max_iter, "max_iter", least=1))


@dataclass(frozen=True)
class Algorithm:
    """A gradient-based meta-learning algorithm.

    Parameters
    ----------
    inner : inner.Inner or inner.BayesianHead
        Inner optimiser and its rates, e.g. ``inner.SGD(0.01)``; or a head that is solved for.
    steps : int, default 1
        Inner steps S; 0 leaves the initialisation as it is.
    adapt : str or sequence of int, default "all"
        What the inner loop changes: "all", "head" (the last layer: ANIL), "body" (all but the
        last: BOIL), or the indices of layers.
    gradient : str or Implicit, default "first"
        "first" replaces every inner step's Jacobian by the identity (FOMAML); "exact" goes through
        the support Hessian (MAML); "reptile" is ``theta - theta_S``; `Implicit` is iMAML's.
    step_weights : sequence of float or None, default None
        ``v_1 ... v_S``, at least 0, of sum 1: the objective is the sum of ``v_k L_q(theta_k)``
        (MAML++). None takes the last step alone.
    context : int, default 0
        Context parameters k (CAVIA): the last k of the network's inputs are the same for all rows
        of a task, start at 0 and are all that adapts; x then has ``sizes[0] - k`` columns.
    learn_rates : bool or str, default False
        Learn the inner rates: True in the shape of ``inner.lr``; "scalar", "layer", "step_layer"
        or "parameter" spreads it over that shape first.
    query_loss : str, losses.Loss or None, default None
        Loss of the query set; None takes the network's.

    Raises
    ------
    ValueError, TypeError
        For anything out of range, naming the argument, and for combinations without a meaning
        (`MEANINGLESS`).

    Examples
    --------
    >>> from fomaml_fast import inner
    >>> Algorithm(inner.SGD(0.01), steps=5, gradient="exact")
    Algorithm(inner=SGD(lr=0.01), steps=5, gradient='exact')
    """

    inner: _inner.Inner | BayesianHead
    steps: int = 1
    adapt: str | tuple[int, ...] = "all"
    gradient: str | Implicit = "first"
    step_weights: tuple[float, ...] | None = None
    context: int = 0
    learn_rates: bool | str = False
    query_loss: _losses.Loss | None = None

    def __post_init__(self) -> None:
        head = isinstance(self.inner, BayesianHead)
        if not head and (
            not isinstance(self.inner, _inner.Inner) or type(self.inner) is _inner.Inner
        ):
            raise TypeError(
                "inner must be an inner optimiser, such as inner.SGD(0.01), "
                f"got {shown(self.inner)}"
            )
        checked = {
            "steps": as_count(self.steps, "steps"),
            "adapt": as_layers(self.adapt, "adapt"),
            "step_weights": _as_step_weights(self.step_weights, self.steps),
            "context": as_count(self.context, "context"),
            "query_loss": None if self.query_loss is None else _as_query_loss(self.query_loss),
        }
        if head and checked["adapt"] == "all":
            checked["adapt"] = "head"  # which is all that it has
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        named = isinstance(self.gradient, str) and self.gradient in GRADIENTS
        if not named and not isinstance(self.gradient, Implicit):
            raise ValueError(
                f"gradient must be one of {', '.join(map(repr, GRADIENTS))} or an Implicit(...), "
                f"got {shown(self.gradient)}"
            )
        if not isinstance(self.learn_rates, bool):
            one_of(self.learn_rates, "learn_rates", RATE_KINDS)
        for what, applies in MEANINGLESS.items():
            if applies(self):
                raise ValueError(f"{what}: this combination has no meaning")

    def __repr__(self) -> str:
        """The inner optimiser and steps, and whatever is not at its default."""
        fields = self.__dataclass_fields__
        shown = [
            f"{name}={getattr(self, name)!r}"
            for name, f in fields.items()
            if name in ("inner", "steps") or getattr(self, name) != f.default
        ]
        return f"Algorithm({', '.join(shown)})"

    @cached_property
    def _core(self) -> Any:
        implicit = self.gradient if isinstance(self.gradient, Implicit) else Implicit()
        custom = isinstance(self.query_loss, _losses.Custom)
        predictive = isinstance(self.query_loss, _losses.GaussianNLL)
        head = self.inner if isinstance(self.inner, BayesianHead) else None
        steps = _inner.SGD(0.0) if isinstance(self.inner, BayesianHead) else self.inner
        adapt, layers = to_core(self.adapt)
        learned = "as_given" if self.learn_rates is True else self.learn_rates or ""
        return core.Algorithm(
            inner=steps.name,
            options=list(steps.options),
            shared=steps.shared,
            rates=np.asarray(steps.lr, np.float64),
            steps=self.steps,
            flow=self.gradient if isinstance(self.gradient, str) else "implicit",
            adapt=adapt,
            layers=layers,
            context=self.context,
            learned=learned,
            step_weights=np.asarray(self.step_weights or (), np.float64),
            implicit=(implicit.mu, implicit.tol, implicit.max_iter),
            query_loss=None
            if self.query_loss is None or custom or predictive
            else (self.query_loss.name, list(self.query_loss.options)),
            owns_query_loss=not custom,
            head={} if head is None else head._for_core(predictive),
        )

    @cached_property
    def _has_custom_loss(self) -> bool:
        return isinstance(self.query_loss, _losses.Custom)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k in self.__dataclass_fields__}

    def initial_rates(self, net: MLP, dtype: npt.DTypeLike = np.float64) -> FloatArray:
        """Inner rates before any is learned, in the shape that is learned.

        Parameters
        ----------
        net : MLP
            The network.
        dtype : dtype, default float64
            Of the result.

        Returns
        -------
        numpy.ndarray
            ``[]``, ``[L]``, ``[S, L]`` or ``[P]``.

        Raises
        ------
        ValueError
            If ``inner.lr`` cannot be spread so.

        Examples
        --------
        >>> from fomaml_fast import inner
        >>> net = MLP([2, 3, 1])
        >>> Algorithm(inner.SGD(0.5), 2, learn_rates="step_layer").initial_rates(net)
        array([[0.5, 0.5],
               [0.5, 0.5]])
        """
        return core.first_rates(self._core, as_network(net)._core, str(float_dtype(dtype)))


def as_network(net: Any) -> MLP:
    """Return `net` if it is one."""
    if not isinstance(net, MLP):
        raise TypeError(f"net must be an MLP, got {shown(net)}")
    return net


def as_algorithm(algorithm: Any, net: Any = None) -> Algorithm:
    """Return `algorithm` if it is one, and one for that network."""
    if not isinstance(algorithm, Algorithm):
        hint = ""
        if callable(algorithm):
            hint = "; of a schedule, give the algorithm of one step"
        elif isinstance(algorithm, list | tuple):
            hint = "; several are for as many learners: init_state(seed=[...]) makes them"
        raise TypeError(
            f"algorithm must be an Algorithm, such as fomaml() gives, got {shown(algorithm)}{hint}"
        )
    if isinstance(net, MLP):
        core.check_algorithm(algorithm._core, net._core)
    return algorithm


def uses_custom(net: MLP, algorithm: Algorithm) -> bool:
    """Whether a loss of the call is written in Python."""
    return net._has_custom_loss or algorithm._has_custom_loss


def _as_query_loss(loss: Any) -> _losses.Loss:
    if isinstance(loss, _losses.GaussianNLL) or (
        isinstance(loss, str) and loss == _losses.GaussianNLL.name
    ):
        return _losses.GaussianNLL()
    return _losses.get(loss, "query_loss")


def _as_step_weights(weights: Any, steps: int) -> tuple[float, ...] | None:
    if weights is None:
        return None
    values = tuple(
        as_number(v, f"step_weights[{i}]", least=0)
        for i, v in enumerate(np.ravel(as_array(weights, "step_weights")).tolist())
    )
    if len(values) != steps or steps == 0:
        raise ValueError(f"step_weights must hold one weight a step ({steps}), got {len(values)}")
    if abs(sum(values) - 1) > 1e-6:
        raise ValueError(f"step_weights must have the sum 1, got {sum(values)}")
    return values


def _flows_without_steps(algorithm: Algorithm) -> bool:
    """Whether the meta-gradient does not go through the inner steps."""
    return algorithm.gradient == "reptile" or isinstance(algorithm.gradient, Implicit)


def _solves(algorithm: Algorithm) -> bool:
    """Whether the head is adapted in closed form."""
    return isinstance(algorithm.inner, BayesianHead)


def _decays(algorithm: Algorithm) -> bool:
    if isinstance(algorithm.inner, BayesianHead):
        return False
    shared = algorithm.inner.shared
    return shared["weight_decay"] > 0 or shared["decoupled_weight_decay"] > 0


#: What has no meaning, and how it is told: the one table of it.
MEANINGLESS: dict[str, Callable[[Algorithm], bool]] = {
    "BayesianHead with steps other than 1: a head is solved for once": lambda a: (
        _solves(a) and a.steps != 1
    ),
    "BayesianHead with adapt: the head is all that adapts": lambda a: (
        _solves(a) and a.adapt != "head"
    ),
    "BayesianHead with Reptile or implicit gradients, which are those of steps": lambda a: (
        _solves(a) and _flows_without_steps(a)
    ),
    "BayesianHead with step_weights: there are no steps": lambda a: (
        _solves(a) and a.step_weights is not None
    ),
    "BayesianHead with context: the head is all that adapts": lambda a: (
        _solves(a) and a.context > 0
    ),
    "BayesianHead with learn_rates of a named kind: it has no rates": lambda a: (
        _solves(a) and not isinstance(a.learn_rates, bool)
    ),
    "query_loss='gaussian_nll' with score_scale: scores have no predictive distribution": (
        lambda a: (
            isinstance(a.query_loss, _losses.GaussianNLL)
            and getattr(a.inner, "score_scale", None) is not None
        )
    ),
    "query_loss='gaussian_nll' without BayesianHead, which alone has a predictive distribution": (
        lambda a: isinstance(a.query_loss, _losses.GaussianNLL) and not _solves(a)
    ),
    "learn_rates with Reptile or implicit gradients, which do not go through the steps": lambda a: (
        a.learn_rates is not False and _flows_without_steps(a)
    ),
    "step_weights with Reptile or implicit gradients, which know the last step alone": lambda a: (
        a.step_weights is not None and _flows_without_steps(a)
    ),
    "weight decay with implicit gradients, whose inner problem has none": lambda a: (
        isinstance(a.gradient, Implicit) and _decays(a)
    ),
    "inner.proximal with implicit gradients, which bring their own pull (mu)": lambda a: (
        isinstance(a.gradient, Implicit) and getattr(a.inner, "proximal", 0) > 0
    ),
    "context with adapt: the context is all that adapts": lambda a: (
        a.context > 0 and a.adapt != "all"
    ),
    "context with Reptile, whose gradient of what does not adapt is 0": lambda a: (
        a.context > 0 and a.gradient == "reptile"
    ),
    "context with more than one rate: it is one group of parameters": lambda a: (
        a.context > 0
        and not _solves(a)
        and (isinstance(getattr(a.inner, "lr", 0), tuple) or a.learn_rates in RATE_KINDS[1:])
    ),
}
