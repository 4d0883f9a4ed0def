"""Two levels: first whole vectors are chosen, with room to spare, then single weights in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from pruning.patterns.pattern import Break, Local, Pruned, Target
from pruning.patterns.slot_pattern import SlotPattern, span_of
from pruning.selection.slots import best_in_slots
from sparse_formats.errors import SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.slots import MOST_LANES, Slots
from sparse_formats.masks.vectors import Orientation, VectorLayout
from sparse_formats.storage import Storage
from sparse_formats.terminal.settings import option

SLOT_ROOM = 1.5
"""Default size of the kept slots, in kept weights: at 80 % sparsity 30 % of the slots stay
(chosen; on glassllm after 100 steps of training it came within 6 % of fine-grained pruning)."""


@dataclass(frozen=True)
class TwoLevel(SlotPattern):
    """Slots of `length` entries of a line, and the best weights in them.

    slot_room ≥ 1: weights that the kept slots have room for ÷ weights that are kept in them.
    """

    length: int
    slot_room: Annotated[float, msgspec.Meta(ge=1)] = option(
        "Weights that the slots of two_level have room for, as a multiple of those kept in them.",
        default=SLOT_ROOM,
    )

    numbers: ClassVar = ("length",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.length <= MOST_LANES:
            raise SettingError(
                "pattern",
                f"has slots of length {self.length}; give 1 to {MOST_LANES}, e.g. two_level:16",
            )
        if not 1 <= self.slot_room < float("inf"):
            raise SettingError(
                "slot_room",
                f"is {self.slot_room:g}; give a number from 1 up",
            )

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """Exactly `kept` weights."""
        scores = [t.scores for t in targets]
        slots = self.cuts(targets, kept)
        masks = best_in_slots(scores, slots, kept, self.slot_room)
        return [Pruned(keep, slots=cut) for keep, cut in zip(masks, slots, strict=True)]

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first matrix whose occupied slots have more room than `slot_room` allows.

        Where whole slots do not come nearer, one more may stay.
        """
        for matrix in matrices:
            rooms = {self._room(matrix.keep, cut): cut for cut in self.ways(matrix)}
            least = min(rooms)
            if least > self.slot_room * (matrix.nnz + 1) + self.length:
                row, col = (int(i) for i in np.argwhere(matrix.keep)[0])
                height, width = rooms[least].extent
                return Break(
                    matrix.name,
                    row,
                    col,
                    f"the {height}×{width} slots of the {matrix.nnz} weights that it keeps have "
                    f"room for {least}, more than {self.slot_room:g} times as many",
                )
        return None

    def local(self, keep: NDArray[np.bool_], layout: VectorLayout | None) -> Local:
        """The best slots of the same orientation, and weights in them, inside some columns."""
        slots = min(self.ways(), key=lambda cut: self._room(keep, cut))

        def choose(scores: NDArray[np.float32], kept: int) -> NDArray[np.bool_]:
            return best_in_slots([scores], [slots], kept, self.slot_room)[0]

        return Local(span_of(slots), choose, None)

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """In the format two_level."""
        from sparse_formats.formats.registry import encode

        return encode(matrix, "two_level", length=self.length).storage(value_bits)

    def cut(self, orientation: Orientation) -> Slots:
        """See `SlotPattern`."""
        return Slots(orientation, self.length)

    @staticmethod
    def _room(keep: NDArray[np.bool_], slots: Slots) -> int:
        """Weights in all slots that keep some."""
        occupied = slots.grid(keep, False).any((2, 3))
        return int(slots.lanes_there(keep.shape)[occupied].sum())
