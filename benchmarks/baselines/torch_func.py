"""PyTorch: ``torch.func`` (``vmap`` of ``grad``), eager or under ``torch.compile``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.func import grad, grad_and_value, jvp, vmap

from benchmarks import sinusoid, threads
from benchmarks.baselines import Case
from benchmarks.workloads import INNER_RATE, Workload, flatten, problem

torch.set_num_threads(threads.count())

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}


def compile_afresh(function: Any) -> Any:
    """``torch.compile`` without memory of earlier cases.

    After eight recompilations of one function dynamo runs it eagerly and says nothing.
    """
    torch._dynamo.reset()
    return torch.compile(function, dynamic=False)


def features_of(workload: Workload) -> Any:
    """Outputs of the last hidden layer, a function of ``(layers but the last, x)``."""
    sigma = ACTIVATIONS[workload.activation]

    def features(body: Any, x: Any) -> Any:
        for w, b in body:
            x = sigma(x @ w + b)
        return x

    return features


def head_loss_of(workload: Workload) -> Any:
    """Loss of the last layer alone, a function of ``((w, b), features, y)``."""

    def loss(head: Any, h: Any, y: Any) -> Any:
        w, b = head
        o = h @ w + b
        if workload.loss == "mse":
            return ((o - y) ** 2).mean()
        return torch.nn.functional.cross_entropy(o, y)

    return loss


def loss_of(workload: Workload) -> Any:
    """Loss of the network of `workload` on one task, a function of ``(params, x, y)``."""
    features, head_loss = features_of(workload), head_loss_of(workload)
    return lambda params, x, y: head_loss(params[-1], features(params[:-1], x), y)


def meta_objective(workload: Workload, order: str) -> Any:
    """Mean query loss after adaptation, a function of ``(params, *four stacked tensors)``."""
    loss = loss_of(workload)
    keep = torch.Tensor.detach if order == "first" else lambda g: g

    def task(params: Any, xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
        for _ in range(workload.steps):
            g = grad(loss)(params, xs, ys)
            params = [
                (w - INNER_RATE * keep(gw), b - INNER_RATE * keep(gb))
                for (w, b), (gw, gb) in zip(params, g, strict=True)
            ]
        return loss(params, xq, yq)

    return lambda params, *data: vmap(task, (None, 0, 0, 0, 0))(params, *data).mean()


def tensors(value: Any) -> Any:
    """Tensors of arrays, or of lists of layers; labels as torch wants them (int64)."""
    if isinstance(value, list):
        return [(torch.tensor(w), torch.tensor(b)) for w, b in value]
    tensor = torch.tensor(value)
    return tensor.long() if tensor.dtype == torch.int32 else tensor


def to_numpy(params: Any) -> Any:
    return [(w.numpy(), b.numpy()) for w, b in params]


def build(workload: Workload, order: str, compiled: bool = False) -> Case:
    """Prepare `order` of `workload`."""
    d = problem(workload)
    params = tensors(d.params)
    xs, ys, xq, yq = map(tensors, (d.x_support, d.y_support, d.x_query, d.y_query))
    finish = compile_afresh if compiled else lambda function: function
    if order == "hvp":
        loss, v = loss_of(workload), tensors(d.tangents)

        def dot(a: Any, b: Any) -> Any:
            layers = zip(a, b, strict=True)
            return sum((wa * wb).sum() + (ba * bb).sum() for (wa, ba), (wb, bb) in layers)

        def forward_over_reverse(v: Any, x: Any, y: Any) -> Any:
            return jvp(lambda p: grad(loss)(p, x, y), (params,), (v,))[1]

        def reverse_over_reverse(v: Any, x: Any, y: Any) -> Any:
            return grad(lambda p: dot(grad(loss)(p, x, y), v))(params)

        # torch.compile cannot trace forward over reverse; eagerly it is the faster of the two.
        product = finish(vmap(reverse_over_reverse if compiled else forward_over_reverse))
        return Case(lambda: product(v, xs, ys), lambda out: {"hvp": flatten(to_numpy(out))})
    gradient = finish(grad_and_value(meta_objective(workload, order)))
    return Case(
        lambda: gradient(params, xs, ys, xq, yq),
        lambda out: {"loss": np.atleast_1d(out[1].numpy()), "gradient": flatten(to_numpy(out[0]))},
    )


def train(order: str, compiled: bool = False) -> Case:
    """The sinusoid slice, with PyTorch's own fused Adam."""
    objective = grad_and_value(meta_objective(sinusoid.WORKLOAD, order))
    if compiled:
        objective = compile_afresh(objective)
    params = tensors(sinusoid.initial())
    leaves = [p for layer in params for p in layer]
    adam = torch.optim.Adam(
        leaves, lr=sinusoid.OUTER_RATE, betas=sinusoid.BETAS, eps=sinusoid.EPS, fused=True
    )
    data = sinusoid.batches()

    def run() -> list[float]:
        losses = []
        for arrays in data:
            grads, loss = objective(params, *map(torch.from_numpy, arrays))
            for leaf, g in zip(leaves, (g for layer in grads for g in layer), strict=True):
                leaf.grad = g
            adam.step()
            losses.append(loss.item())
        return losses

    return Case(run, lambda out: {"losses": np.array(out)})
