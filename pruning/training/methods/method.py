"""What a method is: importance of the weights as they learn, and what multiplies them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from pruning.models.matrices import Matrix
from pruning.models.opening import OpenModel

if TYPE_CHECKING:
    from torch import Tensor

Importance = list[NDArray[np.float32]]


EARLY = (0.05, 0.15)
"""A ramp that leaves most of the steps to the last mask, which coarse patterns need. A ramp to 60 %
of the steps costs vectors and fine-grained pruning alike (docs/quality.md, the search)."""


@dataclass(frozen=True)
class NoKnobs:
    """Of a method without any."""


class Rates(Protocol):
    """What a training says to every method; it also has the knobs of all of them.

    learning_rate: of the weights. score_learning_rate: of scores and gates. clip: largest norm of
    a gradient.
    """

    @property
    def learning_rate(self) -> float: ...

    @property
    def score_learning_rate(self) -> float: ...

    @property
    def clip(self) -> float: ...


class Method(ABC):
    """What multiplies the weights, and how it learns. All tensors are (out, in) by matrix.

    Knobs: a dataclass of what can be set of this method alone, its fields made by `option`.
    parameters: what the method itself learns, leaf tensors. buffers: what else it must remember.
    learning_rate: of the parameters.
    is_hard: whether masks come from the pattern at every step.
    goes_on: whether its parameters learn on once the mask is locked.
    ramp: the shares of the steps between which the sparsity rises, where nothing else is stated;
        None: it rises after one warm-up, until two are left.
    freezes: whether the weights change through the method alone, and the optimiser lets them be.
    """

    Knobs: ClassVar[type] = NoKnobs

    is_hard = True
    goes_on = False
    ramp: ClassVar[tuple[float, float] | None] = None
    freezes = False

    def __init__(self, opened: OpenModel, rates: Rates) -> None:
        self.matrices: Sequence[Matrix] = opened.matrices
        self.parameters: list[Tensor] = []
        self.buffers: list[Tensor] = []
        self.learning_rate = rates.score_learning_rate

    @abstractmethod
    def importance(self, weights: "Sequence[Tensor]") -> Importance:
        """Importance ≥ 0 of the dense `weights`, rows in the file's order."""

    def learn(
        self,
        gradients: "Sequence[Tensor]",
        weights: "Sequence[Tensor]",
        factors: "Sequence[Tensor]",
    ) -> None:
        """Set the parameters' gradients.

        gradients: ∂L/∂W′ of the masked weights W′ = weights ⊙ factors.
        """
        return

    def rebuild(self, weights: "Sequence[Tensor]") -> None:
        """After the steps of both optimisers: change the dense `weights` in place."""
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

    def release(self) -> None:
        """At the end: leave the model as an optimiser expects it."""
        return

    def state(self) -> dict[str, float]:
        """Plain numbers besides the parameters that a checkpoint must hold."""
        return {}

    def restore(self, state: Mapping[str, float]) -> None:
        """Take back what `state` gave."""
        return


def by_mean(weight: "Tensor") -> "Tensor":
    """|W| in units of its mean."""
    return weight.abs() / weight.abs().mean().clamp_min(1e-30)


def in_file_order(matrix: Matrix, values: "Tensor") -> NDArray[Any]:
    """Importance as a pattern takes it: float32, rows in the file's order."""
    return matrix.to_file(values)
