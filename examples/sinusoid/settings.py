"""Every number the protocol fixes, and the published figures, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

#: Finn et al. 2017: mean squared error of 5-shot regression after these numbers of steps.
PUBLISHED_STEPS = (1, 5, 10)
PUBLISHED: Mapping[str, tuple[float, float, float]] = {
    "MAML": (0.67, 0.38, 0.35),
    "pretrained": (2.41, 2.23, 2.19),
}
PUBLISHED_SHOTS = 5


@dataclass(frozen=True)
class Settings:
    """The protocol of Finn et al. (2017), section 5.1. `quick` cuts it down for tests.

    Attributes
    ----------
    sizes, activation : tuple of int, str
        The network.
    iterations, tasks_per_batch : int
        Length of meta-training and tasks per meta-batch.
    train_shots : tuple of int
        K in training: support rows, and as many query rows. One training for each.
    inner_rate, inner_steps, outer_rate : float, int, float
        α and S of the inner loop (plain gradient descent), rate of Adam outside.
    scheme : str or None
        Initial weights; None is the library's standard for the activation.
    small_scheme : str
        Initial weights of the paper's public code, a truncated normal with σ = 0.01. Training by
        both gradients is repeated from it, at `small_scheme_shots`.
    small_scheme_shots : tuple of int
        K of those repetitions.
    test_tasks, grid_points : int
        New curves for the test, and points of the even grid on which each is scored.
    test_shots : tuple of int
        K in the test.
    test_steps : tuple of int
        Adaptation steps reported.
    error_limit : float
        An error above it counts as diverged, finite or not: (2·5)², which no prediction within the
        range of the curves, ±5, can reach. Diverging float32 parameters take more than ten steps
        to overflow, so waiting for NaN would miss most.
    validation_tasks : int
        Further curves, on which the fine-tuning rate of the pretrained network is chosen.
    tuning_rates : tuple of float
        The candidates.
    gradient_tasks : int
        Further tasks, on which first-order and exact meta-gradient are compared.
    chunk : int
        Meta-batches drawn by one call of the sampler.
    head_activation : str
        Of the network whose last layer is solved for; its features must be smooth, as curves are.
    head_iterations, head_shots, head_queries : int
        Length of its meta-training, and rows of a task in it: support, query.
    head_rates : (float, float)
        Rate of Adam at its first and last meta-step; it falls exponentially in between.
    trust_tasks : int
        Curves of each kind on which its error bars are put to the test.
    shortened : bool
        Whether this is cut down, which is then said wherever figures are shown.
    """

    sizes: tuple[int, ...] = (1, 40, 40, 1)
    activation: Literal["relu", "tanh"] = "relu"
    iterations: int = 70_000
    tasks_per_batch: int = 25
    train_shots: tuple[int, ...] = (10, 5)
    inner_rate: float = 0.01
    inner_steps: int = 1
    outer_rate: float = 0.001
    scheme: str | None = None
    small_scheme: str = "maml"
    small_scheme_shots: tuple[int, ...] = (5,)
    test_tasks: int = 600
    grid_points: int = 100
    test_shots: tuple[int, ...] = (5, 10)
    test_steps: tuple[int, ...] = (0, 1, 5, 10)
    error_limit: float = 100.0
    validation_tasks: int = 600
    tuning_rates: tuple[float, ...] = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05)
    gradient_tasks: int = 4000
    chunk: int = 500
    head_activation: Literal["relu", "tanh"] = "tanh"
    head_iterations: int = 20_000
    head_shots: int = 5
    head_queries: int = 10
    head_rates: tuple[float, float] = (0.01, 0.0001)
    trust_tasks: int = 300
    shortened: bool = False

    @classmethod
    def quick(cls) -> Settings:
        """Return a cut-down protocol that only shows that everything runs."""
        return cls(
            iterations=300,
            test_tasks=60,
            validation_tasks=40,
            gradient_tasks=100,
            chunk=100,
            head_iterations=300,
            trust_tasks=30,
            tuning_rates=(0.001, 0.005, 0.02),
            shortened=True,
        )
