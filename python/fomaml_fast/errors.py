"""What the library raises beyond `ValueError` and `TypeError`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class DivergenceError(ArithmeticError):
    """A loss, adapted parameters or a meta-gradient were not finite.

    Parameters
    ----------
    tasks : sequence of int
        Numbers of the tasks that diverged; none where only the sum over tasks is not finite.
    step : int
        First step after which a support loss or the parameters of one of them were not finite;
        the number of steps where only the query loss or the meta-gradient was not.
    n_tasks : int
        How many tasks there were.

    Examples
    --------
    >>> raise DivergenceError([3], 2, 25)
    Traceback (most recent call last):
    ...
    fomaml_fast.errors.DivergenceError: 1 of 25 tasks diverged, first at inner step 2: tasks [3]
    """

    def __init__(self, tasks: Iterable[Any], step: int, n_tasks: int) -> None:
        self.tasks = [int(task) for task in tasks]
        self.step = int(step)
        self.n_tasks = int(n_tasks)
        shown = f"{self.tasks}" if len(self.tasks) <= 10 else f"{self.tasks[:10]} and more"
        super().__init__(
            f"{len(self.tasks)} of {n_tasks} tasks diverged, first at inner step {self.step}: "
            f"tasks {shown}"
            if self.tasks
            else f"the meta-gradients of {n_tasks} tasks are finite, but their sum is not"
        )

    def __reduce__(self) -> tuple[type, tuple[list[int], int, int]]:
        return type(self), (self.tasks, self.step, self.n_tasks)


class NeedsPythonError(AttributeError, NotImplementedError):
    """A loss written in Python has no counterpart in the core.

    An AttributeError, so that the short way of a call, which reads attributes of what may be
    anything, leaves it to the long one at no cost to other calls.
    """
