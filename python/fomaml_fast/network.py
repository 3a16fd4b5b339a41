"""The network: a small multilayer perceptron over one flat parameter vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fomaml_fast import losses as _losses
from fomaml_fast._arrays import FloatArray, as_seed, float_dtype, one_of
from fomaml_fast._custom import CustomEvaluation
from fomaml_fast._layers import (
    NormName,
    OneActivation,
    as_activations,
    as_norms,
    as_sizes,
    as_vectors,
    join,
    part_shapes,
    split,
)
from fomaml_fast._loader import core
from fomaml_fast.activations import get as get_activation
from fomaml_fast.derivatives import Derivatives
from fomaml_fast.initialization import SCHEMES, Place, draw_weights
from fomaml_fast.input_derivatives import InputDerivatives


@dataclass(frozen=True, init=False)
class MLP(Derivatives, InputDerivatives):
    """A multilayer perceptron and its loss; the last layer is linear.

    Parameters
    ----------
    sizes : sequence of int
        Units ``n_0, n_1, ..., n_L``: inputs, hidden layers, outputs.
    activation : str, activations.Activation or sequence of them, default "relu"
        Of all hidden layers, or one for each; see `activations.names`.
    loss : str or losses.Loss, default "mse"
        See `losses.names`.
    norm : None, "layer", "batch" or a sequence of them, default None
        Normalisation between the affine map and the activation, of all hidden layers or one for
        each: over the units of each row ("layer"), or for each unit over the rows of the set
        ("batch": support and query rows each by themselves, no running averages). The variance is
        the biased one, and 1e-5 is added to it.

    Raises
    ------
    ValueError, TypeError
        For anything out of range, naming the argument.

    Notes
    -----
    All parameters are one flat vector theta of P numbers: for each layer the weights W
    ``[n_in, n_out]`` in row-major order, then the biases b, then, where the layer is normalised,
    the gains gamma and the shifts beta.

    Examples
    --------
    >>> net = MLP([1, 40, 40, 1])
    >>> net.n_params
    1761
    >>> theta = net.init(seed=0)
    >>> net.predict(theta, [[0.5], [1.0]]).shape
    (2, 1)
    """

    sizes: tuple[int, ...]
    activations: tuple[OneActivation, ...]  #: names where all options are at their defaults
    loss_spec: _losses.Loss
    norms: tuple[NormName | None, ...]

    def __init__(
        self,
        sizes: Sequence[int],
        activation: OneActivation | Sequence[OneActivation] = "relu",
        loss: _losses.LossName | _losses.Loss = "mse",
        norm: NormName | Sequence[NormName | None] | None = None,
    ) -> None:
        units = as_sizes(sizes)
        object.__setattr__(self, "sizes", units)
        object.__setattr__(self, "activations", as_activations(activation, units))
        object.__setattr__(self, "loss_spec", _losses.get(loss))
        object.__setattr__(self, "norms", as_norms(norm, units))

    @cached_property
    def _core(self) -> Any:
        custom = self._has_custom_loss
        spec = _losses.MSE() if custom else self.loss_spec
        norms: list[str] = [norm or "none" for norm in self.norms]
        activations = [(a.name, list(a.options)) for a in map(get_activation, self.activations)]
        loss = (spec.name, list(spec.options))
        return core.Network(list(self.sizes), activations, norms, loss, not custom)

    @cached_property
    def _has_custom_loss(self) -> bool:
        """Whether Python computes the loss: then the core takes targets for the caller's own."""
        return isinstance(self.loss_spec, _losses.Custom)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k in self.__dataclass_fields__}

    def __repr__(self) -> str:
        def one_or_all(items: tuple[Any, ...]) -> str:
            return repr(items[0] if len(set(items)) == 1 else list(items))

        norm = f", norm={one_or_all(self.norms)}" if any(self.norms) else ""
        return (
            f"MLP({list(self.sizes)}, activation={one_or_all(self.activations)}, "
            f"loss={self.loss_spec}{norm})"
        )

    @cached_property
    def n_params(self) -> int:
        """Length P of the flat parameter vector."""
        return int(self._core.n_params)

    @cached_property
    def layer_params(self) -> tuple[int, ...]:
        """Number of parameters of each layer."""
        starts = [*self._core.weight_offsets, self.n_params]
        return tuple(end - start for start, end in pairwise(starts))

    def init(
        self,
        seed: int | np.random.Generator,
        dtype: npt.DTypeLike = np.float32,
        scheme: str | None = None,
    ) -> FloatArray:
        """Draw initial parameters; biases and shifts are 0, gains are 1.

        Parameters
        ----------
        seed : int or numpy.random.Generator
            Same seed, same parameters (drawn in float64, then rounded).
        dtype : dtype, default float32
            float32 or float64.
        scheme : str or None, default None
            None takes the standard scheme of each layer's activation: "he_normal" for relu and its
            relatives, "glorot_uniform" for tanh and sigmoid, "lecun_normal" elsewhere. A
            name takes that scheme for all layers; "maml" is the truncated normal (sigma 0.01) of
            the MAML paper's public code. "siren" is for networks of `activations.Sin` alone
            (Sitzmann et al. 2020, section 3.2): weights of the first layer are uniform within
            ``1 / n``, others within ``sqrt(6 / n) / frequency``, n the inputs of the layer; the
            last layer has the frequency of the one before. The paper's public code also draws
            biases, within ``1 / sqrt(n)``; here biases are 0, as its derivation has them.

        Returns
        -------
        numpy.ndarray
            Theta ``[P]``.

        Raises
        ------
        ValueError, TypeError
            For an unknown scheme, dtype or seed, or "siren" where a hidden layer is not sin.

        Examples
        --------
        >>> MLP([2, 3, 1]).init(0, scheme="maml").shape
        (13,)
        """
        wanted = float_dtype(dtype)
        if scheme is not None:
            one_of(scheme, "scheme", tuple(SCHEMES))
        if not isinstance(seed, np.random.Generator):
            seed = np.random.default_rng(as_seed(seed))
        theta = np.zeros(self.n_params)
        before = [get_activation(of) for of in (*self.activations, "identity")]  # last: linear
        frequency: float | None = 1.0  # of a network without hidden layers
        for i, (of, layer) in enumerate(zip(before, self.unflatten(theta), strict=True)):
            weights, _, *gains_and_shifts = layer
            if i < len(self.activations):
                frequency = getattr(of, "frequency", None)
            place = Place(i, frequency)
            weights[...] = draw_weights(seed, weights.shape, scheme or of.initialization, place)
            if gains_and_shifts:
                gains_and_shifts[0][...] = 1
        return theta.astype(wanted)

    def unflatten(self, theta: Any) -> list[tuple[FloatArray, ...]]:
        """Weights and biases, gains and shifts of each layer, as views of theta.

        Parameters
        ----------
        theta : array
            ``[P]`` or ``[T, P]``.

        Returns
        -------
        list of (W, b) or (W, b, gamma, beta)
            ``W [..., n_in, n_out]`` and the others ``[..., n_out]``.

        Examples
        --------
        >>> net = MLP([2, 3, 1])
        >>> [w.shape for w, b in net.unflatten(net.init(0))]
        [(2, 3), (3, 1)]
        """
        flat = as_vectors(theta, self.n_params)
        of = self._core
        starts = zip(
            of.weight_offsets, of.bias_offsets, of.gain_offsets, of.shift_offsets, strict=True
        )
        return split(flat, list(starts), part_shapes(self.sizes, self.norms))

    def flatten(self, layers: Sequence[Sequence[Any]], out: FloatArray | None = None) -> FloatArray:
        """Join the parts of all layers into one flat vector: the inverse of `unflatten`.

        Parameters
        ----------
        layers : sequence of (W, b) or (W, b, gamma, beta)
            One tuple a layer, all of one dtype.
        out : numpy.ndarray or None, default None
            Where to write; None makes a new array.

        Returns
        -------
        numpy.ndarray
            ``[P]`` or ``[T, P]``.

        Raises
        ------
        ValueError, TypeError
            For shapes or dtypes that do not fit, naming the argument.
        OverflowError
            If the result is not finite.

        Examples
        --------
        >>> net = MLP([2, 3, 1])
        >>> theta = net.init(0)
        >>> bool((net.flatten(net.unflatten(theta)) == theta).all())
        True
        """
        return join(layers, part_shapes(self.sizes, self.norms), out)

    def predict(
        self,
        theta: Any,
        x: Any,
        *,
        context: Any = None,
        threads: int | None = None,
        check_finite: bool = True,
    ) -> Any:
        """Outputs of the network (before any link function: the loss owns it).

        Parameters
        ----------
        theta : array
            ``[P]`` or ``[T, P]``.
        x : array
            ``[n, n_0]``, or ``[T, n, n_0]``, or a list of one ``[n_t, n_0]`` a task.
        context : array or None, default None
            Context parameters ``[k]`` or ``[T, k]``, such as `adapt` returns: the last k inputs of
            every row of a task; x then has ``n_0 - k`` columns.
        threads : int or None, default None
            None takes FOMAML_FAST_NUM_THREADS, OMP_NUM_THREADS or all processors.
        check_finite : bool, default True
            Raise if an argument holds NaN or infinity, or if the result does.

        Returns
        -------
        numpy.ndarray or list
            ``[n, n_L]`` or ``[T, n, n_L]``; a list where x is one of different lengths.

        Raises
        ------
        ValueError, TypeError
            For shapes or dtypes that do not fit, naming the argument.
        OverflowError
            If the result is not finite.

        Examples
        --------
        >>> net = MLP([1, 8, 1])
        >>> net.predict(net.init(0), np.zeros((3, 1), np.float32)).tolist()
        [[0.0], [0.0], [0.0]]
        >>> MLP([2, 1]).predict(np.array([3.0, 1.0, 0.0]), [[1.0], [2.0]], context=[0.5])
        array([[3.5],
               [6.5]])
        """
        return core.predict(self._core, theta, x, context, threads, check_finite)

    def loss(
        self,
        theta: Any,
        x: Any,
        y: Any,
        *,
        weights: Any = None,
        mask: Any = None,
        class_mask: Any = None,
        threads: int | None = None,
        check_finite: bool = True,
    ) -> Any:
        """Loss of the rows of each task, averaged over rows.

        Parameters
        ----------
        theta, x : array
            As in `predict`.
        y : array
            Targets: ``[n, n_L]`` or ``[T, n, n_L]``, or integer labels ``[n]`` or ``[T, n]``.
        weights : array or None, default None
            What each row's loss is multiplied by before the mean over rows, ``[n]`` or ``[T, n]``
            (a list where x is one), of any sign; their sum is never divided by. Shaped as y, what
            that of each output is multiplied by, if the loss is a mean over outputs.
        mask : array of bool or None, default None
            Rows where it is False are removed first of all, whatever they hold; shaped as weights.
            Shaped as y, which targets are known: the mean is over these.
        class_mask : array of bool or None, default None
            Outputs that exist, ``[n_L]`` or ``[T, n_L]``; the others are left out of the softmax of
            cross_entropy.
        threads, check_finite
            As in `predict`.

        Returns
        -------
        float or numpy.ndarray
            One number, or ``[T]``.

        Raises
        ------
        ValueError, TypeError
            For shapes or dtypes that do not fit, naming the argument.
        OverflowError
            If the loss is NaN; an infinite loss is returned.

        Examples
        --------
        >>> net = MLP([1, 8, 1])
        >>> net.loss(net.init(0), [[0.0]], [[2.0]])
        4.0
        """
        if self._has_custom_loss:
            extras = weights, mask, class_mask
            return CustomEvaluation(self, theta, x, y, threads, check_finite, extras).values()
        return core.loss(self._core, theta, x, y, weights, mask, class_mask, threads, check_finite)

    def value_and_grad(
        self,
        theta: Any,
        x: Any,
        y: Any,
        *,
        weights: Any = None,
        mask: Any = None,
        class_mask: Any = None,
        threads: int | None = None,
        check_finite: bool = True,
    ) -> tuple[Any, FloatArray]:
        """Loss and its gradient over theta.

        Parameters
        ----------
        theta, x, y, weights, mask, class_mask, threads, check_finite
            As in `loss`.

        Returns
        -------
        loss : float or numpy.ndarray
            One number, or ``[T]``.
        grad : numpy.ndarray
            ``[P]`` or ``[T, P]``.

        Examples
        --------
        >>> net = MLP([1, 1])
        >>> net.value_and_grad(np.array([2.0, 0.0]), [[3.0]], [[5.0]])
        (1.0, array([6., 2.]))
        """
        if self._has_custom_loss:
            extras = weights, mask, class_mask
            custom = CustomEvaluation(self, theta, x, y, threads, check_finite, extras)
            return custom.values(), custom.gradient()
        return core.gradient(
            self._core, theta, x, y, weights, mask, class_mask, threads, check_finite
        )
