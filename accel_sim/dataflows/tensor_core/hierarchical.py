"""Hierarchical N:M: of every H groups, G keep anything, N of M inputs each (docs/rivals.md §13).

Source: HighLight (Wu et al., MICRO 2023).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.mask_machine import Keep
from accel_sim.dataflows.tensor_core.mode import Groups, Mode, Placed, Term, group_counts
from accel_sim.dataflows.tensor_core.n_m import slots_and_indices
from sparse_formats.storage import bits_for


@dataclass(frozen=True)
class Hierarchical(Mode):
    """`groups` of every `of_groups` neighbouring groups, `count` of `length` inputs in each."""

    groups: int
    of_groups: int
    count: int
    length: int

    @property
    def name(self) -> str:
        return f"{self.groups}:{self.of_groups} of {self.count}:{self.length}"

    @property
    def choice(self) -> float:
        return self.length + self.length * self.of_groups / self.count

    def holds(self, groups: Groups) -> bool:
        if groups.most(self.length) > self.count:
            return False
        of_sets = group_counts(groups.counts(self.length) > 0, self.of_groups)
        return not of_sets.size or int(of_sets.max()) <= self.groups

    def terms(self, keep: Keep) -> tuple[Term, ...]:
        places = -(-keep.shape[1] // (self.length * self.of_groups)) * self.groups
        of_place = bits_for(self.of_groups) + self.count * bits_for(self.length)
        return (Term(places * self.count, places * of_place),)

    def placed(self, keep: Keep) -> tuple[Placed, ...]:
        group_row, place, number = slots_and_indices(
            group_counts(keep, self.length) > 0, self.groups, self.of_groups
        )
        # Which place, and by its number which group, each slot of the kept groups is of.
        row, slot, index = slots_and_indices(keep, self.count, self.length)
        groups = -(-keep.shape[1] // self.length)
        line = row * groups + slot // self.count
        at = _order_of(line)
        group = place // self.groups * self.of_groups + number
        of_row = group_row[at]
        return (
            Placed(
                keep,
                of_row,
                place[at] * self.count + slot % self.count,
                group[at] * self.length + index,
            ),
        )


def _order_of(lines: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each item of a rising array, how many other values stand before its own."""
    if not len(lines):
        return lines
    return np.cumsum(np.concatenate([[0], lines[1:] != lines[:-1]])).astype(np.int64)
