"""Losses: what a row's output and target cost. Definitions in the core, one file each.

`MLP` takes a name, or one of these objects where a loss has a parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from fomaml_fast._arrays import as_count
from fomaml_fast._convert import as_array
from fomaml_fast._loader import core
from fomaml_fast._registry import Family, Spec, defaults, names_arguments
from fomaml_fast._shown import shown

#: The names, for type checkers.
LossName = Literal[
    "mse", "cross_entropy", "soft_cross_entropy", "binary_cross_entropy", "huber", "quantile"
]

_DEFAULTS = defaults("losses")


@dataclass(frozen=True, repr=False)
class Loss(Spec):
    """Base of all losses; not one itself."""

    _family: ClassVar[str] = "losses"

    @property
    def _facts(self) -> dict[str, Any]:
        """What the core says of it; nothing of a loss that it does not know."""
        return dict(core.facts["losses"].get(self.name, {}))

    @property
    def takes_labels(self) -> bool:
        """Whether targets are class indices (one a row) rather than numbers (one an output)."""
        return bool(self._facts.get("targets") == "labels")

    @property
    def takes_probabilities(self) -> bool:
        """Whether targets may be rows of probabilities, and so must not be below 0."""
        stands_in = self._facts.get("of_numbers") or self.name
        of_numbers = core.facts["losses"].get(stands_in, {})
        return bool(of_numbers.get("targets") == "probabilities")

    @property
    def masks_classes(self) -> bool:
        """Whether tasks may lack some of the classes (``class_mask``)."""
        return bool(self._facts.get("masks_classes", False))

    @property
    def averages_outputs(self) -> bool:
        """Whether it is a mean over outputs, each of which may have a mask and a weight."""
        return bool(self._facts.get("averages_outputs", False))

    @property
    def logits(self) -> bool:
        """Whether outputs are log-odds, above 0 where the target is more likely 1 than 0."""
        return bool(self._facts.get("logits", False))


@names_arguments
@dataclass(frozen=True, repr=False)
class MSE(Loss):
    """Mean over rows and outputs of ``(o - y)**2``, without a half.

    Examples
    --------
    >>> MSE().takes_labels
    False
    """

    name: ClassVar[str] = "mse"


@names_arguments
@dataclass(frozen=True, repr=False)
class CrossEntropy(Loss):
    """Mean over rows of ``-log softmax(o)[y]`` for integer labels ``y``.

    Targets may also be rows of probabilities ``p``, floats ``[n, n_L]``: the loss of a row is then
    ``-sum(p * log softmax(o))``. They need not sum to 1, but must be finite and not negative.

    Examples
    --------
    >>> CrossEntropy().takes_labels
    True
    """

    name: ClassVar[str] = "cross_entropy"


@names_arguments
@dataclass(frozen=True, repr=False)
class SoftCrossEntropy(Loss):
    """`CrossEntropy` of rows of probabilities only.

    Examples
    --------
    >>> SoftCrossEntropy().takes_labels
    False
    """

    name: ClassVar[str] = "soft_cross_entropy"


@names_arguments
@dataclass(frozen=True, repr=False)
class BinaryCrossEntropy(Loss):
    """Mean over rows and outputs of ``-y log s - (1 - y) log(1 - s)``, ``s = 1 / (1 + exp(-o))``.

    Outputs are logits; targets are floats, usually between 0 and 1.

    Examples
    --------
    >>> BinaryCrossEntropy().takes_labels
    False
    """

    name: ClassVar[str] = "binary_cross_entropy"


@names_arguments
@dataclass(frozen=True, repr=False)
class Huber(Loss):
    """Mean over rows and outputs of ``e**2 / 2`` where ``|e| <= delta``, else linear in ``|e|``.

    Parameters
    ----------
    delta : float, default 1.0
        Where the parabola of ``e = o - y`` goes over into ``delta * (|e| - delta / 2)``.

    Raises
    ------
    ValueError, TypeError
        If delta is not a positive number.

    Examples
    --------
    >>> Huber(0.5)
    Huber(delta=0.5)
    """

    name: ClassVar[str] = "huber"
    delta: float = _DEFAULTS["huber"]["delta"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.delta <= 0:
            raise ValueError(f"delta must be above 0, got {self.delta}")


@names_arguments
@dataclass(frozen=True, repr=False)
class Quantile(Loss):
    """Pinball loss: mean over rows and outputs of ``max(tau * e, (tau - 1) * e)``, ``e = y - o``.

    Parameters
    ----------
    tau : float, default 0.5
        The quantile that the outputs estimate, between 0 and 1.

    Raises
    ------
    ValueError, TypeError
        If tau is not a number between 0 and 1.

    Notes
    -----
    The gradient at ``e = 0`` is 0. The Hessian on the outputs is 0, but that over theta is not.

    Examples
    --------
    >>> Quantile(0.9)
    Quantile(tau=0.9)
    """

    name: ClassVar[str] = "quantile"
    tau: float = _DEFAULTS["quantile"]["tau"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.tau < 1:
            raise ValueError(f"tau must be between 0 and 1, got {self.tau}")


@names_arguments
@dataclass(frozen=True, repr=False)
class Custom(Loss):
    """A loss written in Python.

    Parameters
    ----------
    fn : callable
        ``fn(outputs, targets)`` of the outputs ``[T, n, n_L]`` of tasks and of their targets as
        they were given, ``[T, n, ...]``. Returns the losses ``[T]``, each with its mean over rows
        if it has one, their gradient on the outputs ``[T, n, n_L]`` and, where second derivatives
        are wanted, a third item: a function that multiplies the Hessian on the outputs with a
        ``v [T, n, n_L]``. Ragged tasks come one at a time. It is called by the thread that
        called the library: once a call of `MLP`'s `loss`, `value_and_grad`, `hvp` or `gnvp`, once
        for each inner step of all tasks elsewhere. Exact meta-gradients need the third item.
        Implicit gradients and context parameters are not available.
    directions : array or None, default None
        ``[D, n_0]``: `fn` is then a function of jets, ``fn(jet, targets)``. It gets a `Jet` of the
        outputs and their derivatives along these directions of the inputs (see `MLP.jet`), and
        returns its gradient as a `Jet` of the same shapes; the third item takes and returns one.
        The network must have no normalisation.
    order : {1, 2} or None, default None
        Of the jets' highest derivative; None is 2.

    Raises
    ------
    ValueError, TypeError
        If `fn` cannot be called; if directions are no finite numbers ``[D, n_0]``, or order is
        neither 1 nor 2.

    Examples
    --------
    >>> import numpy as np
    >>> from fomaml_fast import MLP
    >>> def absolute(outputs, targets):
    ...     error = outputs - targets
    ...     return abs(error).mean(axis=(1, 2)), np.sign(error) / error[0].size
    >>> net = MLP([1, 1], loss=Custom(absolute))
    >>> net.value_and_grad(np.array([2.0, 0.0]), [[3.0]], [[5.0]])
    (1.0, array([3., 1.]))

    Decay, ``u' = -u``, without any target:

    >>> from fomaml_fast import Jet
    >>> def residual(jet, targets):
    ...     r = jet.first[..., 0, :] + jet.value
    ...     slope = 2 * r / r[0].size
    ...     return (r**2).mean(axis=(1, 2)), Jet(slope, slope[..., None, :])
    >>> net = MLP([1, 1], loss=Custom(residual, directions=[[1.0]], order=1))
    >>> net.value_and_grad(np.array([2.0, 0.0]), [[3.0]], [[0.0]])
    (64.0, array([64., 16.]))
    """

    fn: Callable[[Any, Any], Any]
    directions: Any = None  #: a tuple of tuples of numbers
    order: int | None = None
    name: ClassVar[str] = "custom"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.fn):
            raise TypeError(f"fn must be callable, got {shown(self.fn)}")
        if self.directions is None:
            if self.order is not None:
                raise ValueError(
                    f"order is that of jets: give directions too, got {shown(self.order)}"
                )
            return
        object.__setattr__(self, "directions", _as_directions(self.directions))
        order = 2 if self.order is None else as_count(self.order, "order", least=1)
        if order > 2:
            raise ValueError(f"order must be 1 or 2, got {order}")
        object.__setattr__(self, "order", order)

    def __eq__(self, other: object) -> bool:
        """Whether the functions are the same; those that cannot be compared are not."""
        if not isinstance(other, Custom):
            return NotImplemented
        if (self.directions, self.order) != (other.directions, other.order):
            return False
        try:
            return self.fn is other.fn or bool(self.fn == other.fn)
        except Exception:  # fields that are arrays, whatever else a function's own == raises
            return False

    def __hash__(self) -> int:
        """Equal for equal functions, also where these have no hash of their own."""
        return hash((type(self), type(self.fn)))


def _as_directions(value: Any) -> tuple[tuple[float, ...], ...]:
    """Directions of any dtype: that of theta is not known yet."""
    array = as_array(value, "directions")
    if array.dtype.kind not in "fiu":
        raise TypeError(f"directions must hold real numbers, got {array.dtype}")
    if array.ndim != 2 or array.size == 0:
        raise ValueError(
            "directions must have shape [directions, inputs] with at least one direction, got "
            f"{list(array.shape)}"
        )
    if not np.isfinite(array).all():
        raise ValueError("directions must be finite")
    return tuple(map(tuple, array.astype(np.float64).tolist()))


@dataclass(frozen=True, repr=False)
class GaussianNLL(Loss):
    """Negative log-likelihood of the predictive distribution of a head in closed form.

    ``((y - mean)^2 / variance + log variance + log 2 pi) / 2``, the mean over outputs. Only an
    algorithm with ``inner.BayesianHead`` has such a distribution: as its ``query_loss``.

    Examples
    --------
    >>> GaussianNLL()
    GaussianNLL()
    """

    name: ClassVar[str] = "gaussian_nll"


_FAMILY = Family(
    Loss, (MSE, CrossEntropy, SoftCrossEntropy, BinaryCrossEntropy, Huber, Quantile), "loss"
)


def names() -> tuple[str, ...]:
    """Names accepted by `MLP`, in registry order.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> names()[:2]
    ('mse', 'cross_entropy')
    """
    return _FAMILY.names


def get(loss: LossName | Loss, name: str = "loss") -> Loss:
    """Return the loss of a name, or the object itself.

    Parameters
    ----------
    loss : str or Loss
        A registered name, or an object of this module.
    name : str, default "loss"
        What errors call it.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError, TypeError
        For an unknown name, or anything else.

    Examples
    --------
    >>> get("mse")
    MSE()
    """
    if callable(loss) and not isinstance(loss, type | Loss):
        raise TypeError(f"{name} must be wrapped if it is a function: losses.Custom({shown(loss)})")
    if isinstance(loss, GaussianNLL):
        raise ValueError(
            f"{name} must be of outputs alone: gaussian_nll is a query_loss of algorithms with "
            "inner.BayesianHead"
        )
    return _FAMILY.get(loss, name)
