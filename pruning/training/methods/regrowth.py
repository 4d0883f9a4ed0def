"""Regrowth: what is dropped comes back where the loss pulls hardest at it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruning.knobs import taken
from pruning.models.opening import OpenModel
from pruning.training.methods.method import Importance, Method, Rates, by_mean, in_file_order
from sparse_formats.terminal.settings import NotNegative, option

if TYPE_CHECKING:
    from torch import Tensor

MEMORY = 0.9
"""Share of the gradient seen so far that a step keeps (chosen)."""


@dataclass(frozen=True)
class RegrowthKnobs:
    """pull: how a dropped weight of mean gradient compares with a kept one of mean size."""

    pull: NotNegative = option(
        "With method regrowth, worth of a dropped weight with the mean gradient of its matrix, in "
        "kept weights of mean size.",
        default=0.5,
    )


class Regrowth(Method):
    """|W| of what is kept, and of what is dropped the gradient that it would get.

    Patterns add both up over their vectors and blocks, so a vector comes back whole, and it begins
    at 0. After the rise of the sparsity masks change only as long as `settle` says.

    Source: RigL (Evci et al. 2020), which drops and grows single weights in equal numbers; here
    both compete in one ranking, for any pattern.
    """

    Knobs = RegrowthKnobs

    def __init__(self, opened: OpenModel, rates: Rates) -> None:
        import torch

        super().__init__(opened, rates)
        self.pull = taken(self.Knobs, rates).pull
        self.gradients = [torch.zeros_like(m.upright(m.parameter.data)) for m in self.matrices]
        self.dropped = [torch.zeros_like(g) for g in self.gradients]
        self.buffers = [*self.gradients, *self.dropped]

    def learn(
        self,
        gradients: "Sequence[Tensor]",
        weights: "Sequence[Tensor]",
        factors: "Sequence[Tensor]",
    ) -> None:
        """Remember the gradient and what is dropped."""
        for mean, dropped, gradient, factor in zip(
            self.gradients, self.dropped, gradients, factors, strict=True
        ):
            mean.mul_(MEMORY).add_(gradient, alpha=1 - MEMORY)
            dropped.copy_(factor == 0)

    def rebuild(self, weights: "Sequence[Tensor]") -> None:
        """What is dropped is 0, also if it comes back."""
        for weight, dropped in zip(weights, self.dropped, strict=True):
            weight.masked_fill_(dropped.bool(), 0)

    def importance(self, weights: "Sequence[Tensor]") -> Importance:
        """|W| where it is kept, pull · |gradient| where not, each in units of its mean."""
        found = []
        for matrix, weight, mean, dropped in zip(
            self.matrices, weights, self.gradients, self.dropped, strict=True
        ):
            kept = weight.abs() * (1 - dropped)
            kept *= (1 - dropped).sum() / kept.sum().clamp_min(1e-30)
            score = kept + self.pull * by_mean(mean) * dropped
            found.append(in_file_order(matrix, score))
        return found
