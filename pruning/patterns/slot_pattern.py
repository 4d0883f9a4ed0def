"""What patterns of slots have in common: how a matrix is cut into them."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from pruning.direction.orientation import orientation_at
from pruning.patterns.pattern import Target
from pruning.patterns.vector_pattern import VectorPattern
from pruning.selection.weights import best_weights
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.slots import Slots
from sparse_formats.masks.vectors import ORIENTATIONS, Orientation

SPAN = 128
"""Columns that sequential pruning chooses in at once, as near as whole slots come (chosen)."""


@dataclass(frozen=True, kw_only=True)
class SlotPattern(VectorPattern):
    """Slots (`sparse_formats.masks.slots`), all of a matrix in one orientation."""

    @abstractmethod
    def cut(self, orientation: Orientation) -> Slots:
        """How the pattern cuts a matrix in one orientation."""

    def favoured(self, targets: Sequence[Target], kept: int) -> list[Orientation]:
        """As the direction strength of the fine-grained mask of the same budget says."""
        fine = best_weights([t.scores for t in targets], kept)
        return [orientation_at(mask, self.cut("horizontal").lanes) for mask in fine]

    def cuts(self, targets: Sequence[Target], kept: int) -> list[Slots]:
        """How each matrix is cut, where `kept` weights of all are to stay."""
        return [self.cut(o) for o in self.orientations(targets, kept)]

    def ways(self, matrix: MaskedMatrix | None = None) -> list[Slots]:
        """How a matrix may be cut, without one in either orientation."""
        found = ORIENTATIONS if matrix is None else self.allowed(matrix.name, matrix.kind)
        return [self.cut(o) for o in found]


def span_of(slots: Slots) -> int:
    """Columns to choose in at once: whole slots."""
    return slots.extent[1] * max(1, SPAN // slots.extent[1])
