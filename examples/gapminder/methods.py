"""The names of the methods, as the tables have them, and which are tested on what."""

from __future__ import annotations

from examples.gapminder.baselines import BASELINES
from examples.gapminder.settings import Settings

FOMAML, MAML = "FOMAML", "MAML"
POOLED, POOLED_TUNED = "pooled, same rate", "pooled, tuned rate"
#: Methods that adapt by gradient descent; the order is that of the tables.
NETWORKS = (FOMAML, MAML, POOLED, POOLED_TUNED)
HEAD, HEAD_VARIED = "Bayesian head", "Bayesian head, K varied"
#: Networks whose last layer is solved for.
HEADS = (HEAD, HEAD_VARIED)
#: The baseline whose error bars are shown beside the head's.
PROCESS = "Gaussian process"
METHODS = (*NETWORKS, *HEADS, *BASELINES)

FORECAST_FOMAML, FORECAST_MAML = "FOMAML, forecast-trained", "MAML, forecast-trained"
#: Meta-learners whose training tasks are forecasts too; they are tested on forecasts only.
FORECASTERS = (FORECAST_FOMAML, FORECAST_MAML)
FORECAST_HEAD = "Bayesian head, forecast-trained"

UNTRAINED = "untrained"


def large(method: str, settings: Settings) -> str:
    """Return the name of a method meta-trained at the large rate."""
    return f"{method}, α = {settings.large_rate:g}"


def networks_of(forecast: bool) -> tuple[str, ...]:
    """Return the names of the networks tested on forecasts, or on random supports."""
    return (*NETWORKS, *FORECASTERS) if forecast else NETWORKS


def heads_of(forecast: bool) -> tuple[str, ...]:
    """Return the names of the heads tested on forecasts, or on random supports."""
    return (*HEADS, FORECAST_HEAD) if forecast else HEADS


def groups_of(forecast: bool) -> tuple[tuple[str, ...], ...]:
    """Return the same in groups: by gradient descent, by heads, without a network."""
    return networks_of(forecast), heads_of(forecast), tuple(BASELINES)


def methods_of(forecast: bool) -> tuple[str, ...]:
    """Return the names of all methods tested on forecasts, or on random supports."""
    return tuple(method for group in groups_of(forecast) for method in group)
