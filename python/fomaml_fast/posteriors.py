"""What a task's rows say about its head: predictions with error bars, updated row by row."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import FloatArray, as_count, as_flag, as_number
from fomaml_fast._convert import convert
from fomaml_fast._loader import core
from fomaml_fast._shown import shown
from fomaml_fast.algorithm import Algorithm, as_algorithm, as_network
from fomaml_fast.batch import ArrayLike
from fomaml_fast.heads import BayesianHead
from fomaml_fast.losses import Custom
from fomaml_fast.network import MLP
from fomaml_fast.results import State
from fomaml_fast.samplers.random import as_generator

#: Numbers that `Posterior.sample` draws at a time.
MOST_NUMBERS = 2**28


class Posterior:
    """The posterior of one task's head; `posterior` makes it.

    Attributes
    ----------
    n_rows : int
        Rows seen.
    """

    def __init__(
        self, net: MLP, algorithm: Algorithm, theta: FloatArray, rates: Any, per_output: bool
    ) -> None:
        self._set(net, algorithm, theta, rates, per_output)
        self.n_rows = 0

    def _set(
        self, net: MLP, algorithm: Algorithm, theta: FloatArray, rates: Any, per_output: bool
    ) -> None:
        self._net, self._algorithm, self._theta, self._rates = net, algorithm, theta, rates
        self._head_at = theta.size - sum(part.size for part in net.unflatten(theta)[-1])
        self._body, self._body_theta = _body(net, theta[: self._head_at])
        head = theta[self._head_at :]
        self._core = core.Posterior(net._core, algorithm._core, head, rates, per_output)

    def __getstate__(self) -> tuple[Any, ...]:
        made_of = self._net, self._algorithm, self._theta, self._rates, self._core.per_output
        return made_of, self._core.memory, self.n_rows

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        made_of, memory, n_rows = state
        self._set(*made_of)
        self._core.memory = memory
        self.n_rows = n_rows

    def copy(self) -> Posterior:
        """One that rows can be added to without changing this.

        Returns
        -------
        Posterior
        """
        return copy(self)

    def __repr__(self) -> str:
        """The head, and the rows that it has seen."""
        return f"Posterior({self._algorithm.inner}, n_rows={self.n_rows})"

    def predict(self, x: ArrayLike, *, return_std: bool = False) -> Any:
        """Mean, and with `return_std` standard deviation, of the targets of new rows.

        Parameters
        ----------
        x : array
            ``[n, n_0]``.
        return_std : bool, default False
            Also return the deviation, of the target: the noise is part of it.

        Returns
        -------
        numpy.ndarray, or two
            ``[n, n_L]`` each.

        Raises
        ------
        ValueError, TypeError
            For rows that do not fit, naming the argument.
        """
        wants = as_flag(return_std, "return_std")
        mean, std = self._core.predict(self._features(x), wants)
        return (mean, std) if wants else mean

    def update(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        forget: float = 1.0,
        weights: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> Posterior:
        """See more rows, one after another.

        Parameters
        ----------
        x, y : array
            ``[n, n_0]`` and ``[n, n_L]``.
        forget : float, default 1
            Above 0 and at most 1: what was seen before each row counts so much less. 1 costs O(m^2)
            a row, less O(m^3).
        weights, mask : array or None, default None
            Of the rows ``[n]``. Each output has weights of its own, ``[n, n_L]``, only if it had so
            in `posterior`.

        Returns
        -------
        Posterior
            Itself.

        Raises
        ------
        ValueError, TypeError
            For rows that do not fit, naming the argument.
        """
        factor = as_number(forget, "forget", least=0)
        if not 0 < factor <= 1:
            raise ValueError(f"forget must be above 0 and at most 1, got {forget}")
        rows = _rows(self._net, x, y, weights, mask, self._theta.dtype)
        if rows is None:
            return self
        self._check(rows)
        if rows.per_output and not self._core.per_output:
            raise ValueError(
                "weights and mask must be of rows, as they were in posterior(...): there is one "
                "uncertainty for all outputs. If single targets may be missing later, give "
                "posterior(...) a mask [K, outputs], all True if need be"
            )
        self._core.update(rows, self._features(rows), factor)
        self.n_rows += rows.rows
        return self

    def sample(self, n: int, rng: int | np.random.Generator) -> FloatArray:
        """Draw functions: parameters that any method of the network takes.

        Parameters
        ----------
        n : int
            How many.
        rng : int or numpy.random.Generator
            Seed or source of the draws.

        Returns
        -------
        numpy.ndarray
            ``[n, P]``; ``net.predict(thetas, x)`` are their values, without the noise.

        Raises
        ------
        ValueError, TypeError
            For arguments out of range.
        """
        count = as_count(n, "n", least=1)
        most = MOST_NUMBERS // self._net.n_params
        if count > most:
            raise ValueError(f"n must be at most {most} for this network, got {count}")
        head, roots, noise = self._core.read()
        m, outputs = head.shape
        drawn = as_generator(rng).standard_normal((count, m, outputs))
        spread = np.empty_like(drawn)
        for j in range(outputs):
            root = roots[j if len(roots) > 1 else 0]
            spread[:, :, j] = noise[j] * (drawn[:, :, j] @ root.T)
        thetas: FloatArray = np.tile(self._theta, (count, 1))
        thetas[:, self._head_at :] = (head + spread).reshape(count, -1)
        return thetas

    def log_prob(self, x: ArrayLike, y: ArrayLike) -> npt.NDArray[np.float64]:
        """Logarithm of the predictive density of every row's targets, summed over outputs.

        Parameters
        ----------
        x, y : array
            ``[n, n_0]`` and ``[n, n_L]``; NaN is a target that is not known, which counts nothing.

        Returns
        -------
        numpy.ndarray
            ``[n]``: of each row alone, not of all together. The metric "nll" is the mean over
            outputs, with the other sign.

        Raises
        ------
        ValueError, TypeError
            For rows that do not fit, naming the argument.
        """
        known, y = _known(y, str(self._theta.dtype))
        rows = _rows(self._net, x, y, None, None, self._theta.dtype)
        if rows is None:
            return np.zeros(0)
        self._check(rows)
        both = self._core.predict(self._features(rows), True)
        mean, std = (np.asarray(part, np.float64) for part in both)
        distance = (np.asarray(rows.y, np.float64).reshape(mean.shape) - mean) / std
        density = -0.5 * (distance**2 + np.log(2 * np.pi)) - np.log(std)
        total: npt.NDArray[np.float64] = np.where(known, density, 0).sum(axis=1)
        return total

    @property
    def theta(self) -> FloatArray:
        """Parameters whose last layer is the posterior mean, ``[P]``: what `adapt` returns."""
        head, _, _ = self._core.read()
        adapted: FloatArray = self._theta.copy()
        adapted[self._head_at :] = head.ravel()
        return adapted

    def _check(self, rows: Any) -> None:
        core.check_adaptation(
            self._net._core, self._theta, rows, None, self._algorithm._core, None, 1, False
        )

    def _features(self, x: Any) -> FloatArray:
        """Of the last hidden layer, ``[n, m - 1]``."""
        found = core.predict(self._body, self._body_theta, x, None, None, True)
        if isinstance(found, list) or (found.ndim == 3 and len(found) != 1):
            raise ValueError(f"x must be the rows of one task, got {len(found)} tasks")
        return np.ascontiguousarray(found[0] if found.ndim == 3 else found)


def posterior(
    net: MLP,
    state: State,
    x: ArrayLike,
    y: ArrayLike,
    algorithm: Algorithm,
    *,
    weights: ArrayLike | None = None,
    mask: ArrayLike | None = None,
) -> Posterior:
    """What some rows of a new task say about its head.

    Parameters
    ----------
    net : MLP
        The network; its loss is one of numbers.
    state : State
        From training with `algorithm`, or from `init_state`.
    x, y : array
        The support set ``[K, n_0]`` and ``[K, n_L]``; K = 0 is the prior.
    algorithm : Algorithm
        With ``inner.BayesianHead`` of no `score_scale`.
    weights, mask : array or None, default None
        Of the rows ``[K]``, or of every target ``[K, n_L]``: each output then has an uncertainty of
        its own, and `update` takes such masks too.

    Returns
    -------
    Posterior
        With `predict`, `update`, `sample` and `log_prob`.

    Raises
    ------
    ValueError, TypeError
        For any argument that does not fit, naming it.

    Examples
    --------
    >>> import fomaml_fast as ff
    >>> net, algorithm = ff.MLP([1, 1]), ff.Algorithm(ff.inner.BayesianHead("scalar", noise=0.5))
    >>> state = ff.init_state(net, algorithm, ff.outer.Adam(), theta=np.zeros(2))
    >>> found = ff.posterior(net, state, [[0.0]], [[1.0]], algorithm)
    >>> mean, std = found.predict([[0.0]], return_std=True)
    >>> mean.round(3), std.round(3)
    (array([[0.5]]), array([[0.612]]))
    """
    as_network(net)
    as_algorithm(algorithm, net)
    if not isinstance(algorithm.inner, BayesianHead) or algorithm.inner.score_scale is not None:
        raise ValueError(
            "algorithm must have an inner.BayesianHead without score_scale, as alpaca() has: no "
            f"other one predicts with error bars, got {shown(algorithm.inner)}"
        )
    if "batch" in net.norms:
        raise ValueError(
            "net must have no batch normalisation: the features of a row would depend on whichever "
            "rows come with it"
        )
    if not isinstance(state, State):
        raise TypeError(f"state must be a State, from init_state or meta_step, got {shown(state)}")
    if isinstance(state.theta, np.ndarray) and state.theta.shape[1:] == (net.n_params,):
        raise ValueError(
            f"state.theta must be of one learner, got {len(state.theta)}: state.learner(i) is one "
            "of them, and ensemble(...) is all of them"
        )
    theta = core.parameters(net._core, state.theta)
    rows = _rows(net, x, y, weights, mask, theta.dtype)
    per_output = any(given is not None and np.ndim(given) == 2 for given in (weights, mask))
    if rows is None:  # somebody has to look at the state
        x_any, y_any = (np.zeros((1, n), theta.dtype) for n in (net.sizes[0], net.sizes[-1]))
        rows = _rows(net, x_any, y_any, None, None, theta.dtype)
    _, rates = core.check_adaptation(
        net._core, theta, rows, None, algorithm._core, state.rates, 1, False
    )
    found = Posterior(net, algorithm, theta, rates, per_output)
    return found.update(x, y, weights=weights, mask=mask)


def _known(y: Any, dtype: str) -> tuple[Any, Any]:
    """Which targets are known, and the targets with 0 where they are not."""
    array = np.asarray(convert(y, "y", "targets", dtype, 0, False))
    if array.dtype.kind != "f":
        return True, y
    known = ~np.isnan(array)
    return known, np.where(known, array, array.dtype.type(0))


def _rows(net: MLP, x: Any, y: Any, weights: Any, mask: Any, of_dtype: Any) -> Any:
    """The core's rows of one task; None where there are none, or all are masked."""
    dtype = str(of_dtype)
    given = {"x": (x, "numbers"), "y": (y, "targets"), "weights": (weights, "numbers")}
    arrays: list[Any] = []
    for name, (value, role) in {**given, "mask": (mask, "flags")}.items():
        array = None if value is None else np.asarray(convert(value, name, role, dtype, 0, False))
        if name == "x" and (array is None or array.ndim != 2):
            got = "None" if array is None else list(array.shape)
            raise ValueError(f"x must be the rows [n, inputs] of one task, got {got}")
        if name == "y" and array is not None and array.dtype.kind != "f":
            raise ValueError(
                f"y must be numbers of a float dtype, got {array.dtype}; convert them, e.g. "
                f"numpy.asarray(y, dtype=numpy.{dtype})"
            )
        arrays.append(array)
    if len(arrays[0]) == 0:
        _expect_none(net, arrays[0], arrays[1])
        return None
    if arrays[3] is not None and arrays[3].dtype == bool and not arrays[3].any():
        return None
    x, y, weights, mask = (a if a is None or a.ndim > 3 else a[None] for a in arrays)
    return core.Examples("", x, y, weights, mask, None, dtype, "theta", False, True)


def _expect_none(net: MLP, x: Any, y: Any) -> None:
    """Raise unless these are no rows of the network's."""
    for name, array, wanted in (("x", x, net.sizes[0]), ("y", y, net.sizes[-1])):
        if array is None or array.shape != (0, wanted):
            got = "None" if array is None else list(array.shape)
            raise ValueError(f"{name} must have shape [0, {wanted}] where x has no rows, got {got}")


def _body(net: MLP, theta: FloatArray) -> tuple[Any, FloatArray]:
    """The core's network of the features: the last layer hands on what it is fed."""
    width = net.sizes[-2]
    hidden = len(net.sizes) - 2
    body = MLP(
        (*net.sizes[:-1], width),
        net.activations if hidden else "relu",
        loss=Custom(np.subtract),  # none that the core would check targets against
        norm=net.norms if hidden else None,
    )
    handed_on = np.concatenate([np.eye(width).ravel(), np.zeros(width)]).astype(theta.dtype)
    return body._core, np.concatenate([theta, handed_on])
