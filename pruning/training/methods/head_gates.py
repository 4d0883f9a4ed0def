"""Head gates: a gate per attention head."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pruning.models.opening import OpenModel
from pruning.training.methods.hard_concrete import OPEN, HardConcrete
from pruning.training.methods.method import Importance, Rates
from sparse_formats.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

HEAD_BETA = 0.33
"""β of Voita et al. 2019."""


class HeadGates(HardConcrete):
    """A hard concrete gate per attention head (per key/value head where heads share them).

    The gate multiplies the head's output, which is its columns of the attention output matrix.
    Source: Voita et al. 2019, section 4 (equations 7–9), β = 0.33; unlike its code, probabilities
    are divided by β throughout.
    """

    beta = HEAD_BETA

    def __init__(self, opened: OpenModel, rates: Rates) -> None:
        import torch

        super().__init__(opened, rates)
        self.attentions = opened.attentions
        if not self.attentions:
            raise InputError(
                f"head gates need to know the heads of {opened.name}, whose layout is not known; "
                "use another method"
            )
        self.parameters = [
            torch.full((a.kv_heads,), OPEN, device=self.matrices[0].device) for a in self.attentions
        ]
        self.places = {m.name: i for i, m in enumerate(self.matrices)}
        missing = [a.out.matrix for a in self.attentions if a.out.matrix not in self.places]
        if missing:
            raise InputError(f"head gates need matrix {missing[0]}, which is left out")

    def factors(self, step: int, ramp: float) -> "list[Tensor]":
        """Each gate over its heads' columns of the attention output; 1 elsewhere."""
        import torch

        self.draw()
        factors = [torch.ones(1, 1, device=m.device) for m in self.matrices]
        for attention, gate in zip(self.attentions, self.gates, strict=True):
            width = attention.head_dim * attention.heads // attention.kv_heads
            columns = gate.detach().repeat_interleave(width)
            factors[self.places[attention.out.matrix]] = columns.unsqueeze(0)
        return factors

    def learn(
        self,
        gradients: "Sequence[Tensor]",
        weights: "Sequence[Tensor]",
        factors: "Sequence[Tensor]",
    ) -> None:
        """Through the columns to the gates to log α."""
        for number, attention in enumerate(self.attentions):
            place = self.places[attention.out.matrix]
            by_column = (gradients[place] * weights[place]).sum(0)
            self.backward(number, by_column.reshape(attention.kv_heads, -1).sum(1))

    def importance(self, weights: "Sequence[Tensor]") -> Importance:
        """P(gate ≠ 0) on the columns of the heads, 0 elsewhere."""
        found = [np.zeros(m.shape, np.float32) for m in self.matrices]
        for attention, parameter in zip(self.attentions, self.parameters, strict=True):
            likely = self.open_probability(parameter).cpu().numpy()
            width = attention.head_dim * attention.heads // attention.kv_heads
            found[self.places[attention.out.matrix]][:] = likely.repeat(width)
        return found
