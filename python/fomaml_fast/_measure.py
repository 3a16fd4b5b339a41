"""Metrics of a batch's query rows at the parameters of its tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from fomaml_fast import metrics as registered
from fomaml_fast._arrays import FloatArray, is_sequence
from fomaml_fast._loader import core
from fomaml_fast._mixture import logits_of, mean_and_deviation, probabilities_of
from fomaml_fast._shown import shown
from fomaml_fast.algorithm import Algorithm
from fomaml_fast.heads import BayesianHead
from fomaml_fast.losses import Loss
from fomaml_fast.metrics import Metric
from fomaml_fast.network import MLP

#: A registered metric, or a function of one's own.
Asked = Metric | Callable[[Any, Any], Any]
Values = dict[str, npt.NDArray[np.float64]]


def asked_for(metrics: Any) -> dict[str, Asked]:
    """The metrics of `evaluate`'s argument, by name."""
    if metrics is None:
        return {}
    if isinstance(metrics, Mapping):
        for name in metrics:
            if not isinstance(name, str):
                raise TypeError(f"metrics must have names for keys, got {shown(name)}")
        return {name: _asked(value, f"metrics[{name!r}]") for name, value in metrics.items()}
    if isinstance(metrics, str) or callable(metrics):
        places = iter([("metrics", metrics)])
    elif is_sequence(metrics):  # of any length: the first that is none ends it
        places = ((f"metrics[{i}]", value) for i, value in enumerate(metrics))
    else:
        raise TypeError(
            "metrics must be a name, a function, a sequence of these or a dict of them by name, "
            f"got {shown(metrics)}"
        )
    found: dict[str, Asked] = {}
    for place, value in places:
        asked = _asked(value, place)
        name = asked.name if isinstance(asked, Metric) else getattr(asked, "__name__", "<lambda>")
        if name == "<lambda>":
            raise ValueError(f"{place} has no name: give a dict, such as {{'name': function}}")
        if name in found:
            raise ValueError(f"metrics must have names of their own, and {name!r} stands twice")
        found[name] = asked
    return found


def _asked(value: Any, where: str) -> Asked:
    if isinstance(value, Metric):
        return value
    if callable(value) and not isinstance(value, type):
        function: Callable[[Any, Any], Any] = value
        return function
    return registered.get(value, where)


