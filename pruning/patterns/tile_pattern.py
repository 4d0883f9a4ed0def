"""What patterns of aligned rectangles that stay or go whole have in common."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.pattern import Break, Local, Pattern, Pruned, Target
from pruning.selection.tiles import Tile, best_tiles, tile_sizes, tile_sums
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import ORIENTATIONS, Orientation, VectorLayout


class TilePattern(Pattern):
    """Tiles of one size per matrix stay or go whole, those of largest mean importance stay."""

    @abstractmethod
    def tile(self, shape: tuple[int, int]) -> Tile:
        """Height and width of a tile in a matrix (out, in)."""

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """The best tiles that fit."""
        scores = [t.scores for t in targets]
        tiles = [self.tile((s.shape[0], s.shape[1])) for s in scores]
        return [Pruned(keep) for keep in best_tiles(scores, tiles, kept)]

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first tile that is kept in part."""
        found = (broken_tile(m, self.tile(m.shape)) for m in matrices)
        return next((b for b in found if b is not None), None)

    def local(self, keep: NDArray[np.bool_], layout: VectorLayout | None) -> Local:
        """The best tiles inside some columns."""
        return tile_choice(self.tile((keep.shape[0], keep.shape[1])), keep.shape[0])


def broken_tile(matrix: MaskedMatrix, tile: Tile) -> Break | None:
    """The first tile, row by row, that is kept in part."""
    rows, cols = matrix.shape
    counts, sizes = tile_sums(matrix.keep, tile), tile_sizes(matrix.shape, tile)
    broken = (counts > 0) & (counts < sizes)
    if not broken.any():
        return None
    i, j = (int(n) for n in np.argwhere(broken)[0])
    row, col = i * tile[0], j * tile[1]
    return Break(
        matrix.name,
        row,
        col,
        f"rows {row}..{min(row + tile[0], rows) - 1}, columns {col}.."
        f"{min(col + tile[1], cols) - 1} keep {int(counts[i, j])} of {sizes[i, j]}",
    )


def tile_choice(tile: Tile, rows: int) -> Local:
    """Choosing tiles inside some columns."""
    height, width = min(tile[0], max(rows, 1)), tile[1]

    def choose(scores: NDArray[np.float32], kept: int) -> NDArray[np.bool_]:
        return best_tiles([scores], [(height, width)], kept)[0]

    return Local(width, choose, (height, width))


def vector_tile(orientation: Orientation, length: int) -> Tile:
    """The tile that a vector is."""
    return (1, length) if orientation == "horizontal" else (length, 1)


def broken_vector(
    matrix: MaskedMatrix, length: int, orientations: Sequence[Orientation] = ORIENTATIONS
) -> Break | None:
    """None if the mask is made of aligned vectors in one of `orientations`.

    Else the first vector that is kept in part, in the orientation in which it comes last.
    """
    breaks = [broken_tile(matrix, vector_tile(o, length)) for o in orientations]
    found = [b for b in breaks if b is not None]
    return max(found, key=lambda b: (b.row, b.col)) if len(found) == len(breaks) else None
