"""Row and column pruning: whole outputs, or whole inputs, of one matrix at a time."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.pattern import Break, Local, Pattern, Pruned, Target
from pruning.patterns.tiles import Tile, best_tiles, broken_tile, tile_choice
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import VectorLayout
from sparse_formats.storage import Storage


class Lines(Pattern):
    """Lines of one direction stay or go whole."""

    @abstractmethod
    def tile(self, shape: tuple[int, int]) -> Tile:
        """One line of a matrix."""

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """The best lines that fit, by mean importance."""
        scores = [t.scores for t in targets]
        tiles = [self.tile((s.shape[0], s.shape[1])) for s in scores]
        return [Pruned(keep) for keep in best_tiles(scores, tiles, kept)]

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first line that is kept in part."""
        found = (broken_tile(m, self.tile(m.shape)) for m in matrices)
        return next((b for b in found if b is not None), None)

    def local(self, keep: NDArray[np.bool_], layout: VectorLayout | None) -> Local:
        """The best lines."""
        return tile_choice(self.tile((keep.shape[0], keep.shape[1])), keep.shape[0])

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """The lines that are left, dense, and one bit a line that tells which they are."""
        height, width = self.tile(matrix.shape)
        lines = (matrix.shape[0] // height) * (matrix.shape[1] // width) if matrix.keep.size else 0
        return Storage(matrix.nnz * value_bits, lines, 0)


@dataclass(frozen=True)
class Row(Lines):
    """Whole rows: an output is computed or is not."""

    def tile(self, shape: tuple[int, int]) -> Tile:
        """1 × columns."""
        return 1, max(shape[1], 1)


@dataclass(frozen=True)
class Column(Lines):
    """Whole columns: an input is read or is not."""

    def tile(self, shape: tuple[int, int]) -> Tile:
        """Rows × 1."""
        return max(shape[0], 1), 1
