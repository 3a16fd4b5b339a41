"""What a call needs of its algorithm, network, batch and rates: checked before any work."""

from __future__ import annotations

from typing import Any

import numpy as np

from fomaml_fast._arrays import FloatArray, as_floats, as_parameters, check_finite_array
from fomaml_fast._rows import check_against_network
from fomaml_fast.algorithm import Algorithm, rate_kind
from fomaml_fast.batch import TaskBatch
from fomaml_fast.network import MLP


def check_algorithm(algorithm: Any, net: Any = None) -> Algorithm:
    """Raise unless `algorithm` is one, and one for that network."""
    if not isinstance(algorithm, Algorithm):
        raise TypeError(
            f"algorithm must be an Algorithm, such as fomaml() gives, got {algorithm!r}"
            + ("; of a schedule, give the algorithm of one step" if callable(algorithm) else "")
        )
    if isinstance(net, MLP):
        _check_against_network(algorithm, net)
    return algorithm


def _check_against_network(algorithm: Algorithm, net: MLP) -> None:
    layers = len(net.sizes) - 1
    if algorithm.adapt == "body" and layers < 2:
        raise ValueError("adapt='body' needs a network of at least 2 layers, got 1")
    if not isinstance(algorithm.adapt, str):
        for layer in algorithm.adapt:
            if not -layers <= layer < layers:
                raise ValueError(f"adapt names layer {layer}, but the network has {layers} layers")
    if algorithm.context >= net.sizes[0]:
        raise ValueError(
            f"context must be below the network's inputs ({net.sizes[0]}), got {algorithm.context}"
        )
    rate_kind(np.shape(algorithm.inner.lr), net, "inner.lr")


def check_rates(
    algorithm: Algorithm, net: MLP, rates: Any, dtype: np.dtype[Any], name: str = "rates"
) -> FloatArray | None:
    """Return rates in theta's dtype that stand in for the algorithm's; None if its own will do.

    Empty rates are those of a state that learns none: they do as None does.
    """
    learns = algorithm.learn_rates is not False
    if rates is None:
        return algorithm.initial_rates(net, dtype) if learns else None
    found: FloatArray = as_floats(rates, name, dtype=dtype).reshape(np.shape(rates))
    if found.shape == (0,):
        if learns:
            raise ValueError(
                f"{name} must not be empty for an algorithm that learns rates; "
                "init_state(net, algorithm, outer) gives its first ones"
            )
        return None
    rate_kind(found.shape, net, name)
    if algorithm.context > 0 and found.ndim > 0:
        raise ValueError(f"{name} must be one number with context, got {list(found.shape)}")
    check_finite_array(found.reshape(-1), name, always=True)
    return found


def check_meta_arguments(
    net: Any,
    theta: Any,
    batch: Any,
    algorithm: Algorithm,
    check_finite: bool,
    *,
    name: str = "theta",
) -> FloatArray:
    """Return theta, after checking that it, the network and the batch fit."""
    if not isinstance(net, MLP):
        raise TypeError(f"net must be an MLP, got {net!r}")
    if not isinstance(batch, TaskBatch):
        raise TypeError(f"batch must be a TaskBatch, got {type(batch).__name__}")
    flat = as_parameters(theta, net.n_params, name=name, check_finite=check_finite, per_task=False)
    if batch.dtype != flat.dtype:
        raise TypeError(
            f"{name} is {flat.dtype} but the batch is {batch.dtype}; convert one of them, e.g. "
            f"TaskBatch(..., dtype=numpy.{flat.dtype}), or start from "
            f"init_state(..., dtype=numpy.{batch.dtype})"
        )
    sizes = (net.sizes[0] - algorithm.context, *net.sizes[1:])
    query_loss = algorithm.query_loss or net.loss_spec
    check_against_network(batch._support, sizes, net.loss_spec, "x_support", "y_support")
    check_against_network(batch._query, sizes, query_loss, "x_query", "y_query")
    return flat
