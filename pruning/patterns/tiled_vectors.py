"""Mixed-length vectors with an orientation of their own for every 64×64 tile.

Each tile is a small matrix with lines of up to 64 entries. At a common price of a kept weight a
tile takes the orientation in which its best vectors are worth more; then its lines are rows of one
long matrix, and the search of `selection.vectors` fills the budget over all of them.

Source: this project's own (algorithm C per tile).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.mixed_vectors import VectorsOfAMenu
from pruning.patterns.pattern import Break, Pool, Pruned, Target
from pruning.patterns.tile_pattern import broken_vector
from pruning.selection.vectors.candidates import Candidate
from pruning.selection.vectors.search import cut_as, guess, largest, line_values, search
from pruning.selection.vectors.simulated import ErrorOf
from sparse_formats.errors import SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import TILE
from sparse_formats.storage import Storage

NEAR = 0.04
"""Share of the target that two prices may differ in, one of which orientations are chosen by
(chosen)."""


Vertical = list[NDArray[np.bool_]]
"""Tiles of a matrix that are cut into columns: (down, across) for each view that `_tiled` gives."""


@dataclass(frozen=True)
class _Turned:
    """Which tiles are worth more in columns at one price, and the weights that are kept then."""

    tau: float
    nnz: int
    vertical: list[Vertical]


@dataclass(frozen=True)
class TiledVectors(VectorsOfAMenu):
    """Aligned vectors of the lengths in `menu`, up to 64, all of a tile in one orientation.

    vertical: tiles whose orientation is settled already, by the name of the matrix.
    """

    vertical: Mapping[str, Vertical] = field(default_factory=dict, kw_only=True, hash=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.menu[-1] > TILE:
            raise SettingError(
                "menu", f"has length {self.menu[-1]}, and a tile has lines of {TILE} entries"
            )

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """Vectors worth `kept` weights, within one vector."""
        masks = [np.zeros(t.scores.shape, np.bool_) for t in targets]
        turned = self._turned(targets, kept)
        halves = [
            (keep, chosen, is_turned, _lines(scores[chosen], is_turned))
            for target, mask, vertical in zip(targets, masks, turned.vertical, strict=True)
            for scores, keep, down in zip(
                _tiled(target.scores), _tiled(mask), vertical, strict=True
            )
            for is_turned, chosen in ((False, _places(~down)), (True, _places(down)))
            if len(chosen[0])
        ]
        candidate = Candidate("horizontal", self.menu, self.vector_cost)
        cuts = cut_as([lines for *_, lines in halves], candidate, kept, turned.tau)
        for (keep, chosen, is_turned, _), pruned in zip(halves, cuts, strict=True):
            height, width = keep.shape[2:]
            shape = (-1, width, height) if is_turned else (-1, height, width)
            found = pruned.keep.reshape(shape)
            keep[chosen] = found.swapaxes(1, 2) if is_turned else found
        return [Pruned(mask) for mask in masks]

    def settle(self, pools: Sequence[Pool], error_of: ErrorOf | None = None) -> Self:
        """The pattern with the orientations that tiles have on these scores, from now on."""
        found = {
            target.name: vertical
            for targets, kept in pools
            for target, vertical in zip(targets, self._turned(targets, kept).vertical, strict=True)
        }
        return replace(self, vertical={**self.vertical, **found})

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first tile whose mask is made of the shortest vectors in neither orientation."""
        shortest = self.menu[0]
        for matrix in matrices if shortest > 1 else ():
            rows, cols = matrix.shape
            for row in range(0, rows, TILE):
                for col in range(0, cols, TILE):
                    keep = matrix.keep[row : row + TILE, col : col + TILE]
                    if broken_vector(MaskedMatrix(matrix.name, keep), shortest) is None:
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

    def _turned(self, targets: Sequence[Target], kept: int) -> _Turned:
        """Which tiles are worth more in columns, at a price at which about `kept` weights stay."""
        tiled = [_tiled(t.scores) for t in targets]
        near = guess([tiles for views in tiled for tiles in views], kept)
        if all(t.name in self.vertical for t in targets):
            return _Turned(near, kept, [self.vertical[t.name] for t in targets])
        candidate = Candidate("horizontal", self.menu, self.vector_cost)
        ways = [
            [
                [_lines(tiles.reshape(-1, *tiles.shape[2:]), turned) for turned in (0, 1)]
                for tiles in views
            ]
            for views in tiled
        ]

        def at(tau: float) -> _Turned:
            vertical: list[list[NDArray[np.bool_]]] = []
            nnz = 0
            for views, pairs in zip(tiled, ways, strict=True):
                vertical.append([])
                for tiles, pair in zip(views, pairs, strict=True):
                    count = tiles.shape[0] * tiles.shape[1]
                    values, sizes = zip(
                        *(line_values(lines, candidate, tau, count) for lines in pair),
                        strict=True,
                    )
                    down = values[1] > values[0]
                    vertical[-1].append(down.reshape(tiles.shape[:2]))
                    nnz += int(np.where(down, sizes[1], sizes[0]).sum())
            return _Turned(tau, nnz, vertical)

        top = largest([t.scores for t in targets])
        found = search(at, kept, near, top, NEAR, step=1.25)
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
