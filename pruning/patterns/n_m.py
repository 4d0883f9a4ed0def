"""N:M: at most N kept of every M neighbouring inputs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.group_pattern import GroupPattern, broken_group, filled
from pruning.patterns.pattern import Break, Local, Pruned, Target
from pruning.selection.groups import best_of_groups, full_groups, group_counts
from pruning.selection.weights import top_mask
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import VectorLayout
from sparse_formats.storage import Storage


@dataclass(frozen=True)
class NM(GroupPattern):
    """At most `count` of `length`; N counts the kept (NVIDIA's convention)."""

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """The best N of each group; where `kept` is less, the best of those over all groups.

        Raises:
            InputError: `kept` is more than the groups can hold.
        """
        full, _ = self.fullest(targets)
        return filled(self, f"{self.count}:{self.length}", targets, full, kept)

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first group, row by row, that keeps more than N."""
        for matrix in matrices:
            counts, _ = group_counts(matrix.keep, self.length)
            found = broken_group(matrix, counts, counts > self.count, self.length)
            if found is not None:
                return found
        return None

    def local(self, keep: NDArray[np.bool_], layout: VectorLayout | None) -> Local:
        """The best N of the groups in some columns; of those the best where `keep` has fewer."""
        is_full = np.count_nonzero(keep) >= full_groups(keep.shape, self.count, self.length)

        def choose(scores: NDArray[np.float32], kept: int) -> NDArray[np.bool_]:
            full = best_of_groups(scores, self.count, self.length)
            return full if is_full else top_mask(np.where(full, scores, -1), kept) & full

        return Local(self.length, choose, None)

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """In the format n_m."""
        from sparse_formats.formats.n_m import NM as Format

        return Format.encode(matrix.keep, None, self.count, self.length).storage(value_bits)
