"""Hierarchical N:M: of every H groups at most G keep anything, at most N of M inputs each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.group_pattern import broken_group, filled
from pruning.patterns.pattern import Break, Local, Pattern, Pruned, Target
from pruning.selection.groups import best_of_groups, group_counts
from pruning.selection.weights import top_mask
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.pattern_text import check_groups
from sparse_formats.masks.vectors import VectorLayout
from sparse_formats.storage import Storage


@dataclass(frozen=True)
class HierarchicalNM(Pattern):
    """`groups` of every `of_groups` neighbouring groups, `count` of `length` inputs in each.

    Groups start at multiples of `length` in a row, sets of groups at multiples of `of_groups`
    groups; the last of either may be shorter. Source: HighLight (Wu et al., MICRO 2023), which
    writes G:H → N:M.
    """

    groups: int
    of_groups: int
    count: int
    length: int

    numbers: ClassVar = ("groups", "of_groups", "count", "length")
    fits_rows: ClassVar = True

    def __post_init__(self) -> None:
        check_groups(self.groups, self.of_groups)
        check_groups(self.count, self.length)

    @property
    def density(self) -> float:
        """What full sets of full groups hold."""
        return self.groups * self.count / (self.of_groups * self.length)

    def kept(self, targets: Sequence[Target], sparsity: float) -> int:
        """What the best full groups hold, if `sparsity` is the pattern's own."""
        if abs(sparsity - (1 - self.density)) > 1e-9:
            return super().kept(targets, sparsity)
        return sum(int(np.count_nonzero(self._full(t.scores))) for t in targets)

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """The groups whose best N together are best, in each set; of those weights `kept`.

        Where `kept` is all that they hold, no mask of the pattern keeps more importance.

        Raises:
            InputError: `kept` is more than the groups can hold.
        """
        full = [self._full(t.scores) for t in targets]
        return filled(self, self._text, targets, full, kept)

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first group that keeps more than N, else the first set of more than G groups."""
        for matrix in matrices:
            counts, _ = group_counts(matrix.keep, self.length)
            found = broken_group(matrix, counts, counts > self.count, self.length)
            if found is not None:
                return found
            of_sets, _ = group_counts(counts > 0, self.of_groups)
            if (of_sets > self.groups).any():
                row, place = (int(n) for n in np.argwhere(of_sets > self.groups)[0])
                first = place * self.of_groups * self.length
                last = min(first + self.of_groups * self.length, matrix.shape[1]) - 1
                return Break(
                    matrix.name,
                    row,
                    first,
                    f"row {row}, columns {first}..{last} keep weights of {of_sets[row, place]} "
                    f"groups of {self.length}",
                )
        return None

    def local(self, keep: NDArray[np.bool_], layout: VectorLayout | None) -> Local:
        """The best groups of the sets in some columns; of those weights as many as asked for."""

        def choose(scores: NDArray[np.float32], kept: int) -> NDArray[np.bool_]:
            full = self._full(scores)
            return top_mask(np.where(full, scores, np.float32(-1)), kept) & full

        return Local(self.of_groups * self.length, choose, None)

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """In the format hierarchical_n_m."""
        from sparse_formats.formats.hierarchical_n_m import HierarchicalNM as Format

        numbers = self.groups, self.of_groups, self.count, self.length
        return Format.encode(matrix.keep, None, *numbers).storage(value_bits)

    @property
    def _text(self) -> str:
        return f"{self.groups}:{self.of_groups} groups of {self.count}:{self.length}"

    def _full(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """The best N of each group, in the G groups of each set where these sum to most."""
        best = best_of_groups(scores, self.count, self.length)
        starts = np.arange(0, scores.shape[1], self.length)
        if not scores.size:
            return best
        sums = np.add.reduceat(np.where(best, scores, np.float32(0)), starts, axis=1)
        kept = best_of_groups(sums, self.groups, self.of_groups)
        return best & np.repeat(kept, self.length, axis=1)[:, : scores.shape[1]]
