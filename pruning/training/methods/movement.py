"""Hard movement: what moves away from zero stays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from pruning.knobs import taken
from pruning.models.opening import OpenModel
from pruning.training.methods.method import EARLY, Importance, Method, Rates, by_mean, in_file_order
from sparse_formats.terminal.settings import option

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class MovementKnobs:
    """first_scores: "magnitude", |W| in units of its matrix's mean, or, as published, "zero", which
    takes thousands of steps to tell single weights apart."""

    first_scores: Literal["magnitude", "zero"] = option(
        "Scores that method movement starts from.", default="magnitude"
    )


class Movement(Method):
    """Hard movement: S grows where weights move away from zero; the mask keeps the largest S.

    Backward through the mask is the identity (straight-through): ∂L/∂S = ∂L/∂W′ · W, also where
    the mask is 0, so dropped weights can return.
    Source: Sanh, Wolf & Rush 2020, section 4. There all S start at zero and have thousands of
    steps; in a hundred, Adam, which takes equal steps whatever the gradient's size, makes of zero
    little more than a random choice of single weights. So `first_scores` can be |W|.
    """

    Knobs = MovementKnobs
    ramp = EARLY

    def __init__(self, opened: OpenModel, rates: Rates) -> None:
        import torch

        super().__init__(opened, rates)
        self.parameters = [torch.zeros(m.shape, device=m.device) for m in self.matrices]
        if taken(self.Knobs, rates).first_scores == "magnitude":
            for score, matrix in zip(self.parameters, self.matrices, strict=True):
                score += by_mean(matrix.upright(matrix.parameter.detach()))

    def learn(
        self,
        gradients: "Sequence[Tensor]",
        weights: "Sequence[Tensor]",
        factors: "Sequence[Tensor]",
    ) -> None:
        """∂L/∂S = ∂L/∂W′ · W."""
        for score, gradient, weight in zip(self.parameters, gradients, weights, strict=True):
            score.grad = gradient * weight

    def importance(self, weights: "Sequence[Tensor]") -> Importance:
        """S above the lowest tenth of its matrix; what lies in that tenth counts nothing.

        Patterns rank sums over vectors and blocks, and take importance from 0 on. While no score
        has moved yet, |W| decides: it beats the random choice among equals.
        """
        if not any(bool(score.any()) for score in self.parameters):
            return [in_file_order(m, w.abs()) for m, w in zip(self.matrices, weights, strict=True)]
        found = [in_file_order(m, s) for m, s in zip(self.matrices, self.parameters, strict=True)]
        lows = [np.partition(s.ravel(), s.size // 10)[s.size // 10] for s in found]
        return [np.maximum(s - low, 0) for s, low in zip(found, lows, strict=True)]
