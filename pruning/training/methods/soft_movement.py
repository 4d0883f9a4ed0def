"""Soft movement: scores above a threshold stay."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pruning.models.opening import OpenModel
from pruning.training.methods.method import Importance, Rates, in_file_order
from pruning.training.methods.relaxed import Relaxed

if TYPE_CHECKING:
    from torch import Tensor

THRESHOLD = 0.1
"""Final τ: σ(S) > τ stays."""


class SoftMovement(Relaxed):
    """Soft movement: σ(S) > τ stays, with a penalty on σ(S) steered to the asked density.

    Straight-through as hard movement. τ rises from 0 to 0.1 with the ramp.
    Source: Sanh, Wolf & Rush 2020, section 4 and its code ("sigmoied_threshold"); the steering is
    ours, there λ is set by hand and the sparsity is what comes of it.
    """

    def __init__(self, opened: OpenModel, rates: Rates) -> None:
        import torch

        super().__init__(opened, rates)
        self.parameters = [torch.zeros(m.shape, device=m.device) for m in self.matrices]
        self.kept: list[Tensor] = []

    def factors(self, step: int, ramp: float) -> "list[Tensor]":
        """1 where σ(S) > τ, else 0."""
        threshold = THRESHOLD * ramp
        self.kept = [(score.sigmoid() > threshold).float() for score in self.parameters]
        return self.kept

    def learn(
        self,
        gradients: "Sequence[Tensor]",
        weights: "Sequence[Tensor]",
        factors: "Sequence[Tensor]",
    ) -> None:
        """∂L/∂S = ∂L/∂W′ · W + λ · 4σ(S)(1 − σ(S))."""
        for score, gradient, weight in zip(self.parameters, gradients, weights, strict=True):
            score.grad = gradient * weight
            share = score.sigmoid()
            self.penalise(score, 4 * share * (1 - share))

    def density(self) -> float:
        """The share above the threshold."""
        whole = sum(kept.numel() for kept in self.kept)
        return sum(float(kept.sum()) for kept in self.kept) / whole

    def importance(self, weights: "Sequence[Tensor]") -> Importance:
        """σ(S)."""
        return [
            in_file_order(m, s.sigmoid())
            for m, s in zip(self.matrices, self.parameters, strict=True)
        ]
