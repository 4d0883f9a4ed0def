"""N:M: N slots for every M neighbouring inputs (docs/rivals.md §5); 1:1 is dense.

Source: NVIDIA's Ampere (2:4: half the operand, twice the mathematics); vector-wise K of L: Zhu et
al., Sparse Tensor Core, MICRO 2019.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.mask_machine import Keep
from accel_sim.dataflows.tensor_core.mode import Groups, Mode, Placed, Term
from sparse_formats.storage import bits_for


@dataclass(frozen=True)
class NM(Mode):
    """`count` of every `length` inputs of a row, counted from input 0."""

    count: int
    length: int

    @property
    def name(self) -> str:
        return "dense" if self.length == 1 else f"{self.count}:{self.length}"

    @property
    def choice(self) -> float:
        return 0 if self.length == 1 else self.length

    def holds(self, groups: Groups) -> bool:
        return self.count == self.length or groups.most(self.length) <= self.count

    def terms(self, keep: Keep) -> tuple[Term, ...]:
        slots = -(-keep.shape[1] // self.length) * self.count
        return (Term(slots, slots * bits_for(self.length)),)

    def placed(self, keep: Keep) -> tuple[Placed, ...]:
        row, slot, index = slots_and_indices(keep, self.count, self.length)
        return (Placed(keep, row, slot, slot // self.count * self.length + index),)


DENSE = NM(1, 1)


def slots_and_indices(
    keep: Keep, count: int, length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Of each kept weight, row by row: its row, its slot, and which input of its group it is.

    The weights of a group fill its slots in the order of their inputs.
    """
    row, col = np.nonzero(keep)
    group, index = np.divmod(col, length)
    line = row * -(-keep.shape[1] // length) + group
    first = np.searchsorted(line, line, side="left")
    return row, group * count + np.arange(len(line)) - first, index
