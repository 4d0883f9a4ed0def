"""K-prune: sublayer by sublayer, measure, choose, make up for it, hand the rest of the budget on.

    for each sublayer from the bottom up:
        knowledge of it and of those above ─▶ one threshold ─▶ its own units below it go
        ─▶ its output projection is tuned to the dense model's residual sum
        ─▶ what it kept leaves the budget

Source: K-prune (Park, Choi & Kang, ICLR 2024, arXiv 2308.03449). Corrected, see `knowledge`,
`search`, `tuning`; and the dense residual sums are computed layer by layer beside the pruned ones
instead of being kept for all of them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pruning.retraining_free.knowledge import Knowledge, answer_of, knowledge
from pruning.retraining_free.method import Clock, MethodSettings, Pruned
from pruning.retraining_free.partial_run import Batch, advance, run
from pruning.retraining_free.sublayers import Encoder, Kept, Sublayer
from pruning.retraining_free.unit_search import units_within
from pruning.retraining_free.weight_tuning import (
    Tuned,
    normal_equations,
    remove,
    tune,
)
from sparse_formats.terminal.progress import Tell

if TYPE_CHECKING:
    from torch import Tensor


def kprune(
    encoder: Encoder,
    batches: Sequence[Batch],
    length: float,
    flops: float,
    settings: MethodSettings,
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
                    choice = units_within(worth, costs[i:], budget)
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
    known: Sequence[Knowledge], sublayers: Sequence[Sublayer], settings: MethodSettings
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


def _answers(
    encoder: Encoder, batches: Sequence[Batch], settings: MethodSettings
) -> "list[Tensor] | None":
    if settings.predictive != "squared_gradient":
        return None
    import torch

    with torch.no_grad():
        return [answer_of(encoder, run(encoder, batch, 0).output) for batch in batches]
