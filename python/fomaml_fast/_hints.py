"""Questions that a result deserves: warnings, said once a place."""

from __future__ import annotations

import warnings

#: From this loss on, data that were not scaled are likelier than data that are hard.
SUSPICIOUS_LOSS = 1e6


def question_loss(loss: float) -> None:
    """Warn of a loss that unscaled data explain best."""
    warnings.warn(
        f"the query loss is {loss:.3g}: standardise inputs and targets, so that rates of usual "
        "size can adapt",
        UserWarning,
        stacklevel=3,
    )


def question_rates(learns: bool, rates: object) -> None:
    """Warn where an algorithm that learns rates is used without them."""
    if learns and rates is None:
        warnings.warn(
            "the algorithm learns its rates, but none are given, so that those of its start are "
            "used: pass rates=state.rates",
            UserWarning,
            stacklevel=3,
        )
