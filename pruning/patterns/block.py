"""Block pruning: aligned rectangles stay or go whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.pattern import Break, Local, Pattern, Pruned, Target
from pruning.patterns.tiles import best_tiles, broken_tile, tile_choice
from sparse_formats.errors import InputError
from sparse_formats.formats.bsr import BSR
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import VectorLayout
from sparse_formats.storage import Storage


@dataclass(frozen=True)
class Block(Pattern):
    """Blocks of `height` × `width`, square where only one number is given.

    Importance of a block is the sum of its weights' (Lagunas et al. 2021, one score a block).
    """

    height: int
    width: int = 0

    numbers: ClassVar = ("height", "width")

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", self.width or self.height)
        if self.height < 1 or self.width < 1:
            raise InputError(f"block {self.height}×{self.width}: give sizes of 1 or more")

    @property
    def tile(self) -> tuple[int, int]:
        return self.height, self.width

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """The best blocks that fit."""
        scores = [t.scores for t in targets]
        return [Pruned(keep) for keep in best_tiles(scores, [self.tile] * len(scores), kept)]

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first block that is kept in part."""
        return next((b for m in matrices if (b := broken_tile(m, self.tile)) is not None), None)

    def local(self, keep: NDArray[np.bool_], layout: VectorLayout | None) -> Local:
        """The best blocks inside some columns."""
        return tile_choice(self.tile, keep.shape[0])

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """In the format bsr, or as a bitmap where blocks are not square."""
        if self.height != self.width:
            return super().storage(matrix, value_bits)
        return BSR.encode(matrix.keep, None, self.height).storage(value_bits)
