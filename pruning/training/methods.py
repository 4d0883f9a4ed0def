"""What decides which weights stay while a model learns.

Two kinds. A *hard* method has a mask of 0 and 1 at every step, made by the recipe's pattern from
its importance: hard movement, gradual magnitude, recovery. A *relaxed* method multiplies weights
by gates that are thresholded or drawn, steered to the asked density: soft movement, L0, head
gates; its mask is made from its importance once the ramp is over.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pruning.models.matrices import Matrix
from pruning.models.opening import OpenModel
from pruning.training.settings import Training
from sparse_formats.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1
"""The hard concrete distribution of Louizos et al. 2018, and the values of movement pruning's L0.

Voita et al. 2019 use β = 0.33.
"""
HEAD_BETA = 0.33
OPEN = 2.197
"""First value of log α (movement pruning's code): a gate is open with probability 0.9 and more."""

THRESHOLD = 0.1
"""Final τ of soft movement: σ(S) > τ stays."""

Importance = list[NDArray[np.float32]]


class Method(ABC):
    """What multiplies the weights, and how it learns. All tensors are (out, in) by matrix.

    parameters: what the method itself learns, leaf tensors.
    is_hard: whether masks come from the pattern at every step.
    """

    is_hard = True

    def __init__(self, opened: OpenModel, training: Training) -> None:
        self.matrices: Sequence[Matrix] = opened.matrices
        self.parameters: list[Tensor] = []

    @abstractmethod
    def importance(self, weights: "Sequence[Tensor]") -> Importance:
        """Importance ≥ 0 of the dense `weights`, rows in the file's order."""

    def learn(self, gradients: "Sequence[Tensor]", weights: "Sequence[Tensor]") -> None:
        """Set the parameters' gradients; gradients: ∂L/∂W′ of the masked weights W′."""
        return

    def factors(self, step: int, ramp: float) -> "list[Tensor] | None":
        """What a relaxed method multiplies the weights with; ramp: 0 to 1."""
        return None

    def steer(self, error: float) -> None:
        """A relaxed method hears by how much its density is above the asked one."""
        return

    def density(self) -> float:
        """The density that a relaxed method expects of its gates."""
        raise NotImplementedError

    def state(self) -> dict[str, float]:
        """Plain numbers besides the parameters that a checkpoint must hold."""
        return {}

    def restore(self, state: Mapping[str, float]) -> None:
        """Take back what `state` gave."""
        return


class Movement(Method):
    """Hard movement: S grows where weights move away from zero; the mask keeps the largest S.

    Backward through the mask is the identity (straight-through): ∂L/∂S = ∂L/∂W′ · W, also where
    the mask is 0, so dropped weights can return.
    Source: Sanh, Wolf & Rush 2020, section 4. There all S start at zero and have thousands of
    steps; in a hundred, Adam, which takes equal steps whatever the gradient's size, makes of zero
    little more than a random choice of single weights. So `first_scores` can be |W|.
    """

    def __init__(self, opened: OpenModel, training: Training) -> None:
        import torch

        super().__init__(opened, training)
        self.parameters = [torch.zeros(m.shape) for m in self.matrices]
        if training.first_scores == "magnitude":
            for score, matrix in zip(self.parameters, self.matrices, strict=True):
                score += _by_mean(matrix.upright(matrix.parameter.detach()))

    def learn(self, gradients: "Sequence[Tensor]", weights: "Sequence[Tensor]") -> None:
        """∂L/∂S = ∂L/∂W′ · W."""
        for score, gradient, weight in zip(self.parameters, gradients, weights, strict=True):
            score.grad = gradient * weight

    def importance(self, weights: "Sequence[Tensor]") -> Importance:
        """S above the lowest tenth of its matrix; what lies in that tenth counts nothing.

        Patterns rank sums over vectors and blocks, and take importance from 0 on. While no score
        has moved yet, |W| decides: it beats the random choice among equals.
        """
        if not any(bool(score.any()) for score in self.parameters):
            return [_array(m, w.abs()) for m, w in zip(self.matrices, weights, strict=True)]
        found = [_array(m, s) for m, s in zip(self.matrices, self.parameters, strict=True)]
        lows = [np.partition(s.ravel(), s.size // 10)[s.size // 10] for s in found]
        return [np.maximum(s - low, 0) for s, low in zip(found, lows, strict=True)]


class GradualMagnitude(Method):
    """|W| of the dense copy, which dropped weights keep without a gradient.

    Source: Zhu & Gupta 2017; Prune Once for All (Zafrir et al. 2021), section 2.
    """

    def importance(self, weights: "Sequence[Tensor]") -> Importance:
        """|W|, each matrix scaled to mean 1 so that they compete on equal terms."""
        return [_array(m, _by_mean(w)) for m, w in zip(self.matrices, weights, strict=True)]


class Recovery(GradualMagnitude):
    """No choice at all: the mask is given and locked from the first step."""


class Steered(Method):
    """A relaxed method: its penalty is a Lagrange multiplier that follows the density's error.

    λ = 50·(density − asked), in units of the gates' typical gradient (a running mean of its root
    mean square), so it means the same for any loss and size. As the multiplier of an equation it
    may have either sign. 50 is chosen: on small models 20 to 50 end within 0.02 of the density,
    and an integral term overshoots.
    Source: the idea of a Lagrangian on the size, Wang et al. 2020 (FLOP), CoFi, Sheared-LLaMA.
    """

    is_hard = False

    def __init__(self, opened: OpenModel, training: Training) -> None:
        super().__init__(opened, training)
        self.multiplier, self.unit = 0.0, 0.0

    def steer(self, error: float) -> None:
        """Take the multiplier for the density's `error` (positive: too dense)."""
        self.multiplier = 50 * error

    def penalise(self, parameter: "Tensor", slope: "Tensor") -> None:
        """Add λ times `slope`, ∂(kept share)/∂parameter up to scale, largest 1, to the gradient."""
        assert parameter.grad is not None
        typical = float(parameter.grad.square().mean().sqrt())
        self.unit = typical if self.unit == 0 else 0.9 * self.unit + 0.1 * typical
        parameter.grad += self.multiplier * self.unit * slope

    def state(self) -> dict[str, float]:
        """The controller's numbers."""
        return {"multiplier": self.multiplier, "unit": self.unit}

    def restore(self, state: Mapping[str, float]) -> None:
        """Take the controller's numbers back."""
        self.multiplier, self.unit = state["multiplier"], state["unit"]


class SoftMovement(Steered):
    """Soft movement: σ(S) > τ stays, with a penalty on σ(S) steered to the asked density.

    Straight-through as hard movement. τ rises from 0 to 0.1 with the ramp.
    Source: Sanh, Wolf & Rush 2020, section 4 and its code ("sigmoied_threshold"); the steering is
    ours, there λ is set by hand and the sparsity is what comes of it.
    """

    def __init__(self, opened: OpenModel, training: Training) -> None:
        import torch

        super().__init__(opened, training)
        self.parameters = [torch.zeros(m.shape) for m in self.matrices]
        self.kept: list[Tensor] = []

    def factors(self, step: int, ramp: float) -> "list[Tensor]":
        """1 where σ(S) > τ, else 0."""
        threshold = THRESHOLD * ramp
        self.kept = [(score.sigmoid() > threshold).float() for score in self.parameters]
        return self.kept

    def learn(self, gradients: "Sequence[Tensor]", weights: "Sequence[Tensor]") -> None:
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
        return [_array(m, s.sigmoid()) for m, s in zip(self.matrices, self.parameters, strict=True)]


class _HardConcrete(Steered):
    """Gates drawn from the hard concrete distribution; what they gate is a subclass's matter.

    s = σ((log u − log(1 − u) + log α)/β), gate = clip(s(ζ − γ) + γ, 0, 1); it is not 0 with
    probability σ(log α − β log(−γ/ζ)).
    Source: Louizos, Welling & Kingma 2018.
    """

    beta = BETA

    def __init__(self, opened: OpenModel, training: Training) -> None:
        super().__init__(opened, training)
        self.gates: list[Tensor] = []
        self.leaves: list[Tensor] = []

    def draw(self) -> None:
        """New gates, one tensor a parameter, differentiable in it."""
        import torch

        self.gates, self.leaves = [], []
        for parameter in self.parameters:
            noise = torch.rand(parameter.shape).clamp(1e-6, 1 - 1e-6)
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


class L0(_HardConcrete):
    """A hard concrete gate per weight.

    Source: Louizos et al. 2018, with the values of movement pruning's code.
    """

    def __init__(self, opened: OpenModel, training: Training) -> None:
        import torch

        super().__init__(opened, training)
        self.parameters = [torch.full(m.shape, OPEN) for m in self.matrices]

    def factors(self, step: int, ramp: float) -> "list[Tensor]":
        """The gates."""
        self.draw()
        return [gate.detach() for gate in self.gates]

    def learn(self, gradients: "Sequence[Tensor]", weights: "Sequence[Tensor]") -> None:
        """Through the gates to log α."""
        for number, (gradient, weight) in enumerate(zip(gradients, weights, strict=True)):
            self.backward(number, gradient * weight)

    def importance(self, weights: "Sequence[Tensor]") -> Importance:
        """P(gate ≠ 0)."""
        return [
            _array(m, self.open_probability(p))
            for m, p in zip(self.matrices, self.parameters, strict=True)
        ]


class HeadGates(_HardConcrete):
    """A hard concrete gate per attention head (per key/value head where heads share them).

    The gate multiplies the head's output, which is its columns of the attention output matrix.
    Source: Voita et al. 2019, section 4 (equations 7–9), β = 0.33; unlike its code, probabilities
    are divided by β throughout.
    """

    beta = HEAD_BETA

    def __init__(self, opened: OpenModel, training: Training) -> None:
        import torch

        super().__init__(opened, training)
        self.attentions = opened.attentions
        if not self.attentions:
            raise InputError(
                f"head gates need to know the heads of {opened.name}, whose layout is not known; "
                "use another method"
            )
        self.parameters = [torch.full((a.kv_heads,), OPEN) for a in self.attentions]
        self.places = {m.name: i for i, m in enumerate(self.matrices)}
        missing = [a.out.matrix for a in self.attentions if a.out.matrix not in self.places]
        if missing:
            raise InputError(f"head gates need matrix {missing[0]}, which is left out")

    def factors(self, step: int, ramp: float) -> "list[Tensor]":
        """Each gate over its heads' columns of the attention output; 1 elsewhere."""
        import torch

        self.draw()
        factors = [torch.ones(1, 1) for _ in self.matrices]
        for attention, gate in zip(self.attentions, self.gates, strict=True):
            width = attention.head_dim * attention.heads // attention.kv_heads
            columns = gate.detach().repeat_interleave(width)
            factors[self.places[attention.out.matrix]] = columns.unsqueeze(0)
        return factors

    def learn(self, gradients: "Sequence[Tensor]", weights: "Sequence[Tensor]") -> None:
        """Through the columns to the gates to log α."""
        for number, attention in enumerate(self.attentions):
            place = self.places[attention.out.matrix]
            by_column = (gradients[place] * weights[place]).sum(0)
            self.backward(number, by_column.reshape(attention.kv_heads, -1).sum(1))

    def importance(self, weights: "Sequence[Tensor]") -> Importance:
        """P(gate ≠ 0) on the columns of the heads, 0 elsewhere."""
        found = [np.zeros(m.shape, np.float32) for m in self.matrices]
        for attention, parameter in zip(self.attentions, self.parameters, strict=True):
            likely = self.open_probability(parameter).numpy()
            width = attention.head_dim * attention.heads // attention.kv_heads
            found[self.places[attention.out.matrix]][:] = likely.repeat(width)
        return found


METHODS: Mapping[str, type[Method]] = {
    "movement": Movement,
    "soft_movement": SoftMovement,
    "l0": L0,
    "gradual_magnitude": GradualMagnitude,
    "head_gates": HeadGates,
    "recovery": Recovery,
}


def _by_mean(weight: "Tensor") -> "Tensor":
    """|W| in units of its mean."""
    return weight.abs() / weight.abs().mean().clamp_min(1e-30)


def _array(matrix: Matrix, values: "Tensor") -> NDArray[Any]:
    return matrix.to_file(values)
