"""Lane select: slots of several lanes, each of which keeps one of a few candidates.

A machine that reads a slot as one entry multiplies in all of its lanes at once; a multiplexer a
lane and a few bits a weight say which candidate it is. A proposal of this project, not of TF-MVP.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.pattern import Break, Local, Pruned, Target
from pruning.patterns.slot_pattern import SlotPattern, span_of
from pruning.selection.slots import best_selects, most_selected
from sparse_formats.errors import SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.slots import MOST_CHOICES, MOST_LANES, Slots
from sparse_formats.masks.vectors import Orientation, VectorLayout
from sparse_formats.storage import Storage


@dataclass(frozen=True)
class LaneSelect(SlotPattern):
    """Slots of `lanes` lanes with `choices` candidates each.

    Slots stay by the sum of what their lanes keep.
    """

    lanes: int = 16
    choices: int = 4

    numbers: ClassVar = ("lanes", "choices")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.lanes <= MOST_LANES or not 2 <= self.choices <= MOST_CHOICES:
            raise SettingError(
                "pattern",
                f"is lane_select:{self.lanes}:{self.choices}; give 1 to {MOST_LANES} lanes with 2 "
                f"to {MOST_CHOICES} candidates each, e.g. lane_select:16:4",
            )

    @property
    def densest(self) -> float:
        """One of the candidates of every lane."""
        return 1 / self.choices

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """The best slots that fit.

        Raises:
            InputError: `kept` is more than all slots keep.
        """
        scores = [t.scores for t in targets]
        slots = self.cuts(targets, kept)
        most = sum(most_selected(s.shape, cut) for s, cut in zip(scores, slots, strict=True))
        if kept > most:
            raise SettingError(
                "sparsity",
                f"asks for {kept} of {self.size(targets)} weights, but "
                f"lane_select:{self.lanes}:{self.choices} keeps at most {most}; give "
                f"{1 - self.densest:g} or more",
            )
        masks = best_selects(scores, slots, kept)
        return [Pruned(keep, slots=cut) for keep, cut in zip(masks, slots, strict=True)]

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first slot in which not each lane keeps one, in no orientation allowed."""
        for matrix in matrices:
            breaks = [cut.first_not_selected(matrix.keep) for cut in self.ways(matrix)]
            found = [broken for broken in breaks if broken is not None]
            if len(found) == len(breaks):
                return Break(matrix.name, *max(found))
        return None

    def local(self, keep: NDArray[np.bool_], layout: VectorLayout | None) -> Local:
        """The best slots of the same orientation inside some columns."""
        fitting = (cut for cut in self.ways() if cut.first_not_selected(keep) is None)
        slots = next(fitting, self.cut("horizontal"))

        def choose(scores: NDArray[np.float32], kept: int) -> NDArray[np.bool_]:
            return best_selects([scores], [slots], kept)[0]

        return Local(span_of(slots), choose, None)

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """In the format lane_select."""
        from sparse_formats.formats.registry import encode

        return encode(matrix, "lane_select", lanes=self.lanes, choices=self.choices).storage(
            value_bits
        )

    def cut(self, orientation: Orientation) -> Slots:
        """See `SlotPattern`."""
        return Slots(orientation, self.lanes, self.choices)
