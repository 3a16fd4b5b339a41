"""Named points of the space of algorithms, each with its paper."""

from __future__ import annotations

from typing import Any

from fomaml_fast._arrays import as_count
from fomaml_fast.algorithm import Algorithm, Implicit
from fomaml_fast.heads import BayesianHead, Prior
from fomaml_fast.inner import SGD
from fomaml_fast.losses import GaussianNLL


def maml(lr: Any = 0.01, steps: int = 1) -> Algorithm:
    """MAML with its exact meta-gradient (Finn, Abbeel & Levine 2017).

    Parameters
    ----------
    lr : float or array, default 0.01
        Inner learning rate.
    steps : int, default 1
        Inner steps.

    Returns
    -------
    Algorithm

    Examples
    --------
    >>> maml(steps=5).gradient
    'exact'
    """
    return Algorithm(SGD(lr), steps=steps, gradient="exact")


def fomaml(lr: Any = 0.01, steps: int = 1) -> Algorithm:
    """First-order MAML (Finn, Abbeel & Levine 2017, section 5.2).

    Parameters
    ----------
    lr, steps
        As in `maml`.

    Returns
    -------
    Algorithm

    Examples
    --------
    >>> fomaml().gradient
    'first'
    """
    return Algorithm(SGD(lr), steps=steps, gradient="first")


def anil(lr: Any = 0.01, steps: int = 1, gradient: str | Implicit = "exact") -> Algorithm:
    """ANIL, almost no inner loop: only the last layer adapts (Raghu et al. 2020).

    Parameters
    ----------
    lr, steps
        As in `maml`.
    gradient : str or Implicit, default "exact"
        As in `Algorithm`.

    Returns
    -------
    Algorithm

    Examples
    --------
    >>> anil().adapt
    'head'
    """
    return Algorithm(SGD(lr), steps=steps, adapt="head", gradient=gradient)


def boil(lr: Any = 0.01, steps: int = 1, gradient: str | Implicit = "exact") -> Algorithm:
    """BOIL, body only in the inner loop: all but the last layer adapt (Oh et al. 2021).

    Parameters
    ----------
    lr, steps, gradient
        As in `anil`.

    Returns
    -------
    Algorithm

    Examples
    --------
    >>> boil().adapt
    'body'
    """
    return Algorithm(SGD(lr), steps=steps, adapt="body", gradient=gradient)


def meta_sgd(lr: Any = 0.01, steps: int = 1, gradient: str = "exact") -> Algorithm:
    """Meta-SGD: the rate of every parameter is learned (Li, Zhou, Chen & Li 2017).

    Parameters
    ----------
    lr : float or array, default 0.01
        Rates that learning starts from.
    steps : int, default 1
        Inner steps.
    gradient : str, default "exact"
        "first" or "exact".

    Returns
    -------
    Algorithm

    Examples
    --------
    >>> meta_sgd().learn_rates
    'parameter'
    """
    return Algorithm(SGD(lr), steps=steps, gradient=gradient, learn_rates="parameter")


def mamlpp(lr: Any = 0.01, steps: int = 5, gradient: str = "exact") -> Algorithm:
    """MAML++: a loss after every step, a learned rate per step and layer (Antoniou et al. 2019).

    The weights of the steps are equal here; `schedules.multi_step_weights` anneals them over
    training, `schedules.derivative_order` starts it with first order.

    Parameters
    ----------
    lr : float or array, default 0.01
        Rates that learning starts from.
    steps : int, default 5
        Inner steps, at least 1.
    gradient : str, default "exact"
        "first" or "exact".

    Returns
    -------
    Algorithm

    Examples
    --------
    >>> mamlpp(steps=4).step_weights
    (0.25, 0.25, 0.25, 0.25)
    """
    count = as_count(steps, "steps", least=1)
    return Algorithm(
        SGD(lr),
        steps=count,
        gradient=gradient,
        step_weights=(1 / count,) * count,
        learn_rates="step_layer",
    )


def cavia(lr: float = 1.0, steps: int = 1, context: int = 5, gradient: str = "exact") -> Algorithm:
    """CAVIA: only context parameters, extra inputs, adapt (Zintgraf et al. 2019).

    Parameters
    ----------
    lr : float, default 1
        Inner learning rate.
    steps : int, default 1
        Inner steps.
    context : int, default 5
        Context parameters; the network has that many inputs more than the data.
    gradient : str, default "exact"
        "first" or "exact".

    Returns
    -------
    Algorithm

    Examples
    --------
    >>> cavia(context=3).context
    3
    """
    return Algorithm(
        SGD(lr), steps=steps, gradient=gradient, context=as_count(context, "context", least=1)
    )


def reptile(lr: Any = 0.01, steps: int = 5) -> Algorithm:
    """Reptile: move the initialisation towards the adapted parameters (Nichol et al. 2018).

    Parameters
    ----------
    lr : float or array, default 0.01
        Inner learning rate.
    steps : int, default 5
        Inner steps; with one, this is joint training.

    Returns
    -------
    Algorithm

    Examples
    --------
    >>> reptile().gradient
    'reptile'
    """
    return Algorithm(SGD(lr), steps=steps, gradient="reptile")


def imaml(
    lr: Any = 0.01, steps: int = 10, mu: float = 1.0, tol: float = 1e-6, max_iter: int = 20
) -> Algorithm:
    """Implicit MAML (Rajeswaran, Finn, Kakade & Levine 2019).

    Parameters
    ----------
    lr : float or array, default 0.01
        Inner learning rate.
    steps : int, default 10
        Inner steps; enough of them to come near the stationary point.
    mu, tol, max_iter
        As in `Implicit`.

    Returns
    -------
    Algorithm

    Examples
    --------
    >>> imaml(mu=2.0).gradient
    Implicit(mu=2.0, tol=1e-06, max_iter=20)
    """
    return Algorithm(SGD(lr), steps=steps, gradient=Implicit(mu, tol, max_iter))


def alpaca(prior: Prior = "full", noise: float = 0.3, prior_variance: float = 1.0) -> Algorithm:
    """ALPaCA: Bayesian regression on learned features (Harrison, Sharma & Pavone 2018).

    The prior is learned by the likelihood of the query set, the noise too (as in deep kernel
    transfer, Patacchiola et al. 2020).

    Parameters
    ----------
    prior, noise, prior_variance
        As in `inner.BayesianHead`.

    Returns
    -------
    Algorithm

    Examples
    --------
    >>> alpaca().query_loss
    GaussianNLL()
    """
    return Algorithm(
        BayesianHead(prior, noise, prior_variance),
        gradient="exact",
        query_loss=GaussianNLL(),
        learn_rates=True,
    )


def r2d2(prior_variance: float = 1.0, score_scale: float | None = 1.0) -> Algorithm:
    """R2-D2: ridge regression on learned features (Bertinetto et al. 2019).

    Parameters
    ----------
    prior_variance : float, default 1
        That learning starts from; the ridge is 1 over it.
    score_scale : float or None, default 1
        For classes: what the scale of the outputs starts at. None: outputs are numbers.

    Returns
    -------
    Algorithm

    Examples
    --------
    >>> r2d2().inner
    BayesianHead(prior='scalar', prior_mean='zero', score_scale=1.0)
    """
    return Algorithm(
        BayesianHead(
            "scalar", prior_variance=prior_variance, prior_mean="zero", score_scale=score_scale
        ),
        gradient="exact",
        learn_rates=True,
    )


#: Every preset by name.
PRESETS = {
    f.__name__: f
    for f in (maml, fomaml, anil, boil, meta_sgd, mamlpp, cavia, reptile, imaml, alpaca, r2d2)
}
