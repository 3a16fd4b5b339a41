"""Heads in closed form: adaptation that solves for the last layer instead of descending."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from fomaml_fast._arrays import as_number, one_of

Prior = Literal["scalar", "diagonal", "full"]
PRIORS: tuple[Prior, ...] = ("scalar", "diagonal", "full")
PriorMean = Literal["theta", "zero"]
PRIOR_MEANS: tuple[PriorMean, ...] = ("theta", "zero")


@dataclass(frozen=True, repr=False)
class BayesianHead:
    """Bayesian linear regression on the last hidden layer's outputs.

    The features of a row are those outputs with a 1 behind them, ``phi [m]``. A task is
    ``y_j = phi w_j + noise`` of variance ``s_j^2 / c``, c the row's weight, with the prior
    ``w_j ~ N(w0_j, s_j^2 V)``. w0 is theta's last layer. Adaptation replaces the layer by the
    posterior mean of w: ridge regression, where V is a multiple of the identity. V and the noise s
    are learned beside theta, as inner rates are: in ``State.rates``.

    Parameters
    ----------
    prior : {"full", "diagonal", "scalar"}, default "full"
        Shape of V.
    noise : float, default 0.3
        s of a fresh state, above 0, in the targets' units.
    prior_variance : float, default 1
        V of a fresh state is this, above 0, times the identity.
    prior_mean : {"theta", "zero"}, default "theta"
        "zero" takes w0 = 0 whatever theta's last layer is (R2-D2).
    score_scale : float or None, default None
        For classes: outputs are ``a (phi w) + b`` of a ridge regression on one-hot rows. a starts
        at this number, b at 0, and both are learned (R2-D2). None: outputs are the regression
        itself.

    Raises
    ------
    ValueError, TypeError
        For anything out of range, naming the argument.

    Notes
    -----
    Where ``state.rates`` holds what was learned, its numbers are, in this order: R of ``V = R R'``
    (its logarithm; m logarithms; or the lower triangle row by row, the diagonal's being
    logarithms), ``log s`` of every output, and a and b.

    Examples
    --------
    >>> BayesianHead(noise=0.1)
    BayesianHead(prior='full', noise=0.1)
    """

    prior: Prior = "full"
    noise: float = 0.3
    prior_variance: float = 1.0
    prior_mean: PriorMean = "theta"
    score_scale: float | None = None

    def __post_init__(self) -> None:
        one_of(self.prior, "prior", PRIORS)
        one_of(self.prior_mean, "prior_mean", PRIOR_MEANS)
        for name in ("noise", "prior_variance"):
            self._check_positive(name)
        if self.score_scale is not None:
            self._check_positive("score_scale")

    def _check_positive(self, name: str) -> None:
        value = as_number(getattr(self, name), name, least=0)
        if value == 0:
            raise ValueError(f"{name} must be above 0, got 0")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """The prior, and whatever is not at its default."""
        shown = [
            f"{f.name}={getattr(self, f.name)!r}"
            for f in fields(self)
            if f.name == "prior" or getattr(self, f.name) != f.default
        ]
        return f"BayesianHead({', '.join(shown)})"

    def _for_core(self, predictive: bool) -> dict[str, Any]:
        return {
            "prior": self.prior,
            "noise": self.noise,
            "prior_variance": self.prior_variance,
            "score_scale": self.score_scale or 0.0,
            "zero_mean": self.prior_mean == "zero",
            "predictive": predictive,
        }
