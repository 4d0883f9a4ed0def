"""Blocks of rows that are N:M beside blocks that keep everything."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.group_pattern import GroupPattern, best_of, broken_group
from pruning.patterns.pattern import Break, Local, Pruned, Target
from pruning.selection.groups import best_of_groups, group_counts
from pruning.selection.tie_breaking import best_first
from sparse_formats.errors import SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import VectorLayout
from sparse_formats.storage import Storage


@dataclass(frozen=True)
class NMOrDense(GroupPattern):
    """Each `height` rows are `count`:`length`, or keep all of their weights.

    Source: Spense (Lee et al., arXiv 2606.10445), a 2:4 region and a dense one in each matrix; that
    regions are made of blocks of rows is our inference. Without a sparsity of its own no block is
    dense.
    """

    height: int = 16

    numbers: ClassVar = ("count", "length", "height")
    fits_rows: ClassVar = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.height < 1:
            raise SettingError("pattern", f"has blocks of {self.height} rows; give 1 or more")

    @property
    def densest(self) -> float:
        """Every block may be dense."""
        return 1.0

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """The best N of each group, and all of the blocks that gain most by it, as many as fit.

        Where `kept` is less than N:M holds, the best of that.
        """
        full, held = self.fullest(targets)
        if kept < held:
            return [Pruned(keep) for keep in best_of(full, targets, kept)]
        gains, costs = [], []
        for keep, target in zip(full, targets, strict=True):
            rows = np.arange(0, len(keep), self.height)
            dropped = np.where(keep, np.float32(0), target.scores).sum(1, dtype=np.float64)
            gains.append(np.add.reduceat(dropped, rows))
            costs.append(np.add.reduceat(np.count_nonzero(~keep, axis=1), rows))
        every, cost = np.concatenate(gains), np.concatenate(costs)
        room, dense = kept - held, np.zeros(len(every), np.bool_)
        for block in best_first(every / np.maximum(cost, 1)):
            if cost[block] <= room:
                dense[block] = True
                room -= int(cost[block])
        masks, begin = [], 0
        for keep, gain in zip(full, gains, strict=True):
            mine = dense[begin : begin + len(gain)]
            begin += len(gain)
            masks.append(Pruned(keep | np.repeat(mine, self.height)[: len(keep), None]))
        return masks

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first group that keeps more than N in a block that does not keep everything."""
        for matrix in matrices:
            counts, _ = group_counts(matrix.keep, self.length)
            wrong = (counts > self.count) & ~self._dense_rows(matrix.keep)[:, None]
            found = broken_group(matrix, counts, wrong, self.length)
            if found is not None:
                return found
        return None

    def local(self, keep: NDArray[np.bool_], layout: VectorLayout | None) -> Local:
        """The best N of the groups in some columns, and all of them where blocks are dense."""
        dense = self._dense_rows(keep)

        def choose(scores: NDArray[np.float32], kept: int) -> NDArray[np.bool_]:
            return best_of_groups(scores, self.count, self.length) | dense[:, None]

        return Local(self.length, choose, None)

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """In the format n_m_or_dense."""
        from sparse_formats.formats.n_m_or_dense import NMOrDense as Format

        numbers = self.count, self.length, self.height
        return Format.encode(matrix.keep, None, *numbers).storage(value_bits)

    def _dense_rows(self, keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The rows of blocks that keep everything."""
        if not len(keep):
            return np.zeros(0, np.bool_)
        whole = np.logical_and.reduceat(keep.all(1), np.arange(0, len(keep), self.height))
        return np.repeat(whole, self.height)[: len(keep)]
