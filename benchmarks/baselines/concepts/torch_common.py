"""What the PyTorch files share: ``torch.func`` over stacked tasks, eager or compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch.func import grad_and_value, vmap

from benchmarks.baselines import Case
from benchmarks.baselines.torch_func import compile_afresh, tensors, to_numpy
from benchmarks.workloads import Workload, flatten, problem


def layers(function: Any, *trees: Any) -> Any:
    """`function` on corresponding tensors of lists of layers."""
    return [tuple(map(function, *parts)) for parts in zip(*trees, strict=True)]


def differentiated(task: Any, learned: int = 1) -> Any:
    """``(*learned, *data) -> (gradients, loss)`` of the mean of `task` over the tasks."""
    axes = (None,) * learned + (0,) * 4
    argnums = 0 if learned == 1 else tuple(range(learned))
    return grad_and_value(lambda *args: vmap(task, axes)(*args).mean(), argnums=argnums)


def case(
    workload: Workload, meta_gradient: Any, compiled: bool, dtype: DTypeLike, *learned: Any
) -> Case:
    """Time ``meta_gradient(params, *learned, *data)``, which returns ``(gradients, loss)``."""
    d = problem(workload, dtype)
    arguments = [
        tensors(a) for a in (d.params, *learned, d.x_support, d.y_support, d.x_query, d.y_query)
    ]
    run = compile_afresh(meta_gradient) if compiled else meta_gradient

    def answer(out: Any) -> dict[str, Any]:
        gradients, loss = out
        named = {"gradient": gradients}
        if learned:
            named = dict(zip(("gradient", "rate_gradient"), gradients, strict=True))
        arrays = {name: flatten(to_numpy(value)) for name, value in named.items()}
        return {"loss": np.atleast_1d(loss.numpy()), **arrays}

    return Case(lambda: run(*arguments), answer)


def mean_over_tasks(tree: Any) -> Any:
    return layers(lambda a: torch.mean(a, 0), tree)
