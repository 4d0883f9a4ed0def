"""Gradual magnitude: the largest weights stay, chosen anew while they learn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pruning.training.methods.method import Importance, Method, by_mean, in_file_order

if TYPE_CHECKING:
    from torch import Tensor


class GradualMagnitude(Method):
    """|W| of the dense copy, which dropped weights keep without a gradient.

    Source: Zhu & Gupta 2017; Prune Once for All (Zafrir et al. 2021), section 2.
    """

    def importance(self, weights: "Sequence[Tensor]") -> Importance:
        """|W|, each matrix scaled to mean 1 so that they compete on equal terms."""
        return [in_file_order(m, by_mean(w)) for m, w in zip(self.matrices, weights, strict=True)]
