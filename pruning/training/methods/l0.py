"""L0: a gate per weight."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pruning.models.opening import OpenModel
from pruning.training.methods.hard_concrete import OPEN, HardConcrete
from pruning.training.methods.method import Importance, Rates, in_file_order

if TYPE_CHECKING:
    from torch import Tensor


class L0(HardConcrete):
    """A hard concrete gate per weight.

    Source: Louizos et al. 2018, with the values of movement pruning's code.
    """

    def __init__(self, opened: OpenModel, rates: Rates) -> None:
        import torch

        super().__init__(opened, rates)
        self.parameters = [torch.full(m.shape, OPEN, device=m.device) for m in self.matrices]

    def factors(self, step: int, ramp: float) -> "list[Tensor]":
        """The gates."""
        self.draw()
        return [gate.detach() for gate in self.gates]

    def learn(
        self,
        gradients: "Sequence[Tensor]",
        weights: "Sequence[Tensor]",
        factors: "Sequence[Tensor]",
    ) -> None:
        """Through the gates to log α."""
        for number, (gradient, weight) in enumerate(zip(gradients, weights, strict=True)):
            self.backward(number, gradient * weight)

    def importance(self, weights: "Sequence[Tensor]") -> Importance:
        """P(gate ≠ 0)."""
        return [
            in_file_order(m, self.open_probability(p))
            for m, p in zip(self.matrices, self.parameters, strict=True)
        ]
