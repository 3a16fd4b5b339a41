"""Calls with support rows of every step; with those of `garbage_calls` they are all."""

import fomaml_fast as ff
from garbage_calls import CALLS as OTHERS
from garbage_calls import CUSTOM, MASK, NET, THETA, WEIGHTS, Call, X, Y

ROWS = (1, 3), (2, 1)  # of each step
LISTS = [[X[t, :n] for n in of_task] for t, of_task in enumerate(ROWS)]
FLAGS = [[MASK[0, :n] | True for n in of_task] for of_task in ROWS]


def _with_step(x_support, y_support):
    """A batch whose first step has these rows."""
    x, y = ([[rows, *LISTS[0][1:]], LISTS[1]] for rows in (x_support, y_support))
    return ff.TaskBatch(x, y, X, Y)


CALLS: dict[str, Call] = {
    **OTHERS,
    "TaskBatch of steps": Call(
        ff.TaskBatch,
        {
            "x_support": X[:, None],
            "y_support": Y[:, None],
            "x_query": X,
            "y_query": Y,
            "weights_support": WEIGHTS[:, None, :, None],
            "mask_support": MASK[:, None],
        },
    ),
    "TaskBatch of lists of steps": Call(
        ff.TaskBatch,
        {"x_support": LISTS, "y_support": LISTS, "x_query": X, "y_query": Y, "mask_support": FLAGS},
    ),
    "TaskBatch of a list of steps": Call(
        _with_step, {"x_support": X[0, :1], "y_support": X[0, :1]}
    ),
    "adapt to steps": Call(
        ff.adapt,
        {"net": NET, "theta": THETA, "x": X[:, None], "y": Y[:, None], "algorithm": ff.fomaml()},
    ),
    "adapt to steps with a custom loss": Call(
        ff.adapt,
        {"net": CUSTOM, "theta": THETA, "x": LISTS, "y": LISTS, "algorithm": ff.fomaml(steps=2)},
    ),
}
