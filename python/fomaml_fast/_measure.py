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
from fomaml_fast._shown import shown
from fomaml_fast.algorithm import Algorithm
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
        self.tasks: int = rows.tasks
        self.targets = self._in_groups(rows.y)
        self.known = self._in_groups(rows.mask)
        self.weights = [
            _weights_of(*parts)
            for parts in zip(self.targets, self._in_groups(rows.weights), self.known, strict=True)
        ]

    def check(self, metrics: dict[str, Asked]) -> None:
        """Raise where a metric and the targets do not fit."""
        for name, metric in metrics.items():
            if not isinstance(metric, Metric):
                continue
            if metric.of_classes != self._classes():
                wanted, got = ("classes", "numbers")[:: 1 if metric.of_classes else -1]
                raise ValueError(
                    f"metrics: {name} compares {wanted}, but the query targets of {self.loss} "
                    f"are {got}"
                )
            outputs = self.net.sizes[-1]
            if metric.one_class and self._flags() and outputs > 1:
                raise ValueError(
                    f"metrics: {name} needs one class a row, but the query targets of {self.loss} "
                    f"are {outputs} flags a row"
                )

    def measured(
        self, metrics: dict[str, Asked], theta: Any, adapted: Any, lost: Any, threads: Any
    ) -> Values:
        """Values ``[T]`` by name at the parameters of every task; NaN for those `lost`."""
        context = adapted if self.has_context else None
        thetas, x = (adapted, self.rows) if context is None else (theta, self.rows.x)
        outputs = core.predict(self.net._core, thetas, x, context, threads, False)
        found = {name: np.full(self.tasks, np.nan) for name in metrics}
        for tasks, out, y, w, known in self._groups(outputs):
            kept = ~lost[tasks]
            if not kept.any():
                continue
            allowed = None if self.rows.classes is None else self.rows.classes[tasks][kept]
            there = (
                y[kept] if known is None else np.where(known[kept], y[kept], y.dtype.type(np.nan))
            )
            given = self._allowed(out[kept], allowed), y[kept], w[kept], there
            for name, metric in metrics.items():
                found[name][np.arange(self.tasks)[tasks][kept]] = self._values(name, metric, *given)
        return found

    def _groups(self, outputs: Any) -> Iterator[tuple[slice, Any, Any, Any, Any]]:
        first = 0
        rows = self._in_groups(outputs), self.targets, self.weights, self.known
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
        self, name: str, metric: Asked, outputs: Any, targets: Any, weights: Any, shown_targets: Any
    ) -> Any:
        if not isinstance(metric, Metric):
            pairs = zip(outputs, shown_targets, strict=True)
            return [_as_value(metric(out, y), name) for out, y in pairs]
        if not metric.of_classes:
            return metric.fn(outputs.astype(np.float64), targets.astype(np.float64), weights)
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
