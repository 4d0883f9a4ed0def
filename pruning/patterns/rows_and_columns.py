"""Row and column pruning: whole outputs, or whole inputs, of one matrix at a time."""

from dataclasses import dataclass

from pruning.patterns.tile_pattern import TilePattern
from pruning.selection.tiles import Tile
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.storage import Storage


class Lines(TilePattern):
    """Lines of one direction stay or go whole."""

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """The lines that are left, dense, and one bit a line that tells which they are."""
        height, width = self.tile(matrix.shape)
        lines = (matrix.shape[0] // height) * (matrix.shape[1] // width) if matrix.size else 0
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
