"""What a retraining-free method is given, and what it decides."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from pruning.retraining_free.knowledge import PREDICTIVE
from pruning.retraining_free.partial_run import Batch
from pruning.retraining_free.sublayers import Encoder, Kept
from pruning.retraining_free.weight_tuning import LEAST_RIDGE, RIDGE, Tuned
from sparse_formats.terminal.progress import Tell
from sparse_formats.terminal.settings import NotNegative, Positive, Whole, option

Ridge = Annotated[float, msgspec.Meta(ge=LEAST_RIDGE)]


@dataclass(frozen=True)
class MethodSettings:
    """The knobs of the methods; most are K-prune's alone.

    temperature: published: 2. representational_weight: chosen, see docs/kprune.md (published 1 or
    0.00025, beside squared batch gradients a thousand times smaller). head_weight: published 64
    with the mean over its features, which is the sum for heads of 64; here sums, so 1.
    """

    temperature: Positive = option(
        "Temperature of the answers whose distance is measured.", default=2.0
    )
    predictive: str = option(
        "How predictive knowledge is measured. squared_gradient is as published.",
        default="gauss_newton",
        choices=PREDICTIVE,
    )
    predictive_weight: NotNegative = option("Weight λ of predictive knowledge.", default=1.0)
    representational_weight: NotNegative = option(
        "Weight λ of representational knowledge.", default=0.1
    )
    head_weight: NotNegative = option(
        "Weight μ of the knowledge of a head beside that of a neuron.", default=1.0
    )
    ridge: Ridge = option("Ridge λ of the tuning, in mean squares of the features.", default=RIDGE)
    tuning: bool = option(
        "Tune the output projections to make up for what was removed. Method kwon scales units.",
        default=True,
    )
    at_once: bool = option(
        "Choose in all sublayers before anything is removed, instead of one after the other.",
        default=False,
    )
    seed: Whole = option("Random seed of the choice of examples, and of method random.", default=0)


@dataclass(frozen=True, eq=False)
class Pruned:
    """What a method decided, its weights left in the model; by sublayer from the bottom up.

    kept: units that stay. tuned: errors of the residual sums, None where nothing was tuned.
    seconds: spent, by step.
    """

    kept: tuple[Kept, ...]
    tuned: tuple[Tuned | None, ...]
    seconds: dict[str, float]


Method = Callable[[Encoder, Sequence[Batch], float, float, MethodSettings, Tell], Pruned]
"""(encoder, batches, mean length, share of FLOPs to keep, settings, tell) → what stays."""


class Clock:
    """Seconds spent in named blocks."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            spent = self.seconds.get(name, 0.0) + time.monotonic() - started
            self.seconds[name] = spent
