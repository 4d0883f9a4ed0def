"""Relaxed methods: a penalty steered to the asked density."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pruning.models.opening import OpenModel
from pruning.training.methods.method import Method, Rates

if TYPE_CHECKING:
    from torch import Tensor


class Relaxed(Method):
    """A relaxed method: its penalty is a Lagrange multiplier that follows the density's error.

    λ = 50·(density − asked), in units of the gates' typical gradient (a running mean of its root
    mean square), so it means the same for any loss and size. As the multiplier of an equation it
    may have either sign. 50 is chosen: on small models 20 to 50 end within 0.02 of the density,
    and an integral term overshoots.
    Source: the idea of a Lagrangian on the size, Wang et al. 2020 (FLOP), CoFi, Sheared-LLaMA.
    """

    is_hard = False

    def __init__(self, opened: OpenModel, rates: Rates) -> None:
        super().__init__(opened, rates)
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
