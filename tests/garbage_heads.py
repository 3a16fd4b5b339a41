"""Calls of heads in closed form; with those of `garbage_steps` they are all."""

import numpy as np

import fomaml_fast as ff
from garbage_calls import BATCH, MASK, NET, STATE, THETA, WEIGHTS, Call, X, Y
from garbage_steps import CALLS as OTHERS

HEAD = ff.alpaca("diagonal")
NUMBERS = HEAD.initial_rates(NET, np.float32)
HEAD_STATE = STATE._replace(rates=NUMBERS)
ROWS = {"x": X[0], "y": Y[0], "weights": WEIGHTS[0], "mask": MASK[0]}
KNOWN = ff.posterior(NET, HEAD_STATE, X[0], Y[0], HEAD)


def _posterior(theta, rates, x, y, weights, mask, algorithm):
    """`posterior` of a state of these fields."""
    state = HEAD_STATE._replace(theta=theta, rates=rates)
    return ff.posterior(NET, state, x, y, algorithm, weights=weights, mask=mask).theta


def _updated(**arguments):
    """`Posterior.update` of one that is nobody else's."""
    return ff.posterior(NET, HEAD_STATE, X[0], Y[0], HEAD).update(**arguments).theta


CALLS: dict[str, Call] = {
    **OTHERS,
    "alpaca": Call(ff.alpaca, {"prior": "full", "noise": 0.3, "prior_variance": 1.0}),
    "r2d2": Call(ff.r2d2, {"prior_variance": 1.0, "score_scale": 1.0}),
    "inner.BayesianHead": Call(
        ff.inner.BayesianHead,
        {
            "prior": "full",
            "noise": 0.3,
            "prior_variance": 1.0,
            "prior_mean": "theta",
            "score_scale": 1.0,
        },
    ),
    "meta_grad of a head": Call(
        ff.meta_grad,
        {"net": NET, "theta": THETA, "batch": BATCH, "algorithm": HEAD, "rates": NUMBERS},
    ),
    "adapt of a head": Call(
        ff.adapt,
        {
            "net": NET,
            "theta": THETA,
            "x": X,
            "y": Y,
            "algorithm": HEAD,
            "weights": WEIGHTS,
            "rates": NUMBERS,
            "steps": 1,
            "trace": True,
        },
    ),
    "evaluate of a head": Call(
        ff.evaluate,
        {"net": NET, "theta": THETA, "batch": BATCH, "algorithm": HEAD, "rates": NUMBERS},
    ),
    "posterior": Call(_posterior, {"theta": THETA, "rates": NUMBERS, **ROWS, "algorithm": HEAD}),
    "posterior of a state": Call(
        ff.posterior, {"net": NET, "state": HEAD_STATE, **ROWS, "algorithm": HEAD}
    ),
    "Posterior.predict": Call(KNOWN.predict, {"x": X[0], "return_std": True}),
    "Posterior.update": Call(_updated, {**ROWS, "forget": 0.9}),
    "Posterior.copy": Call(KNOWN.copy, {}),
    "Posterior.sample": Call(KNOWN.sample, {"n": 2, "rng": 0}),
    "Posterior.log_prob": Call(KNOWN.log_prob, {"x": X[0], "y": Y[0]}),
}
