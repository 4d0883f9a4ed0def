"""Group lasso: whole vectors shrink towards zero, and the smallest are dropped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruning.knobs import taken
from pruning.models.opening import OpenModel
from pruning.structure.orientation_by_kind import ORIENTATION_BY_KIND
from pruning.training.methods.gradual_magnitude import GradualMagnitude
from pruning.training.methods.method import Rates
from sparse_formats.terminal.settings import Count, NotNegative, option

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class GroupLassoKnobs:
    """lasso: what a step takes from the norm of every vector. lasso_length: of those vectors."""

    lasso: NotNegative = option(
        "With method group_lasso, share of the mean norm of its matrix's vectors that each vector "
        "loses in a step.",
        default=0.01,
    )
    lasso_length: Count = option(
        "With method group_lasso, length of the vectors that shrink.", default=16
    )


class GroupLasso(GradualMagnitude):
    """Gradual magnitude, with the proximal step of a group lasso after each step until the lock.

    The groups are aligned vectors, oriented by the kind of their matrix (horizontal where it is of
    no known kind); what is left over at the end of a line is in none. Each vector's norm n becomes
    max(0, n − lasso · mean n).

    Source: Yuan & Lin 2006 for the penalty, Wen et al. 2016 for groups of a network's weights.
    """

    Knobs = GroupLassoKnobs

    def __init__(self, opened: OpenModel, rates: Rates) -> None:
        super().__init__(opened, rates)
        knobs = taken(self.Knobs, rates)
        self.lasso, self.length = knobs.lasso, knobs.lasso_length

    def rebuild(self, weights: "Sequence[Tensor]") -> None:
        """The proximal step."""
        for matrix, weight in zip(self.matrices, weights, strict=True):
            is_vertical = ORIENTATION_BY_KIND.get(matrix.kind) == "vertical"
            lines = weight.T if is_vertical else weight
            whole = lines.shape[1] // self.length * self.length
            vectors = lines[:, :whole].unflatten(1, (-1, self.length))
            norms = vectors.norm(dim=2, keepdim=True)
            rest = (norms - self.lasso * norms.mean()).clamp_min(0)
            vectors.mul_(rest / norms.clamp_min(1e-30))
