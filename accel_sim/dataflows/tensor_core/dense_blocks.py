"""Blocks of outputs that are N:M beside blocks that are dense (docs/rivals.md §15).

Source: Spense (Lee et al., arXiv 2606.10445).
"""

from dataclasses import dataclass
from typing import ClassVar

from accel_sim.dataflows.abstract.mask_machine import Keep
from accel_sim.dataflows.tensor_core.mode import Groups, Mode, Placed, Term
from accel_sim.dataflows.tensor_core.n_m import DENSE, NM


@dataclass(frozen=True)
class DenseBlocks(Mode):
    """Each block of outputs in the mode `sparse` if it fits, else dense; a bit says which."""

    sparse: NM

    flag_bits: ClassVar[int] = 1

    @property
    def name(self) -> str:
        return f"{self.sparse.name} or dense"

    @property
    def choice(self) -> float:
        return self.sparse.choice

    def holds(self, groups: Groups) -> bool:
        return True

    def terms(self, keep: Keep) -> tuple[Term, ...]:
        return self._of(keep).terms(keep)

    def placed(self, keep: Keep) -> tuple[Placed, ...]:
        return self._of(keep).placed(keep)

    def slots(self, keep: Keep, block: int) -> int:
        blocks = [keep[first : first + block] for first in range(0, len(keep), block)]
        return sum(len(rows) * term.slots for rows in blocks for term in self.terms(rows))

    def _of(self, keep: Keep) -> NM:
        return self.sparse if self.sparse.holds(Groups(keep)) else DENSE
