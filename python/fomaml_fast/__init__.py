"""Model-agnostic meta-learning of small networks, fast and exact on a CPU.

Meta-learning finds an initialisation theta that adapts to a new task in a few gradient steps. The
inner loop adapts, ``theta' = theta - lr * grad(support loss)``; the outer loop improves theta by
the query loss at theta'. `meta_step` does both for many tasks at once.
"""

from fomaml_fast import activations, inner, losses, metrics, outer, presets, samplers, schedules
from fomaml_fast._version import __version__
from fomaml_fast.adaptation import Adaptation, adapt, evaluate
from fomaml_fast.algorithm import Algorithm, Implicit
from fomaml_fast.batch import TaskBatch
from fomaml_fast.build import build_info
from fomaml_fast.ensembles import Ensemble, ensemble
from fomaml_fast.errors import DivergenceError
from fomaml_fast.evaluation import EnsembleEvaluation, Evaluation, MetricValues
from fomaml_fast.jets import Jet
from fomaml_fast.meta import meta_grad
from fomaml_fast.network import MLP
from fomaml_fast.planning import EnginePlan, Plan, plan
from fomaml_fast.posteriors import Posterior, posterior
from fomaml_fast.presets import (
    alpaca,
    anil,
    boil,
    cavia,
    fomaml,
    imaml,
    maml,
    mamlpp,
    meta_sgd,
    r2d2,
    reptile,
)
from fomaml_fast.results import MetaGrad, Metrics, SolverReport, State
from fomaml_fast.training import init_state, meta_step

__all__ = [
    "MLP",
    "Adaptation",
    "Algorithm",
    "DivergenceError",
    "EnginePlan",
    "Ensemble",
    "EnsembleEvaluation",
    "Evaluation",
    "Implicit",
    "Jet",
    "MetaGrad",
    "MetricValues",
    "Metrics",
    "Plan",
    "Posterior",
    "SolverReport",
    "State",
    "TaskBatch",
    "__version__",
    "activations",
    "adapt",
    "alpaca",
    "anil",
    "boil",
    "build_info",
    "cavia",
    "ensemble",
    "evaluate",
    "fomaml",
    "imaml",
    "init_state",
    "inner",
    "losses",
    "maml",
    "mamlpp",
    "meta_grad",
    "meta_sgd",
    "meta_step",
    "metrics",
    "outer",
    "plan",
    "posterior",
    "presets",
    "r2d2",
    "reptile",
    "samplers",
    "schedules",
]
