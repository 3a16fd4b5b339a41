"""The one table of combinations that have no meaning: each raises ValueError.

`meaningless` says whether a point of the product space is in it, and `test_product_space.py` holds
the package to both directions: what is in the table raises, what is not in it computes.
``python tests/combinations.py`` prints the table in Markdown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

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
        "masks and weights of each output",
        "a loss that is no mean over outputs",
        "a softmax joins the outputs of a row: none of them has a loss of its own",
        lambda p: p.gaps and not AVERAGES_OUTPUTS.issuperset({p.loss, p.query_loss or p.loss}),
    ),
)


def meaningless(point: Point) -> list[Meaningless]:
    """The lines of the table that a point falls under; none if it has a meaning."""
    return [line for line in TABLE if line.applies(point)]


def markdown() -> str:
    """The table as a page shows it."""
    lines = ["| this | excludes | because |", "|---|---|---|"]
    lines += [f"| {line.choice} | {line.excludes} | {line.reason} |" for line in TABLE]
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown())
