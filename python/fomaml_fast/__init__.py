"""Model-agnostic meta-learning of small networks, fast and exact on a CPU.

Meta-learning finds an initialisation theta that adapts to a new task in a few gradient steps. The
inner loop adapts, ``theta' = theta - lr * grad(support loss)``; the outer loop improves theta by
the query loss at theta'. `meta_step` does both for many tasks at once.
"""

from fomaml_fast import activations, inner, losses, outer, samplers, schedules
from fomaml_fast._version import __version__
from fomaml_fast.adaptation import Adaptation, Evaluation, adapt, evaluate
from fomaml_fast.algorithm import Algorithm, fomaml, maml
from fomaml_fast.batch import TaskBatch
from fomaml_fast.build import build_info
from fomaml_fast.errors import DivergenceError
from fomaml_fast.meta import MetaGrad, Metrics, State, init_state, meta_grad, meta_step
from fomaml_fast.network import MLP

__all__ = [
    "MLP",
    "Adaptation",
    "Algorithm",
    "DivergenceError",
    "Evaluation",
    "MetaGrad",
    "Metrics",
    "State",
    "TaskBatch",
    "__version__",
    "activations",
    "adapt",
    "build_info",
    "evaluate",
    "fomaml",
    "init_state",
    "inner",
    "losses",
    "maml",
    "meta_grad",
    "meta_step",
    "outer",
    "samplers",
    "schedules",
]
