"""What a retraining-free method is given, and what it decides."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from pruning.retraining_free.partial_run import Batch
from pruning.retraining_free.sublayers import Encoder, Kept
from pruning.retraining_free.weight_tuning import LEAST_RIDGE, RIDGE, Tuned

Tell = Callable[[str], None]

_Weight = Annotated[float, msgspec.Meta(ge=0)]


@dataclass(frozen=True)
class Settings:
    """The knobs of the methods; most are K-prune's alone.

    temperature: of the distance between answers (published: 2).
    predictive: how its knowledge is measured, of `knowledge.PREDICTIVE`.
    predictive_weight, representational_weight: λ of both; the second is chosen, see docs/kprune.md
        (published 1 or 0.00025, beside squared batch gradients a thousand times smaller).
    head_weight: μ, what a head counts beside a neuron. Published 64 with the mean over its
        features, which is the sum for heads of 64; here sums, so 1.
    ridge: λ of `tuning`.
    tuning: off keeps the weights as they are. at_once: choose in all sublayers before anything is
        removed, instead of one after the other.
    """

    temperature: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    predictive: str = "gauss_newton"
    predictive_weight: _Weight = 1.0
    representational_weight: _Weight = 0.1
    head_weight: _Weight = 1.0
    ridge: Annotated[float, msgspec.Meta(ge=LEAST_RIDGE)] = RIDGE
    tuning: bool = True
    at_once: bool = False
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0


@dataclass(frozen=True, eq=False)
class Pruned:
    """What a method decided, its weights left in the model; by sublayer from the bottom up.

    kept: units that stay. tuned: errors of the residual sums, None where nothing was tuned.
    seconds: spent, by step.
    """

    kept: tuple[Kept, ...]
    tuned: tuple[Tuned | None, ...]
    seconds: dict[str, float]


Method = Callable[[Encoder, Sequence[Batch], float, float, Settings, Tell], Pruned]
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
