"""K-prune: sublayer by sublayer, measure, choose, make up for it, hand the rest of the budget on.

    for each sublayer from the bottom up:
        knowledge of it and of those above ─▶ one threshold ─▶ its own units below it go
        ─▶ its output projection is tuned to the dense model's residual sum
        ─▶ what it kept leaves the budget

Source: K-prune (Park, Choi & Kang, ICLR 2024, arXiv 2308.03449). Corrected, see `knowledge`,
`search`, `tuning`; and the dense residual sums are computed layer by layer beside the pruned ones
instead of being kept for all of them.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from pruning.retraining_free.knowledge import Knowledge, answer_of, knowledge
from pruning.retraining_free.search import best_units
from pruning.retraining_free.sublayers import Encoder, Kept, Sublayer
from pruning.retraining_free.tuning import LEAST_RIDGE, RIDGE, Tuned, normal_equations, remove, tune
from pruning.retraining_free.walk import Batch, advance, run

if TYPE_CHECKING:
    from torch import Tensor

Tell = Callable[[str], None]

_Weight = Annotated[float, msgspec.Meta(ge=0)]


@dataclass(frozen=True)
class Settings:
    """The knobs of K-prune.

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


def kprune(
    encoder: Encoder,
    batches: Sequence[Batch],
    length: float,
    flops: float,
    settings: Settings,
    tell: Tell = lambda step: None,
) -> Pruned:
    """Prune the encoder in place to a share `flops` of its FLOPs at `length` tokens an example."""
    clock = Clock()
    sublayers = encoder.sublayers
    costs = [each.flops(length) for each in sublayers]
    budget = flops * encoder.flops(length)
    dense_answers = _answers(encoder, batches, settings)
    pruned_walk, dense_walk = list(batches), list(batches)
    kept: list[Kept] = []
    tuned: list[Tuned | None] = []
    choice: list[Kept] = []
    for layer in range(len(encoder.layers)):
        mine = [i for i, each in enumerate(sublayers) if each.layer == layer]
        sums: list[list[Tensor]] = []
        for i in mine:
            tell(f"sublayer {i + 1} of {len(sublayers)}")
            if not (settings.at_once and choice):
                with clock("knowledge"):
                    known = knowledge(
                        encoder, pruned_walk, i, settings.temperature, settings.predictive,
                        dense_answers, settings.seed,
                    )  # fmt: skip
                with clock("search"):
                    worth = importance(known, sublayers[i:], settings)
                    choice = best_units(worth, costs[i:], budget)
            if i == mine[0]:
                # The layer is still whole: the dense model's own walk goes through it. Not
                # earlier: knowledge needs the memory.
                with clock("walking"):
                    of_layer = [sublayers[j] for j in mine]
                    sums = advance(encoder, dense_walk, layer, watched=of_layer)
            keep, choice = choice[0], choice[1:]
            budget -= int(keep.sum()) * costs[i]
            remove(sublayers[i], keep)
            kept.append(keep)
            if not settings.tuning:
                tuned.append(None)
                continue
            with clock("sums"):
                wanted = sums[mine.index(i)]
                normal = normal_equations(encoder, pruned_walk, sublayers[i], keep, wanted)
                wanted.clear()  # as large as all hidden states
            with clock("tuning"):
                tuned.append(tune(sublayers[i], keep, normal, settings.ridge))
        with clock("walking"):
            advance(encoder, pruned_walk, layer)
    return Pruned(tuple(kept), tuple(tuned), clock.seconds)


def importance(
    known: Sequence[Knowledge], sublayers: Sequence[Sublayer], settings: Settings
) -> list[NDArray[np.float64]]:
    """μ(λ_pred K_pred + λ_rep K_rep) of the units of each sublayer; μ = 1 for neurons."""
    return [
        (settings.head_weight if each.unit == "head" else 1.0)
        * (
            settings.predictive_weight * one.predictive
            + settings.representational_weight * one.representational
        )
        for one, each in zip(known, sublayers, strict=True)
    ]


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


def _answers(
    encoder: Encoder, batches: Sequence[Batch], settings: Settings
) -> "list[Tensor] | None":
    if settings.predictive != "squared_gradient":
        return None
    import torch

    with torch.no_grad():
        return [answer_of(encoder, run(encoder, batch, 0).output) for batch in batches]
