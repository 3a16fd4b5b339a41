"""Slow, obvious float64 NumPy: what every number of the package is compared with.

Nothing here imports the package under test.  Every function works on one task and spells its
formula out; arrays of any dtype come in and float64 is computed.  Parameters may also be complex:
all functions used are analytic, so the imaginary part of ``f(theta + i h v) / h`` with a tiny ``h``
is the directional derivative without any cancellation (Squire and Trapp, SIAM Review 1998), and
`test_oracle.py` holds each derivative here against it.
"""

from oracle.activations import ACTIVATIONS, VARIANTS
from oracle.inner import adapt
from oracle.losses import LOSSES
from oracle.meta import MetaGradient, Task, meta_gradient, task_gradient
from oracle.network import (
    Net,
    flatten,
    forward,
    gnvp,
    gradient,
    hvp,
    jacobian,
    jvp,
    kink_distance,
    loss,
    predict,
    unflatten,
    vjp,
)
from oracle.normalization import normalize, pull_back
from oracle.outer import SGD, Adam, AdamW, clip

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "SGD",
    "VARIANTS",
    "Adam",
    "AdamW",
    "MetaGradient",
    "Net",
    "Task",
    "adapt",
    "clip",
    "flatten",
    "forward",
    "gnvp",
    "gradient",
    "hvp",
    "jacobian",
    "jvp",
    "kink_distance",
    "loss",
    "meta_gradient",
    "normalize",
    "predict",
    "pull_back",
    "task_gradient",
    "unflatten",
    "vjp",
]
