"""Calls of many learners; with those of `garbage_heads` they are all."""

import numpy as np

import fomaml_fast as ff
from garbage_calls import ADAM, BATCH, CUSTOM, MASK, META, META_SGD, NET, RUN, WEIGHTS, Call, X, Y
from garbage_heads import CALLS as OTHERS

STATES = ff.init_state(NET, META_SGD, ADAM, seed=[0, 1])
TOGETHER = ff.ensemble(NET, STATES, X[0], Y[0], META_SGD, noise=0.1)
TIME = np.array([1, 2])


def _stepped(theta, rates, moments, step, batch, algorithm):
    """`meta_step` of a state of these fields."""
    state = ff.State(theta, rates, moments, step)
    return ff.meta_step(NET, state, batch, algorithm, ADAM)


LEARNERS = {"theta": STATES.theta, "algorithm": META_SGD, "rates": STATES.rates}

CALLS: dict[str, Call] = {
    **OTHERS,
    "init_state of learners": Call(
        ff.init_state, {"net": NET, "algorithm": META_SGD, "outer": ADAM, "seed": [0, 1]}
    ),
    "init_state of learners' thetas": Call(
        ff.init_state,
        {"net": NET, "algorithm": [META_SGD, META_SGD], "outer": ADAM, "theta": STATES.theta},
    ),
    "meta_step of learners": Call(
        ff.meta_step,
        {
            "net": NET,
            "state": STATES,
            "batch": [BATCH, BATCH],
            "algorithm": [META_SGD, META_SGD],
            "outer": ADAM,
            **META,
        },
    ),
    "meta_step of learners with a custom loss": Call(
        ff.meta_step,
        {
            "net": CUSTOM,
            "state": STATES,
            "batch": BATCH,
            "algorithm": META_SGD,
            "outer": ADAM,
            **META,
        },
    ),
    "State of learners": Call(
        _stepped,
        {**STATES._replace(step=TIME)._asdict(), "batch": BATCH, "algorithm": META_SGD},
    ),
    "State.stack": Call(ff.State.stack, {"states": [STATES.learner(0), STATES.learner(1)]}),
    "State.learner": Call(STATES.learner, {"index": 1}),
    "meta_grad of learners": Call(
        ff.meta_grad, {"net": NET, "batch": BATCH, **LEARNERS, "per_task": True, **META}
    ),
    "adapt of learners": Call(
        ff.adapt,
        {
            "net": NET,
            "x": X,
            "y": Y,
            **LEARNERS,
            "theta": STATES.theta[:, None],
            "steps": 2,
            "weights": WEIGHTS,
            "mask": MASK,
            "trace": False,
            **RUN,
            "on_divergence": "mask",
        },
    ),
    "evaluate of learners": Call(
        ff.evaluate,
        {
            "net": NET,
            "batch": BATCH,
            **LEARNERS,
            "steps": (0, 2),
            **RUN,
            "on_divergence": "mask",
            "metrics": ("mae", "nll"),
        },
    ),
    "ensemble": Call(
        ff.ensemble,
        {
            "net": NET,
            "state": STATES,
            "x": X,
            "y": Y,
            "algorithm": META_SGD,
            "steps": 1,
            "weights": WEIGHTS,
            "mask": MASK,
            "class_mask": None,
            "noise": 0.1,
            "threads": 1,
        },
    ),
    "Ensemble.predict": Call(TOGETHER.predict, {"x": X[0], "return_std": True, "threads": 1}),
    "Ensemble.log_prob": Call(TOGETHER.log_prob, {"x": X[0], "y": Y[0]}, ("y",)),
}
