"""LoRAPrune: low-rank factors learn, and what their gradients say decides which weights stay."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruning.knobs import taken
from pruning.models.opening import OpenModel
from pruning.processes import of_first
from pruning.structure.slices import Slice
from pruning.training.methods.method import Importance, Method, Rates, in_file_order
from sparse_formats.terminal.settings import Count, option

if TYPE_CHECKING:
    from torch import Tensor

SCALE = 2.0
"""s = α/r with the α = 16 and r = 8 of LoRAPrune's script."""

MEMORY = 0.9
"""Share of the last importance in the new one. Source: LoRAPrune's code."""


@dataclass(frozen=True)
class LoRAPruneKnobs:
    """rank: of the factors, which learn at the rate of weights (8: as published)."""

    rank: Count = option("Rank of the factors that method lora_prune learns.", default=8)


class LoRAPrune(Method):
    """The model's weights W are frozen; of W + s·B·A the factors B (out, r) and A (r, in) learn.

    Masked weights are (W + s·B·A) ⊙ M. With G the gradient of these, the factors' are
    g_A = s·Bᵀ(G ⊙ M) and g_B = s·(G ⊙ M)Aᵀ, as autograd through the factors gives them; here the
    two products are taken of the G that autograd leaves on the model's own parameter, which a mask
    on single weights makes it compute anyway. Importance sees g_A and g_B only, never G:

        ĝ = g_B A + B g_A − g_B g_A        I ← 0.9·I + 0.1·|ĝ ⊙ (W + s·B·A)| / ‖sums of units‖₂

    The norm is over the sums of a matrix's heads or hidden neurons, or of its rows where it has
    neither. What is dropped counts nothing and does not come back. At the end the factors are part
    of the weights.

    Source: Zhang et al., ACL Findings 2024, eq. 10 and its code. There a new mask comes every 10
    steps (`every`), the first tenth of the layers and the last one stay whole (the recipe's
    `exclude`), and inputs of A drop out by 5 %, which they do not here.
    """

    Knobs = LoRAPruneKnobs

    goes_on = True
    freezes = True

    def __init__(self, opened: OpenModel, rates: Rates) -> None:
        import torch

        super().__init__(opened, rates)
        self.learning_rate = rates.learning_rate
        self.clip = rates.clip
        kept = {id(matrix.parameter) for matrix in self.matrices}
        self.frozen = [
            p for p in opened.model.parameters() if p.requires_grad and id(p) not in kept
        ]
        for parameter in self.frozen:
            parameter.requires_grad_(False)
        self.count, r = len(self.matrices), taken(self.Knobs, rates).rank
        # As LoRA begins: A as PyTorch begins a linear layer, B at 0, so that W is what it was.
        inner = [
            ((torch.rand(r, m.shape[1]) * 2 - 1) / math.sqrt(m.shape[1])).to(m.device)
            for m in self.matrices
        ]
        outer = [torch.zeros(m.shape[0], r, device=m.device) for m in self.matrices]
        self.parameters = [*map(of_first, inner), *outer]
        self.base = [m.upright(m.parameter.detach()).clone() for m in self.matrices]
        self.scores = [torch.zeros(m.shape, device=m.device) for m in self.matrices]
        self.buffers = [*self.base, *self.scores]
        units = _units(opened)
        self.units = [units.get(m.name) for m in self.matrices]
        self.keep: list[Tensor] = []

    @property
    def factors_of(self) -> "list[tuple[Tensor, Tensor]]":
        """A and B of each matrix."""
        return list(zip(self.parameters[: self.count], self.parameters[self.count :], strict=True))

    def learn(
        self,
        gradients: "Sequence[Tensor]",
        weights: "Sequence[Tensor]",
        factors: "Sequence[Tensor]",
    ) -> None:
        """The factors' gradients, and the importance they give."""
        import torch

        self.keep = list(factors)
        for (a, b), gradient, factor in zip(self.factors_of, gradients, factors, strict=True):
            masked = gradient * factor
            a.grad, b.grad = SCALE * b.T @ masked, SCALE * masked @ a.T
        torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        for (a, b), weight, factor, score, units in zip(
            self.factors_of, weights, factors, self.scores, self.units, strict=True
        ):
            assert a.grad is not None and b.grad is not None
            now = (estimate(a, b, a.grad, b.grad) * weight * factor).abs_()
            norm = _sums(now, units).norm().clamp_min(1e-8)
            score.mul_(MEMORY).add_(now, alpha=(1 - MEMORY) / float(norm))

    def rebuild(self, weights: "Sequence[Tensor]") -> None:
        """W + s·B·A."""
        for weight, base, (a, b) in zip(weights, self.base, self.factors_of, strict=True):
            weight.copy_(base).addmm_(b, a, alpha=SCALE)

    def importance(self, weights: "Sequence[Tensor]") -> Importance:
        """I; before the first step |W|."""
        if not self.keep:
            return [in_file_order(m, w.abs()) for m, w in zip(self.matrices, weights, strict=True)]
        return [
            in_file_order(m, score * keep)
            for m, score, keep in zip(self.matrices, self.scores, self.keep, strict=True)
        ]

    def release(self) -> None:
        """Let what was frozen learn again."""
        for parameter in self.frozen:
            parameter.requires_grad_(True)


def estimate(a: "Tensor", b: "Tensor", grad_a: "Tensor", grad_b: "Tensor") -> "Tensor":
    """ĝ (out, in), the gradient of the weights as far as the factors know it.

    What a step of size 1 down both gradients takes from the product:
    BA − (B − g_B)(A − g_A) = g_B A + B g_A − g_B g_A.
    """
    return grad_b @ a + b @ grad_a - grad_b @ grad_a


def _units(opened: OpenModel) -> dict[str, list[tuple[Slice, int]]]:
    """The slices of each matrix that heads or neurons take, and how many they are."""
    found: dict[str, list[tuple[Slice, int]]] = {}
    for attention in opened.attentions:
        for part in (attention.query, attention.key, attention.value):
            found.setdefault(part.matrix, []).append((part, attention.kv_heads))
        found.setdefault(attention.out.matrix, []).append((attention.out, attention.heads))
    for block in opened.feed_forwards:
        for part in (*block.inputs, block.output):
            found.setdefault(part.matrix, []).append((part, block.width))
    return found


def _sums(values: "Tensor", units: "Sequence[tuple[Slice, int]] | None") -> "Tensor":
    """Sums over the lines of each unit; over each row where there are no units."""
    import torch

    if units is None:
        return values.sum(1)
    summed = []
    for part, count in units:
        lines = values.sum(1 - part.axis)
        summed.append(lines[torch.from_numpy(part.of_units(count))].sum(1))
    return torch.cat(summed)
