"""The network: a small multilayer perceptron over one flat parameter vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fomaml_fast import activations as _activations
from fomaml_fast import losses as _losses
from fomaml_fast._arrays import (
    FloatArray,
    as_count,
    as_floats,
    as_parameters,
    as_threads,
    float_dtype,
    one_of,
)
from fomaml_fast._loader import core
from fomaml_fast._request import Request
from fomaml_fast.initialization import SCHEMES, draw_weights

#: Parameters beyond this could not be indexed by a stacked batch.
MOST_PARAMS = 2**40


@dataclass(frozen=True, init=False)
class MLP:
    """A multilayer perceptron and its loss; the last layer is linear.

    Parameters
    ----------
    sizes : sequence of int
        Units ``n_0, n_1, ..., n_L``: inputs, hidden layers, outputs.
    activation : str or sequence of str, default "relu"
        Of all hidden layers, or one for each; see `activations.names`.
    loss : str or losses.Loss, default "mse"
        See `losses.names`.

    Raises
    ------
    ValueError, TypeError
        For anything out of range, naming the argument.

    Notes
    -----
    All parameters are one flat vector theta of P numbers: for each layer the weights
    ``[n_in, n_out]`` in row-major order, then the biases.

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
    activations: tuple[str, ...]
    loss_spec: _losses.Loss

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str | Sequence[str] = "relu",
        loss: str | _losses.Loss = "mse",
    ) -> None:
        if isinstance(sizes, str) or not hasattr(sizes, "__len__"):
            raise TypeError(f"sizes must be a sequence of integers, got {sizes!r}")
        units = tuple(as_count(n, f"sizes[{i}]", least=1) for i, n in enumerate(sizes))
        if not 2 <= len(units) <= core.max_layers + 1:
            raise ValueError(
                f"sizes must name inputs and outputs, and at most {core.max_layers} layers, "
                f"got {list(units)}"
            )
        if sum(a * b + b for a, b in pairwise(units)) > MOST_PARAMS:
            raise ValueError(f"sizes give more than {MOST_PARAMS} parameters: {list(units)}")
        hidden = len(units) - 2
        if isinstance(activation, str):
            named = (activation,) * hidden
            one_of(activation, "activation", _activations.names())
        else:
            named = tuple(activation)
            if len(named) != hidden:
                raise ValueError(
                    f"activation must be one name or {hidden}, one per hidden layer, "
                    f"got {len(named)}"
                )
        for i, name in enumerate(named):
            one_of(name, f"activation[{i}]", _activations.names())
        object.__setattr__(self, "sizes", units)
        object.__setattr__(self, "activations", named)
        object.__setattr__(self, "loss_spec", _losses.get(loss))

    @cached_property
    def _core(self) -> Any:
        spec = self.loss_spec
        return core.Network(list(self.sizes), list(self.activations), spec.name, spec.parameter)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k in self.__dataclass_fields__}

    def __repr__(self) -> str:
        names = set(self.activations)
        activation = repr(names.pop()) if len(names) == 1 else repr(list(self.activations))
        return f"MLP({list(self.sizes)}, activation={activation}, loss={self.loss_spec})"

    @cached_property
    def n_params(self) -> int:
        """Length P of the flat parameter vector."""
        return int(self._core.n_params)

    def init(
        self,
        seed: int | np.random.Generator,
        dtype: npt.DTypeLike = np.float32,
        scheme: str | None = None,
    ) -> FloatArray:
        """Draw initial parameters; biases are 0.

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
            the MAML paper's public code.

        Returns
        -------
        numpy.ndarray
            Theta ``[P]``.

        Raises
        ------
        ValueError, TypeError
            For an unknown scheme, dtype or seed.

        Examples
        --------
        >>> MLP([2, 3, 1]).init(0, scheme="maml").shape
        (13,)
        """
        wanted = float_dtype(dtype)
        if scheme is not None:
            one_of(scheme, "scheme", tuple(SCHEMES))
        if not isinstance(seed, np.random.Generator):
            as_count(seed, "seed")
        rng = np.random.default_rng(seed)
        theta = np.zeros(self.n_params)
        for layer, (weights, _) in enumerate(self.unflatten(theta)):
            activation = self.activations[layer] if layer < len(self.activations) else None
            weights[...] = draw_weights(rng, weights.shape, scheme, activation)
        return theta.astype(wanted)

    def unflatten(self, theta: Any) -> list[tuple[FloatArray, FloatArray]]:
        """Weights and biases of each layer, as views of theta.

        Parameters
        ----------
        theta : array
            ``[P]`` or ``[T, P]``.

        Returns
        -------
        list of (W, b)
            ``W [..., n_in, n_out]`` and ``b [..., n_out]``.

        Examples
        --------
        >>> net = MLP([2, 3, 1])
        >>> [w.shape for w, b in net.unflatten(net.init(0))]
        [(2, 3), (3, 1)]
        """
        flat = as_parameters(theta, self.n_params, check_finite=False)
        layers = []
        starts = zip(self._core.weight_offsets, self._core.bias_offsets, strict=True)
        shapes = pairwise(self.sizes)
        for (weight, bias), (n_in, n_out) in zip(starts, shapes, strict=True):
            weights = flat[..., weight:bias].reshape(*flat.shape[:-1], n_in, n_out)
            layers.append((weights, flat[..., bias : bias + n_out]))
        return layers

    def flatten(
        self, layers: Sequence[tuple[Any, Any]], out: FloatArray | None = None
    ) -> FloatArray:
        """Join weights and biases into one flat vector: the inverse of `unflatten`.

        Parameters
        ----------
        layers : sequence of (W, b)
            One pair a layer, of one dtype.
        out : numpy.ndarray or None, default None
            Where to write; None makes a new array.

        Returns
        -------
        numpy.ndarray
            ``[P]`` or ``[T, P]``.

        Examples
        --------
        >>> net = MLP([2, 3, 1])
        >>> theta = net.init(0)
        >>> bool((net.flatten(net.unflatten(theta)) == theta).all())
        True
        """
        shapes = list(pairwise(self.sizes))
        if len(layers) != len(shapes):
            raise ValueError(f"layers must hold {len(shapes)} pairs (W, b), got {len(layers)}")
        parts: list[FloatArray] = []
        for i, ((weights, bias), (n_in, n_out)) in enumerate(zip(layers, shapes, strict=True)):
            dtype = parts[0].dtype if parts else None
            w = as_floats(weights, f"layers[{i}][0]", dtype=dtype, like="layers[0][0]")
            b = as_floats(bias, f"layers[{i}][1]", dtype=w.dtype, like=f"layers[{i}][0]")
            if w.shape[-2:] != (n_in, n_out) or b.shape != (*w.shape[:-2], n_out):
                raise ValueError(
                    f"layers[{i}] must have shapes [{n_in}, {n_out}] and [{n_out}], "
                    f"got {list(w.shape)} and {list(b.shape)}"
                )
            parts += [w.reshape(*w.shape[:-2], n_in * n_out), b]
        return np.concatenate(parts, axis=-1, out=out)

    def predict(
        self, theta: Any, x: Any, *, threads: int | None = None, check_finite: bool = True
    ) -> Any:
        """Outputs of the network (before any link function: the loss owns it).

        Parameters
        ----------
        theta : array
            ``[P]`` or ``[T, P]``.
        x : array
            ``[n, n_0]``, or ``[T, n, n_0]``, or a list of one ``[n_t, n_0]`` a task.
        threads : int or None, default None
            None takes FOMAML_FAST_NUM_THREADS, OMP_NUM_THREADS or all processors.
        check_finite : bool, default True
            Raise if theta or data hold NaN or infinity.

        Returns
        -------
        numpy.ndarray or list
            ``[n, n_L]`` or ``[T, n, n_L]``; a list where x is one of different lengths.

        Examples
        --------
        >>> net = MLP([1, 8, 1])
        >>> net.predict(net.init(0), np.zeros((3, 1), np.float32)).tolist()
        [[0.0], [0.0], [0.0]]
        """
        request = Request(self, theta, x, None, check_finite)
        if request.empty is not None:
            return request.empty
        outputs = core.predict(self._core, request.theta, request.bound, as_threads(threads))
        return request.shape_rows(outputs)

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
            (a list where x is one), of any sign; their sum is never divided by.
        mask : array of bool or None, default None
            Rows where it is False are removed first of all, whatever they hold; shaped as weights.
        class_mask : array of bool or None, default None
            Outputs that exist, ``[n_L]`` or ``[T, n_L]``; the others are left out of the softmax of
            cross_entropy.
        threads, check_finite
            As in `predict`.

        Returns
        -------
        float or numpy.ndarray
            One number, or ``[T]``.

        Examples
        --------
        >>> net = MLP([1, 8, 1])
        >>> net.loss(net.init(0), [[0.0]], [[2.0]])
        4.0
        """
        request = Request(self, theta, x, y, check_finite, extras=(weights, mask, class_mask))
        losses = core.loss(self._core, request.theta, request.bound, as_threads(threads))
        return float(losses[0]) if request.single else losses

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
        request = Request(self, theta, x, y, check_finite, extras=(weights, mask, class_mask))
        losses, grads = core.gradient(self._core, request.theta, request.bound, as_threads(threads))
        return (float(losses[0]), grads[0]) if request.single else (losses, grads)

    def hvp(
        self,
        theta: Any,
        x: Any,
        y: Any,
        v: Any,
        *,
        weights: Any = None,
        mask: Any = None,
        class_mask: Any = None,
        threads: int | None = None,
        check_finite: bool = True,
    ) -> FloatArray:
        """Product of the loss's Hessian with a vector, exact (Pearlmutter 1994).

        Parameters
        ----------
        theta, x, y, weights, mask, class_mask, threads, check_finite
            As in `loss`; `v` is not scanned.
        v : array
            ``[P]`` or ``[T, P]``.

        Returns
        -------
        numpy.ndarray
            ``[P]`` or ``[T, P]``.

        Examples
        --------
        >>> net = MLP([1, 1])
        >>> net.hvp(np.array([2.0, 0.0]), [[3.0]], [[5.0]], np.array([1.0, 0.0]))
        array([18.,  6.])
        """
        tangent = as_parameters(v, self.n_params, name="v", check_finite=False)
        extras = weights, mask, class_mask
        request = Request(self, theta, x, y, check_finite, tangent, extras)
        products = core.hvp(
            self._core, request.theta, request.bound, request.tangent, as_threads(threads)
        )
        return products[0] if request.single else products
