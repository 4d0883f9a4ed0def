"""Mixed-length vectors with an orientation of their own for every 64×64 tile.

Each tile is a small matrix with lines of up to 64 entries. At a common price of a kept weight a
tile takes the orientation in which its best vectors are worth more; then its lines are rows of one
long matrix, and the search of `selection.vectors` fills the budget over all of them.

Source: this project's own (algorithm C per tile).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.mixed_vectors import VectorsOfAMenu
from pruning.patterns.pattern import Break, Pruned, Target
from pruning.patterns.tile_pattern import in_either_orientation
from pruning.selection.vectors.candidates import Candidate
from pruning.selection.vectors.search import cut_as, guess, largest, line_values, search
from sparse_formats.errors import SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import TILE
from sparse_formats.storage import Storage

NEAR = 0.04
"""Share of the target that two prices may differ in, one of which orientations are chosen by
(chosen)."""


@dataclass(frozen=True)
class _Turned:
    """Which tiles are worth more in columns at one price, and the weights that are kept then."""

    tau: float
    nnz: int
    vertical: list[NDArray[np.bool_]]


@dataclass(frozen=True)
class TiledVectors(VectorsOfAMenu):
    """Aligned vectors of the lengths in `menu`, up to 64, all of a tile in one orientation."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.menu[-1] > TILE:
            raise SettingError(
                "menu", f"has length {self.menu[-1]}, and a tile has lines of {TILE} entries"
            )

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """Vectors worth `kept` weights, within one vector."""
        masks = [np.zeros(t.scores.shape, np.bool_) for t in targets]
        views = [
            pair
            for target, mask in zip(targets, masks, strict=True)
            for pair in zip(_tiled(target.scores), _tiled(mask), strict=True)
        ]
        chosen_at = self._turned([scores for scores, _ in views], kept)
        halves = [
            (keep, chosen, turned, _lines(scores[chosen], turned))
            for (scores, keep), vertical in zip(views, chosen_at.vertical, strict=True)
            for turned, chosen in ((False, _places(~vertical)), (True, _places(vertical)))
            if len(chosen[0])
        ]
        candidate = Candidate("horizontal", self.menu, self.vector_cost)
        cuts = cut_as([lines for *_, lines in halves], candidate, kept, chosen_at.tau)
        for (keep, chosen, turned, _), pruned in zip(halves, cuts, strict=True):
            height, width = keep.shape[2:]
            shape = (-1, width, height) if turned else (-1, height, width)
            found = pruned.keep.reshape(shape)
            keep[chosen] = found.swapaxes(1, 2) if turned else found
        return [Pruned(mask) for mask in masks]

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first tile whose mask is made of the shortest vectors in neither orientation."""
        shortest = self.menu[0]
        for matrix in matrices if shortest > 1 else ():
            rows, cols = matrix.shape
            for row in range(0, rows, TILE):
                for col in range(0, cols, TILE):
                    keep = matrix.keep[row : row + TILE, col : col + TILE]
                    if in_either_orientation(MaskedMatrix(matrix.name, keep), shortest) is None:
                        continue
                    return Break(
                        matrix.name,
                        row,
                        col,
                        f"the tile of rows {row}..{row + keep.shape[0] - 1}, columns {col}.."
                        f"{col + keep.shape[1] - 1} is made of neither 1×{shortest} nor "
                        f"{shortest}×1 vectors",
                    )
        return None

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """In the format mixed_vectors_tiled."""
        from sparse_formats.formats.mixed_vectors_tiled import MixedVectorsTiled

        return MixedVectorsTiled.encode(matrix.keep, None).storage(value_bits)

    def _turned(self, tiles: Sequence[NDArray[np.float32]], kept: int) -> _Turned:
        """Which tiles are worth more in columns, at a price at which about `kept` weights stay."""
        candidate = Candidate("horizontal", self.menu, self.vector_cost)
        ways = [[_lines(t.reshape(-1, *t.shape[2:]), turned) for turned in (0, 1)] for t in tiles]

        def at(tau: float) -> _Turned:
            vertical: list[NDArray[np.bool_]] = []
            nnz = 0
            for tile, pair in zip(tiles, ways, strict=True):
                values, sizes = zip(
                    *(line_values(lines, candidate, tau, tile[..., 0, 0].size) for lines in pair),
                    strict=True,
                )
                vertical.append((values[1] > values[0]).reshape(tile.shape[:2]))
                nnz += int(np.where(vertical[-1].ravel(), sizes[1], sizes[0]).sum())
            return _Turned(tau, nnz, vertical)

        found = search(at, kept, guess(tiles, kept), largest(tiles), NEAR, step=1.25)
        return min(found, key=lambda turned: abs(turned.nnz - kept))


def _tiled(array: NDArray[Any]) -> list[NDArray[Any]]:
    """Views (down, across, height, width) of the tiles: whole ones, then those at the edges."""
    views = []
    for whole_rows in (True, False):
        for whole_cols in (True, False):
            part = _whole_or_rest(_whole_or_rest(array, whole_rows).T, whole_cols).T
            if not part.size:
                continue
            height, width = min(TILE, part.shape[0]), min(TILE, part.shape[1])
            down, across = part.shape[0] // height, part.shape[1] // width
            strides = part.strides
            views.append(
                np.lib.stride_tricks.as_strided(
                    part,
                    (down, across, height, width),
                    (strides[0] * height, strides[1] * width, *strides),
                )
            )
    return views


def _whole_or_rest(array: NDArray[Any], whole: bool) -> NDArray[Any]:
    cut = len(array) // TILE * TILE
    return array[:cut] if whole else array[cut:]


def _places(chosen: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    down, across = np.nonzero(chosen)
    return down, across


def _lines(tiles: NDArray[np.float32], turned: bool | int) -> NDArray[np.float32]:
    """The lines of tiles (n, height, width), one a row: their rows, or their columns."""
    upright = tiles.swapaxes(1, 2) if turned else tiles
    return np.ascontiguousarray(upright).reshape(-1, upright.shape[2])
