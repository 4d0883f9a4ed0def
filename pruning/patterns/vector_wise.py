"""Vector-wise: exactly K kept of every L neighbouring inputs, so that all take the same time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.group_pattern import GroupPattern, broken_group
from pruning.patterns.pattern import Break, Local, Pruned, Target
from pruning.selection.groups import best_of_groups, group_counts
from sparse_formats.errors import SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import VectorLayout
from sparse_formats.storage import Storage


@dataclass(frozen=True)
class VectorWise(GroupPattern):
    """Exactly `count` of `length`; the last vector of a row may keep fewer.

    Source: Sparse Tensor Core (Zhu et al., MICRO 2019).
    """

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """The best K of each vector.

        Raises:
            InputError: `kept` is another amount than that.
        """
        full, most = self.fullest(targets)
        if kept != most:
            raise SettingError(
                "sparsity",
                f"asks for {kept} of {self.size(targets)} weights, but vector_wise:{self.count}:"
                f"{self.length} keeps exactly {most}; leave it out",
            )
        return [Pruned(keep) for keep in full]

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first vector, row by row, that keeps another number than K."""
        for matrix in matrices:
            counts, sizes = group_counts(matrix.keep, self.length)
            # As in the format: only a vector shorter than the others may keep fewer.
            least = np.where(sizes < min(self.length, matrix.shape[1]), 0, self.count)
            least = np.minimum(least, sizes)
            wrong = (counts > self.count) | (counts < least)
            found = broken_group(matrix, counts, wrong, self.length)
            if found is not None:
                return found
        return None

    def local(self, keep: NDArray[np.bool_], layout: VectorLayout | None) -> Local:
        """The best K of the vectors in some columns."""

        def choose(scores: NDArray[np.float32], kept: int) -> NDArray[np.bool_]:
            return best_of_groups(scores, self.count, self.length)

        return Local(self.length, choose, None)

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """In the format vector_wise."""
        from sparse_formats.formats.vector_wise import VectorWise as Format

        kept = min(self.count, matrix.shape[1])
        return Format.encode(matrix.keep, None, kept, self.length).storage(value_bits)
