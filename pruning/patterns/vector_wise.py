"""Vector-wise: exactly K kept of every L neighbouring inputs, so that all take the same time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.n_m import (
    best_of_groups,
    broken_group,
    check_group,
    full_groups,
    group_counts,
)
from pruning.patterns.pattern import Break, Local, Pattern, Pruned, Target
from sparse_formats.errors import InputError
from sparse_formats.formats.vector_wise import VectorWise as Format
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import VectorLayout
from sparse_formats.storage import Storage


@dataclass(frozen=True)
class VectorWise(Pattern):
    """Exactly `count` of `length`; the last vector of a row may be shorter and keep fewer.

    Source: Sparse Tensor Core (Zhu et al., MICRO 2019).
    """

    count: int
    length: int

    numbers: ClassVar = ("count", "length")
    fits_rows: ClassVar = True

    def __post_init__(self) -> None:
        check_group(self.count, self.length)

    @property
    def density(self) -> float:
        """K/L."""
        return self.count / self.length

    def kept(self, targets: Sequence[Target], sparsity: float) -> int:
        """What the groups hold when full, if `sparsity` is the pattern's own."""
        if abs(sparsity - (1 - self.density)) > 1e-9:
            return super().kept(targets, sparsity)
        return sum(full_groups(t.scores.shape, self.count, self.length) for t in targets)

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """The best K of each vector.

        Raises:
            InputError: `kept` is another amount than that.
        """
        full = [best_of_groups(t.scores, self.count, self.length) for t in targets]
        most = sum(int(np.count_nonzero(keep)) for keep in full)
        if kept != most:
            raise InputError(
                f"vector_wise:{self.count}:{self.length} keeps exactly {most} of "
                f"{self.size(targets)} weights, not {kept}; leave the sparsity out"
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
        kept = min(self.count, matrix.shape[1])
        return Format.encode(matrix.keep, None, kept, self.length).storage(value_bits)