class QueryRows:
    """What a batch's query rows come to; tasks of one length are measured together.

    `rows` are the core's, `loss` is the one that is taken of them.
    """

    def __init__(self, net: MLP, rows: Any, loss: Loss, algorithm: Algorithm) -> None:
        self.net, self.rows, self.loss = net, rows, loss
        self.has_context = algorithm.context > 0
        head = algorithm.inner
        self.has_distribution = isinstance(head, BayesianHead) and head.score_scale is None
        self.tasks: int = rows.tasks
        self.targets = self._in_groups(rows.y)
        self.known = self._in_groups(rows.mask)
        self.weights = [
            _weights_of(*parts)
            for parts in zip(self.targets, self._in_groups(rows.weights), self.known, strict=True)
        ]

    def check(self, metrics: dict[str, Asked], *, of_ensemble: bool = False) -> None:
        """Raise where a metric and the targets do not fit; ensembles have a distribution."""
        for name, metric in metrics.items():
            if not isinstance(metric, Metric):
                continue
            if metric.of_distribution and not (self.has_distribution or of_ensemble):
                raise ValueError(
                    f"metrics: {name} is of a predictive distribution, which inner.BayesianHead "
                    "without score_scale has, and theta of several learners"
                )
            if metric.of_classes != self._classes():
                wanted, got = ("classes", "numbers")[:: 1 if metric.of_classes else -1]
                raise ValueError(
                    f"metrics: {name} compares {wanted}, but the query targets of {self.loss} "
                    f"are {got}"
                )
            outputs = self.net.sizes[-1]
            columns = self.targets[0].shape[2] if self.targets[0].ndim == 3 else outputs
            if columns != outputs:
                raise ValueError(
                    f"metrics: {name} needs targets of the network's {outputs} outputs, got "
                    f"{columns} columns; give a function of (outputs, targets)"
                )
            if metric.one_class and self._flags() and outputs > 1:
                raise ValueError(
                    f"metrics: {name} needs one class a row, but the query targets of {self.loss} "
                    f"are {outputs} flags a row"
                )

    def outputs_at(self, theta: Any, adapted: Any, threads: Any) -> Any:
        """Outputs at the parameters of every task, stacked or one array a task."""
        context = adapted if self.has_context else None
        thetas, x = (adapted, self.rows) if context is None else (theta, self.rows.x)
        return core.predict(self.net._core, thetas, x, context, threads, False)

    def measured(
        self,
        metrics: dict[str, Asked],
        outputs: Any,
        lost: Any,
        deviations: FloatArray | None = None,
    ) -> Values:
        """Values ``[T]`` by name of what was predicted; NaN for tasks that are `lost`.

        `deviations` ``[rows, n_L]`` are those of all query rows, where a metric asks for them.
        """
        found = {name: np.full(self.tasks, np.nan) for name in metrics}
        spread = self._stacked(deviations, outputs)
        for tasks, out, std, y, w, known in self._groups(outputs, spread):
            kept = ~lost[tasks]
            if not kept.any():
                continue
            allowed = None if self.rows.classes is None else self.rows.classes[tasks][kept]
            there = (
                y[kept] if known is None else np.where(known[kept], y[kept], y.dtype.type(np.nan))
            )
            of_classes = self._allowed(out[kept], allowed)
            given = of_classes, None if std is None else std[kept], y[kept], w[kept], there
            for name, metric in metrics.items():
                found[name][np.arange(self.tasks)[tasks][kept]] = self._values(name, metric, *given)
        return found

    def together(self, outputs: list[Any], deviations: list[Any]) -> tuple[Any, Any]:
        """What learners predict together, of the `outputs` of each: as outputs, and deviations.

        Classes are those of the mean probability, as whose logits outputs come back.
        """
        if isinstance(outputs[0], list):
            of_tasks = zip(*outputs, strict=True)
            together = [self._together(of, t) for t, of in enumerate(of_tasks)]
        else:
            together = [self._together(outputs, slice(None))]
        mean, spread = zip(*together, strict=True)
        own = [d for d in deviations if d is not None]
        flat = np.concatenate([s.reshape(-1, s.shape[-1]) for s in spread])
        if own:
            flat = np.sqrt(np.square(flat) + np.mean(np.square(own), axis=0))
        return (list(mean) if isinstance(outputs[0], list) else mean[0]), flat

    def _together(self, outputs: Any, tasks: Any) -> tuple[Any, Any]:
        if not self._classes():
            return mean_and_deviation(outputs)
        allowed = self.rows.classes
        if allowed is not None:
            allowed = allowed[:, None] if tasks == slice(None) else allowed[tasks]
            outputs = np.where(allowed, outputs, -np.inf)
        mean, spread = mean_and_deviation(probabilities_of(outputs, self._flags()))
        return logits_of(mean, self._flags()), spread

    @staticmethod
    def _stacked(deviations: FloatArray | None, outputs: Any) -> Any:
        """Deviations as the outputs are."""
        if deviations is None:
            return None
        if isinstance(outputs, list):
            return np.split(deviations, np.cumsum([len(array) for array in outputs])[:-1])
        return deviations.reshape(outputs.shape)

    def _groups(self, outputs: Any, spread: Any) -> Iterator[tuple[slice, Any, Any, Any, Any, Any]]:
        first = 0
        rows = (
            self._in_groups(outputs),
            self._in_groups(spread),
            self.targets,
            self.weights,
            self.known,
        )
        for out, *others in zip(*rows, strict=True):
            yield slice(first, first + len(out)), out, *others
            first += len(out)

    def _in_groups(self, stacked: Any) -> list[Any]:
        """Arrays ``[T, n, ...]``: one, or one a task where tasks differ in length."""
        if stacked is None:
            return [None] * (self.tasks if self.rows.ragged else 1)
        if isinstance(stacked, list):
            return [array[None] for array in stacked]
        return [np.broadcast_to(stacked, (self.tasks, *stacked.shape[1:]))]

    @staticmethod
    def _allowed(outputs: FloatArray, classes: Any) -> FloatArray:
        """Outputs, -inf where a task lacks the class."""
        if classes is None:
            return outputs
        return np.where(classes[:, None], outputs, outputs.dtype.type(-np.inf))

    def _labels(self) -> bool:
        return bool(np.issubdtype(self.targets[0].dtype, np.integer))

    def _flags(self) -> bool:
        return self.loss.logits and not self._labels()

    def _classes(self) -> bool:
        return self._labels() or self.loss.takes_probabilities or self._flags()

    def _values(
        self,
        name: str,
        metric: Asked,
        outputs: Any,
        deviations: Any,
        targets: Any,
        weights: Any,
        shown_targets: Any,
    ) -> Any:
        if not isinstance(metric, Metric):
            pairs = zip(outputs, shown_targets, strict=True)
            return [_as_value(metric(out, y), name) for out, y in pairs]
        if not metric.of_classes:
            predicted: Any = outputs.astype(np.float64)
            if metric.of_distribution:
                predicted = predicted, deviations.astype(np.float64)
            return metric.fn(predicted, targets.astype(np.float64), weights)
        if self._flags():
            flags = outputs > 0, targets > 0.5
            predicted, known = flags
            if outputs.shape[2] == 1:  # a flag a row is its class
                predicted, known = predicted[..., 0], known[..., 0]
                weights = weights.reshape(known.shape)
        else:
            predicted = outputs.argmax(2)
            known = targets if self._labels() else targets.argmax(2)
        return metric.fn(predicted, known, weights)


def _weights_of(targets: Any, weights: Any, known: Any) -> npt.NDArray[np.float64]:
    """Of rows, or of every target where some are unknown, which have none."""
    of_rows = np.ones(targets.shape[:2]) if weights is None else weights.astype(np.float64)
    if known is None:
        return of_rows
    weighed: npt.NDArray[np.float64] = (
        of_rows if of_rows.ndim == 3 else of_rows[..., None]
    ) * known
    return weighed


def _as_value(value: Any, name: str) -> float:
    is_number = isinstance(value, int | float) or (
        isinstance(value, np.generic | np.ndarray)
        and value.ndim == 0
        and value.dtype.kind in "biuf"
    )
    with suppress(OverflowError):
        if is_number:
            return float(value)
    raise TypeError(f"metrics[{name!r}] must return a number for each task, got {shown(value)}")
