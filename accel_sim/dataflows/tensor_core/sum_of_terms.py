"""A mask as a sum of N:M terms, which run one after the other (docs/rivals.md §14).

Source: TASD (Jeong et al., MLSys 2025).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise

import numpy as np

from accel_sim.dataflows.abstract.mask_machine import Keep
from accel_sim.dataflows.tensor_core.mode import Groups, Mode, Placed, Term
from accel_sim.dataflows.tensor_core.n_m import NM, slots_and_indices


@dataclass(frozen=True)
class SumOfTerms(Mode):
    """Each term holds what fits of what the terms before it leave; each M divides the next."""

    parts: tuple[NM, ...]

    @property
    def name(self) -> str:
        return " + ".join(part.name for part in self.parts)

    @property
    def choice(self) -> float:
        return max(part.choice for part in self.parts)

    def holds(self, groups: Groups) -> bool:
        longest = self.parts[-1].length
        room = sum(part.count * (longest // part.length) for part in self.parts)
        if groups.most(longest) > room:
            return False
        length = self.parts[0].length
        left = groups.counts(length).astype(np.int32)
        for part in self.parts:
            if part.length > length and left.size:
                starts = np.arange(0, left.shape[1], part.length // length)
                left, length = np.add.reduceat(left, starts, axis=1), part.length
            left = np.maximum(left - part.count, 0)
        return not left.any()

    def terms(self, keep: Keep) -> tuple[Term, ...]:
        return tuple(term for part in self.parts for term in part.terms(keep))

    def placed(self, keep: Keep) -> tuple[Placed, ...]:
        left, found = keep.copy(), []
        for part in self.parts:
            taken = first_of_groups(left, part.count, part.length)
            found += part.placed(taken)
            left &= ~taken
        return tuple(found)


def first_of_groups(keep: Keep, count: int, length: int) -> Keep:
    """The first `count` kept weights of every `length` inputs."""
    row, slot, index = slots_and_indices(keep, length, length)
    fits = slot % length < count
    taken = np.zeros_like(keep)
    taken[row[fits], (slot // length * length + index)[fits]] = True
    return taken


def sums(modes: Sequence[NM], most: int) -> Iterator[SumOfTerms]:
    """Every sum of 2 … `most` of `modes`, by number of terms, then by the order of `modes`."""
    ordered = sorted(modes, key=lambda mode: mode.length)
    for count in range(2, most + 1):
        for parts in combinations_with_replacement(ordered, count):
            if all(after.length % before.length == 0 for before, after in pairwise(parts)):
                yield SumOfTerms(parts)
