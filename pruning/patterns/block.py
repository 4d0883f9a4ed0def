"""Block pruning: aligned rectangles stay or go whole."""

from dataclasses import dataclass
from typing import ClassVar

from pruning.patterns.tile_pattern import TilePattern
from pruning.selection.tiles import Tile
from sparse_formats.errors import SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.storage import Storage


@dataclass(frozen=True)
class Block(TilePattern):
    """Blocks of `height` × `width`, square where only one number is given.

    Importance of a block is the sum of its weights' (Lagunas et al. 2021, one score a block).
    """

    height: int
    width: int = 0

    numbers: ClassVar = ("height", "width")

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", self.width or self.height)
        if self.height < 1 or self.width < 1:
            raise SettingError(
                "pattern", f"has blocks of {self.height}×{self.width}; give sizes of 1 or more"
            )

    def tile(self, shape: tuple[int, int]) -> Tile:
        """One block, whatever the matrix."""
        return self.height, self.width

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """In the format bsr, or as a bitmap where blocks are not square."""
        from sparse_formats.formats.bsr import BSR

        if self.height != self.width:
            return super().storage(matrix, value_bits)
        return BSR.encode(matrix.keep, None, self.height).storage(value_bits)
