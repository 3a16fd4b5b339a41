"""The one table of combinations that have no meaning: each raises ValueError.

`meaningless` says whether a point of the product space is in it, and `test_product_space.py` holds
the package to both directions: what is in the table raises, what is not in it computes.
`OUTSIDE` lists what the space does not draw.
``python tests/combinations.py`` prints the table in Markdown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import fomaml_fast as ff
from points import RATES, Point

#: Losses that are the mean over outputs of a loss of each.
AVERAGES_OUTPUTS = frozenset({"mse", "huber", "quantile", "binary_cross_entropy"})


class Meaningless(NamedTuple):
    """One line of the table: two choices that exclude each other, why, and when it applies."""

    choice: str
    excludes: str
    reason: str
    applies: Callable[[Point], bool]


def can_spread(given: str, learned: str) -> bool:
    """Whether rates of one kind say what those of another are."""
    coarser = {"scalar": RATES, "layer": ("step_layer", "parameter")}
    return given == learned or learned in coarser.get(given, ())


TABLE: tuple[Meaningless, ...] = (
    Meaningless(
        "`learn_rates`",
        "`gradient=Implicit(...)`",
        "the minimum of the inner problem does not depend on the rates that led to it",
        lambda p: bool(p.learn) and p.flow == "implicit",
    ),
    Meaningless(
        "`learn_rates`",
        '`gradient="reptile"`',
        "theta - theta_S is the derivative of no loss, so there is none over the rates",
        lambda p: bool(p.learn) and p.flow == "reptile",
    ),
    Meaningless(
        "`step_weights`",
        "`gradient=Implicit(...)`",
        "only the last point is taken as the minimum",
        lambda p: p.step_weights and p.flow == "implicit",
    ),
    Meaningless(
        "`step_weights`",
        '`gradient="reptile"`',
        "no query loss enters its gradient",
        lambda p: p.step_weights and p.flow == "reptile",
    ),
    Meaningless(
        "`inner.weight_decay`",
        "`gradient=Implicit(...)`",
        "decay moves the minimum away from that of the loss and the pull",
        lambda p: p.weight_decay != 0 and p.flow == "implicit",
    ),
    Meaningless(
        "`inner.decoupled_weight_decay`",
        "`gradient=Implicit(...)`",
        "decay moves the minimum away from that of the loss and the pull",
        lambda p: p.decoupled_weight_decay != 0 and p.flow == "implicit",
    ),
    Meaningless(
        "`inner.proximal`",
        "`gradient=Implicit(...)`",
        "the implicit flow brings the pull mu itself",
        lambda p: p.proximal != 0 and p.flow == "implicit",
    ),
    Meaningless(
        "`context`",
        "`adapt` other than `all`",
        "the context is the only thing that adapts",
        lambda p: p.context > 0 and p.adapt != "all",
    ),
    Meaningless(
        "`context`",
        '`gradient="reptile"`',
        "theta does not move, so theta - theta_S is 0",
        lambda p: p.context > 0 and p.flow == "reptile",
    ),
    Meaningless(
        "`context`",
        "`inner.lr` per layer, step and layer, or parameter",
        "the context belongs to no layer and is no parameter of the network",
        lambda p: p.context > 0 and p.rate != "scalar",
    ),
    Meaningless(
        "`context`",
        "`learn_rates` per layer, step and layer, or parameter",
        "the context belongs to no layer and is no parameter of the network",
        lambda p: p.context > 0 and p.learn in ("layer", "step_layer", "parameter"),
    ),
    Meaningless(
        "`learn_rates` of a named kind",
        "`inner.lr` of a kind that is not coarser",
        "one number can be spread over any shape, numbers per layer over steps and parameters",
        lambda p: isinstance(p.learn, str) and not can_spread(p.rate, p.learn),
    ),
    Meaningless(
        "support rows of their own at every step",
        "`gradient=Implicit(...)`",
        "the steps approach the minimum of no one loss",
        lambda p: p.stepped and p.flow == "implicit",
    ),
    Meaningless(
        "masks and weights of each output",
        "a loss that is no mean over outputs",
        "a softmax joins the outputs of a row: none of them has a loss of its own",
        lambda p: p.gaps and not AVERAGES_OUTPUTS.issuperset({p.loss, p.query_loss or p.loss}),
    ),
)


class Outside(NamedTuple):
    """A line about what the product space does not draw, with a call that falls under it."""

    choice: str
    excludes: str
    reason: str
    call: Callable[[], object]


def _custom(outputs: Any, targets: Any) -> Any:
    return outputs.sum(axis=(1, 2)), np.ones_like(outputs), np.zeros_like


def _meta_grad(hessian: bool = True, directions: Any = None, **options: Any) -> object:
    def fn(*both: Any) -> Any:
        return _custom(*both)[: 2 + hessian]

    norm = options.pop("norm", None)
    net = ff.MLP([2, 3, 1], "tanh", ff.losses.Custom(fn, directions), norm)
    rows = np.ones((1, 2, 2 - options.get("context", 0))), np.ones((1, 2, 1))
    inner = options.pop("inner", None)
    algorithm = ff.Algorithm(inner or ff.inner.SGD(0.1), 1 if inner else 2, **options)
    return ff.meta_grad(net, net.init(0, np.float64), ff.TaskBatch(*rows, *rows), algorithm)


def _head(inner: Any = None, **options: Any) -> object:
    return ff.Algorithm(inner or ff.inner.BayesianHead(), **options)


def _evaluate_learners(batches: int) -> object:
    net, rows = ff.MLP([2, 3, 1], "tanh"), (np.ones((1, 2, 2)), np.ones((1, 2, 1)))
    thetas = np.stack([net.init(seed, np.float64) for seed in range(batches)])
    given = [ff.TaskBatch(*rows, *rows)] * batches
    return ff.evaluate(net, thetas, given, ff.maml(0.1), metrics="rmse")


def _ensemble(noise: float) -> object:
    net, head = ff.MLP([2, 3, 1], "tanh"), _head(learn_rates=True)
    assert isinstance(head, ff.Algorithm)
    state = ff.init_state(net, head, ff.outer.Adam(), seed=range(2), dtype=np.float64)
    return ff.ensemble(net, state, np.ones((2, 2)), np.ones((2, 1)), head, noise=noise)


OUTSIDE: tuple[Outside, ...] = (
    Outside(
        "`inner.BayesianHead`",
        "`steps` other than 1, `step_weights`",
        "a head is solved for once",
        lambda: _head(steps=2),
    ),
    Outside(
        "`inner.BayesianHead`",
        "`adapt` of other layers, `context`",
        "the head is all that adapts",
        lambda: _head(adapt="body"),
    ),
    Outside(
        "`inner.BayesianHead`",
        '`gradient=Implicit(...)` or `"reptile"`',
        "these are gradients of steps",
        lambda: _head(gradient="reptile"),
    ),
    Outside(
        "`inner.BayesianHead`",
        "`learn_rates` of a named kind",
        "it has no rates: True learns the prior and the noise",
        lambda: _head(learn_rates="layer"),
    ),
    Outside(
        "`inner.BayesianHead`",
        "`losses.Custom` as the network's loss",
        "it plays no part in the solution: `query_loss` may be a custom one",
        lambda: _meta_grad(inner=ff.inner.BayesianHead()),
    ),
    Outside(
        "`query_loss='gaussian_nll'`",
        "every other `inner`",
        "it alone has a predictive distribution",
        lambda: _head(ff.inner.SGD(0.1), query_loss="gaussian_nll"),
    ),
    Outside(
        "`losses.Custom`",
        "`gradient=Implicit(...)`",
        "its conjugate gradients run in the core, which cannot call Python",
        lambda: _meta_grad(gradient=ff.Implicit(0.1)),
    ),
    Outside(
        "`losses.Custom`",
        "`context`",
        "the core alone adapts a context",
        lambda: _meta_grad(context=1),
    ),
    Outside(
        "`losses.Custom` without the product with its Hessian",
        '`gradient="exact"`',
        "the exact gradient is made of such products",
        lambda: _meta_grad(hessian=False, gradient="exact"),
    ),
    Outside(
        "many learners with a batch each",
        "`metrics` of `evaluate`",
        "they are of what the learners predict together, which is of the same rows",
        lambda: _evaluate_learners(batches=2),
    ),
    Outside(
        "`ensemble(..., noise=)`",
        "`inner.BayesianHead`",
        "each of its learners has a noise of its own",
        lambda: _ensemble(0.1),
    ),
    Outside(
        "jets, and losses on them",
        "`norm`",
        "what a row of a batch adds to another row's slope belongs to neither, and jets through "
        "layer normalisation are not written",
        lambda: _meta_grad(directions=[[1.0, 0.0]], norm="layer"),
    ),
)


def meaningless(point: Point) -> list[Meaningless]:
    """The lines of the table that a point falls under; none if it has a meaning."""
    return [line for line in TABLE if line.applies(point)]


def markdown() -> str:
    """The table as a page shows it."""
    lines = ["| this | excludes | because |", "|---|---|---|"]
    lines += [f"| {line.choice} | {line.excludes} | {line.reason} |" for line in (*TABLE, *OUTSIDE)]
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown())
