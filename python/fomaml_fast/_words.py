"""What somebody meant who wrote a name that does not exist."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

#: What other libraries call an argument, and what it is called here.
ELSEWHERE = {
    "learning_rate": "lr",
    "step_size": "lr",
    "rate": "lr",
    "alpha": "lr",
    "epsilon": "eps",
    "beta1": "betas",
    "beta2": "betas",
    "beta_1": "betas",
    "beta_2": "betas",
    "b1": "betas",
    "b2": "betas",
    "rho": "alpha",
    "slope": "negative_slope",
    "quantile": "tau",
    "max_norm": "clip_norm",
    "max_grad_norm": "clip_norm",
    "l2": "weight_decay",
}


def _plain(word: str) -> str:
    return "".join(letter for letter in word.lower() if letter.isalnum())


def nearest(word: Any, known: Iterable[Any]) -> str | None:
    """Return the known name that `word` was most likely meant to be, if any."""
    if not isinstance(word, str):
        return None
    names = {_plain(name): name for name in known if isinstance(name, str)}
    close = get_close_matches(_plain(word), names, n=1, cutoff=0.75)
    return names[close[0]] if close else None


def did_you_mean(word: Any, known: Iterable[Any]) -> str:
    """Return the end of a message: a question, or nothing where no name is near."""
    name = nearest(word, known)
    return "" if name is None else f"; did you mean {name!r}?"


def renamed(argument: str, known: tuple[str, ...]) -> str:
    """Return the same for the name of an argument, which others call differently."""
    here = ELSEWHERE.get(argument)
    name = here if here in known else nearest(argument, known)
    return "" if name is None else f"; did you mean {name}?"
