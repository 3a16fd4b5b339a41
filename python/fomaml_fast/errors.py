"""What the library raises, and how the core's sentences become exceptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

#: Divergence within so many steps is met by other means than divergence after many.
EARLY = 1


class DivergenceError(ArithmeticError):
    """A loss, adapted parameters, a meta-gradient or a new state were not finite.

    Parameters
    ----------
    tasks : sequence of int
        Numbers of the tasks that diverged; none where only the sum over tasks, or the state after
        the outer step, is not finite.
    step : int
        First step after which a support loss or the parameters of one of them were not finite;
        the number of steps where only the query loss or the meta-gradient was not.
    n_tasks : int
        How many tasks there were.
    what : {"sum", "state"}, default "sum"
        What is not finite where no task diverged.
    learners : sequence of int, default ()
        Of a call of many learners: those of which it is told. The tasks are those of the first.

    Examples
    --------
    >>> raise DivergenceError([3], 2, 25)
    Traceback (most recent call last):
    ...
    fomaml_fast.errors.DivergenceError: 1 of 25 tasks diverged, first at inner step 2: tasks [3]
    """

    def __init__(
        self,
        tasks: Iterable[Any],
        step: int,
        n_tasks: int,
        what: str = "sum",
        learners: Iterable[Any] = (),
    ) -> None:
        self.tasks = [int(task) for task in tasks]
        self.step = int(step)
        self.n_tasks = int(n_tasks)
        self.what = what
        self.learners = [int(learner) for learner in learners]
        super().__init__(self._of_learners() + self._sentence())

    def _of_learners(self) -> str:
        if not self.learners:
            return ""
        first, *others = self.learners
        more = f" (and {len(others)} more learners)" if len(others) > 1 else ""
        more = f" (and learner {others[0]})" if len(others) == 1 else more
        return f"learner {first}{more}: "

    def _sentence(self) -> str:
        if self.tasks:
            shown = f"{self.tasks}" if len(self.tasks) <= 10 else f"{self.tasks[:10]} and more"
            hint = (
                "; standardise inputs and targets, or lower the inner rate"
                if self.step <= EARLY
                else ""
            )
            return (
                f"{len(self.tasks)} of {self.n_tasks} tasks diverged, first at inner step "
                f"{self.step}: tasks {shown}{hint}"
            )
        if self.what == "state":
            return (
                "the outer step led to parameters or moments that are not finite; lower the outer "
                "rate, or raise eps"
            )
        return f"the meta-gradients of {self.n_tasks} tasks are finite, but their sum is not"

    def __reduce__(self) -> tuple[type, tuple[list[int], int, int, str, list[int]]]:
        return type(self), (self.tasks, self.step, self.n_tasks, self.what, self.learners)


def of_dtype(name: str, other: str, like: str, dtype: str) -> str:
    """Say how an argument gets the dtype that it should have."""
    in_batch = f" or TaskBatch(..., dtype=numpy.{like})" if other.startswith("x_") else ""
    return f"; convert one of them, e.g. numpy.asarray({name}, dtype=numpy.{like}){in_batch}"


def _of_batch_dtype(name: str, other: str, like: str, dtype: str) -> str:
    return (
        f"; convert one of them, e.g. TaskBatch(..., dtype=numpy.{dtype}), or start from "
        f"init_state(..., dtype=numpy.{like})"
    )


def _of_targets_axis(name: str, other: str, like: str, dtype: str) -> str:
    item = name.partition("[")[0]
    how = (
        f"[a[:, numpy.newaxis] for a in {item}]" if item != name else f"{name}[..., numpy.newaxis]"
    )
    return f"; for one output add an axis: {how}; class labels must be integers"


def _of_labels_axes(name: str, other: str, like: str, dtype: str) -> str:
    return (
        "; targets of a regression are floats, whole numbers are labels: one a row, "
        f"{name}[..., 0] drops an axis of one, and one-hot rows are floats"
    )


#: How users of Python mend what the core refused, by its reason: a function of the argument's
#: name, of the argument that it has to fit, and of both dtypes.
HINTS: dict[str, Callable[[str, str, str, str], str]] = {
    "not_finite": lambda name, *_: (
        f"{'; a mask leaves out targets that are not known' if name.startswith('y') else ''}"
        " (check_finite=False switches this check off)"
    ),
    "overflowed": lambda *_: (
        "; scale them, or compute in float64 (check_finite=False returns what came out)"
    ),
    "not_float": lambda name, *_: f"; convert it with numpy.asarray({name}, dtype)",
    "dtype_differs": of_dtype,
    "batch_dtype": _of_batch_dtype,
    "targets_shape": _of_targets_axis,
    "labels_axes": _of_labels_axes,
    "wants_numbers": lambda name, *_: f"; convert them with numpy.asarray({name}, dtype=float)",
    "wants_labels": lambda name, *_: f"; convert them with numpy.asarray({name}, dtype=int)",
    "rates_empty": lambda *_: "; init_state(net, algorithm, outer) gives its first ones",
}


#: What an exception is, by the kind of what the core refused.
KINDS: dict[str, type[Exception]] = {
    "type": TypeError,
    "value": ValueError,
    "overflow": OverflowError,
}


def refused(
    kind: str, reason: str, sentence: str, name: str, other: str, like: str, dtype: str
) -> Exception:
    """Return the exception for a call that the core refused."""
    hint = HINTS[reason](name, other, like, dtype) if reason in HINTS else ""
    return KINDS[kind](sentence + hint)
