"""Fine-grained pruning: any weight may stay, the most important ones do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.pattern import Break, Local, Pattern, Pruned, Target
from pruning.selection.weights import best_weights, top_mask
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import VectorLayout


@dataclass(frozen=True)
class FineGrained(Pattern):
    """Any mask at all."""

    fits_rows: ClassVar = True

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """Exactly `kept` weights."""
        return [Pruned(keep) for keep in best_weights([t.scores for t in targets], kept)]

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """None."""
        return None

    def local(self, keep: NDArray[np.bool_], layout: VectorLayout | None) -> Local:
        """The best weights of any columns."""
        return Local(1, top_mask, (1, 1))
