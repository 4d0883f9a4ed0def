"""Gates drawn from the hard concrete distribution."""

import math
from typing import TYPE_CHECKING

from pruning.models.opening import OpenModel
from pruning.processes import of_first
from pruning.training.methods.method import Rates
from pruning.training.methods.relaxed import Relaxed

if TYPE_CHECKING:
    from torch import Tensor

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1
"""The distribution's parameters in Louizos et al. 2018 and in movement pruning's L0."""

OPEN = 2.197
"""First value of log α (movement pruning's code): a gate is open with probability 0.9 and more."""


class HardConcrete(Relaxed):
    """Gates drawn from the hard concrete distribution; what they gate is a subclass's matter.

    s = σ((log u − log(1 − u) + log α)/β), gate = clip(s(ζ − γ) + γ, 0, 1); it is not 0 with
    probability σ(log α − β log(−γ/ζ)).
    Source: Louizos, Welling & Kingma 2018.
    """

    beta = BETA

    def __init__(self, opened: OpenModel, rates: Rates) -> None:
        super().__init__(opened, rates)
        self.gates: list[Tensor] = []
        self.leaves: list[Tensor] = []

    def draw(self) -> None:
        """New gates, one tensor a parameter, differentiable in it; the same in all processes."""
        import torch

        self.gates, self.leaves = [], []
        for parameter in self.parameters:
            noise = torch.rand(parameter.shape, device=parameter.device)
            noise = of_first(noise).clamp(1e-6, 1 - 1e-6)
            with torch.enable_grad():
                leaf = parameter.detach().requires_grad_(True)
                soft = torch.sigmoid((noise.log() - (1 - noise).log() + leaf) / self.beta)
                self.gates.append((soft * (ZETA - GAMMA) + GAMMA).clamp(0, 1))
            self.leaves.append(leaf)

    def open_probability(self, parameter: "Tensor") -> "Tensor":
        """P(gate ≠ 0)."""
        return (parameter - self.beta * math.log(-GAMMA / ZETA)).sigmoid()

    def backward(self, number: int, gradient: "Tensor") -> None:
        """Set parameter `number`'s gradient from that of its gates, and add the penalty."""
        import torch

        parameter = self.parameters[number]
        (parameter.grad,) = torch.autograd.grad(self.gates[number], self.leaves[number], gradient)
        likely = self.open_probability(parameter)
        self.penalise(parameter, 4 * likely * (1 - likely))

    def density(self) -> float:
        """The expected share of gates that are not 0."""
        whole = sum(parameter.numel() for parameter in self.parameters)
        return sum(float(self.open_probability(p).sum()) for p in self.parameters) / whole
