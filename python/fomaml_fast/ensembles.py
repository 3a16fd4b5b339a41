"""What many learners say about new tasks together: error bars for any algorithm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fomaml_fast._arrays import FloatArray, as_count, as_flag, as_number
from fomaml_fast._convert import convert
from fomaml_fast._loader import core
from fomaml_fast._mixture import mean_and_deviation, probabilities_of
from fomaml_fast._shown import shown
from fomaml_fast.adaptation import adapt
from fomaml_fast.algorithm import Algorithm, as_algorithm, as_network
from fomaml_fast.batch import ArrayLike
from fomaml_fast.heads import BayesianHead
from fomaml_fast.network import MLP
from fomaml_fast.posteriors import Posterior, posterior
from fomaml_fast.results import State


class Ensemble:
    """Many learners, adapted to the same rows; `ensemble` makes it.

    Attributes
    ----------
    thetas : numpy.ndarray
        Adapted parameters ``[R, P]`` of one task, ``[R, T, P]`` of many; with context parameters
        these alone.
    noise : float
        Standard deviation that is added to that over learners.
    """

    def __init__(
        self,
        net: MLP,
        start: FloatArray,
        thetas: FloatArray,
        has_context: bool,
        posteriors: Sequence[Posterior],
        classes: npt.NDArray[np.bool_] | None,
        noise: float,
    ) -> None:
        self._classes = classes  # [T, n_L]: those that the tasks have
        self._net, self._start, self._has_context = net, start, has_context
        self._posteriors = posteriors
        self.thetas, self.noise = thetas, noise

    def __len__(self) -> int:
        return len(self.thetas)

    def __repr__(self) -> str:
        """How many learners, and tasks."""
        tasks = f", {self.thetas.shape[1]} tasks" if self.thetas.ndim == 3 else ""
        return f"Ensemble({len(self)} learners{tasks})"

    def predict(self, x: ArrayLike, *, return_std: bool = False, threads: int | None = None) -> Any:
        """Mean over learners, and with `return_std` the standard deviation.

        The variance is that of the learners' predictions, and the square of `noise`; where learners
        have a predictive variance of their own (`inner.BayesianHead`), also the mean of these.

        Parameters
        ----------
        x : array
            ``[n, n_0]``; of many tasks ``[T, n, n_0]``.
        return_std : bool, default False
            Also return the deviation.
        threads : int or None, default None
            As in `adapt`.

        Returns
        -------
        numpy.ndarray, or two
            ``[n, n_L]`` or ``[T, n, n_L]``, float64. Where the network's loss takes logits,
            probabilities of the classes, or of the flags, and their deviation; 0 of classes that
            `class_mask` says a task lacks.

        Raises
        ------
        ValueError, TypeError
            For rows that do not fit, naming the argument.
        """
        wants = as_flag(return_std, "return_std")
        rows = self._rows(x)
        outputs = np.stack([self._outputs(r, rows, threads) for r in range(len(self))])
        own = None
        if of_classes(self._net):
            if self._classes is not None:
                allowed = self._classes[:, None] if outputs.ndim == 4 else self._classes
                outputs = np.where(allowed, outputs, -np.inf)
            outputs = probabilities_of(outputs, self._net.loss_spec.logits)
        elif self._posteriors and wants:
            own = [one.predict(rows, return_std=True)[1] for one in self._posteriors]
        mean, deviation = mean_and_deviation(outputs, own)
        return (mean, np.hypot(deviation, self.noise)) if wants else mean

    def log_prob(self, x: ArrayLike, y: ArrayLike) -> npt.NDArray[np.float64]:
        """Logarithm of the density of every row's targets, summed over outputs.

        The density is the normal one of the mean and deviation that `predict` returns.

        Parameters
        ----------
        x, y : array
            ``[n, n_0]`` and ``[n, n_L]``, or of many tasks; NaN is a target that is not known,
            which counts nothing.

        Returns
        -------
        numpy.ndarray
            ``[n]`` or ``[T, n]``.

        Raises
        ------
        ValueError, TypeError
            For rows that do not fit, naming the argument, and for losses of classes.
        """
        if of_classes(self._net):
            raise ValueError(
                f"log_prob is of targets that are numbers, but the loss is {self._net.loss_spec}"
            )
        mean, deviation = self.predict(x, return_std=True)
        if not (deviation > 0).all():
            raise ValueError(
                "log_prob needs deviations above 0: give ensemble(..., noise=...), or more than "
                "one learner"
            )
        targets = np.asarray(convert(y, "y", "targets", "float64", 0, True))
        if targets.shape != mean.shape:
            raise ValueError(f"y must have shape {list(mean.shape)}, got {list(targets.shape)}")
        distance = (targets - mean) / deviation
        density = -0.5 * (distance**2 + np.log(2 * np.pi)) - np.log(deviation)
        total: npt.NDArray[np.float64] = np.where(np.isnan(targets), 0, density).sum(axis=-1)
        return total

    def _rows(self, x: Any) -> Any:
        rows = np.asarray(convert(x, "x", "numbers", str(self._start.dtype), 0, False))
        axes = self.thetas.ndim
        if rows.ndim != axes or (axes == 3 and len(rows) != self.thetas.shape[1]):
            wanted = "[n, inputs]" if axes == 2 else f"[{self.thetas.shape[1]}, n, inputs]"
            raise ValueError(f"x must have shape {wanted}, got {list(rows.shape)}")
        return rows

    def _outputs(self, learner: int, x: Any, threads: Any) -> FloatArray:
        theta, context = self.thetas[learner], None
        if self._has_context:
            theta, context = self._start[learner], theta
        return np.asarray(core.predict(self._net._core, theta, x, context, threads, True))


def of_classes(net: MLP) -> bool:
    """Whether outputs are logits of classes or flags."""
    loss = net.loss_spec
    return loss.takes_labels or loss.takes_probabilities or loss.logits


def ensemble(
    net: MLP,
    state: State,
    x: ArrayLike,
    y: ArrayLike,
    algorithm: Algorithm,
    *,
    steps: int | None = None,
    weights: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    class_mask: ArrayLike | None = None,
    noise: float = 0.0,
    threads: int | None = None,
) -> Ensemble:
    """Adapt many learners to some rows of new tasks, to predict together.

    Parameters
    ----------
    net : MLP
        The network.
    state : State
        Of R learners, trained with `algorithm`.
    x, y : array
        The support set of one task, ``[K, n_0]`` and ``[K, n_L]`` or labels ``[K]``; or of many,
        with an axis T in front. Heads in closed form take one task.
    algorithm : Algorithm
        As in `adapt`.
    steps, weights, mask, class_mask, threads
        As in `adapt`.
    noise : float, default 0
        Standard deviation of the targets about what a learner predicts, in their units: the
        learners' spread alone says how sure they are of the mean. Heads in closed form have theirs,
        classes none.

    Returns
    -------
    Ensemble

    Raises
    ------
    DivergenceError, ValueError, TypeError
        As in `adapt`.

    Examples
    --------
    >>> import fomaml_fast as ff
    >>> net, algorithm, outer = ff.MLP([1, 8, 1]), ff.maml(0.1), ff.outer.Adam()
    >>> state = ff.init_state(net, algorithm, outer, seed=range(4))
    >>> found = ff.ensemble(net, state, [[1.0]], [[1.0]], algorithm)
    >>> mean, std = found.predict([[1.0], [2.0]], return_std=True)
    >>> mean.shape, bool((std > 0).all())
    ((2, 1), True)
    """
    as_network(net)
    as_algorithm(algorithm, net)
    if not isinstance(state, State):
        raise TypeError(f"state must be a State, from init_state or meta_step, got {shown(state)}")
    learners = state.n_learners
    if learners is None:
        raise ValueError(
            "state must be of many learners, such as init_state(..., seed=range(8)) or "
            "State.stack(...) gives"
        )
    head = algorithm.inner
    solves = isinstance(head, BayesianHead) and head.score_scale is None
    noise = as_number(noise, "noise", least=0)
    if solves and noise > 0:
        raise ValueError("noise must be 0 for inner.BayesianHead, which has its own")
    if of_classes(net) and noise > 0:
        raise ValueError(f"noise must be 0 for classes, got {noise} with the loss {net.loss_spec}")
    if solves and steps is not None and as_count(steps, "steps") == 0:
        raise ValueError("steps must be 1 for inner.BayesianHead, whose deviations are its own")
    start = np.ascontiguousarray(state.theta)
    support = convert(x, "x", "inputs", str(start.dtype), 2, False)
    one_task = not isinstance(support, list) and support.ndim == 2
    if solves and not one_task:
        raise ValueError("x must be of one task for inner.BayesianHead, [K, inputs]")
    thetas = adapt(
        *(net, start[:, None], x, y, algorithm),
        steps=steps,
        rates=state.rates if np.size(state.rates) else None,
        weights=weights,
        mask=mask,
        class_mask=class_mask,
        threads=threads,
    )
    posteriors: list[Posterior] = []
    if solves:
        posteriors = [
            posterior(net, state.learner(r), x, y, algorithm, weights=weights, mask=mask)
            for r in range(learners)
        ]
    if one_task:
        thetas = thetas[:, 0]
    classes = None if class_mask is None else np.asarray(class_mask, np.bool_)
    return Ensemble(net, start, thetas, algorithm.context > 0, posteriors, classes, noise)
