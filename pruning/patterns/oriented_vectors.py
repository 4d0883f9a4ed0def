"""Vectors of one fixed length, each matrix in the orientation its direction strength names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pruning.direction.strength import direction_strength
from pruning.patterns.pattern import Break, Local, Pattern, Pruned, Target
from pruning.patterns.tile_pattern import in_either_orientation, tile_choice
from pruning.selection.tiles import Tile, best_tiles, tile_sums, vector_layout
from pruning.selection.weights import best_weights
from sparse_formats.errors import SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import VectorLayout
from sparse_formats.storage import Storage


@dataclass(frozen=True)
class OrientedVectors(Pattern):
    """Aligned 1×L vectors where D(L) of the fine-grained mask is positive, L×1 elsewhere.

    D(L) = κ_h(L) − κ_v(L) sees what lives inside heads too; without a full vector in both
    directions the whole-line D decides. Source: this project's definition of D; the pattern is
    TF-MVP's (Yoo et al., DAC 2023) with one length.
    """

    length: int

    numbers: ClassVar = ("length",)

    def __post_init__(self) -> None:
        if self.length < 1:
            raise SettingError(
                "pattern", f"has vectors of length {self.length}; give 1 or more, e.g. vector:16"
            )

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """The best vectors that fit, by mean importance."""
        scores = [t.scores for t in targets]
        tiles = [self._tile(fine) for fine in best_weights(scores, kept)]
        masks = best_tiles(scores, tiles, kept)
        return [
            Pruned(keep, vector_layout(tile_sums(keep, tile) > 0, tile))
            for keep, tile in zip(masks, tiles, strict=True)
        ]

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first vector that is kept in part, where neither orientation fits."""
        found = (in_either_orientation(m, self.length) for m in matrices)
        return next((b for b in found if b is not None), None)

    def local(self, keep: NDArray[np.bool_], layout: VectorLayout | None) -> Local:
        """The best vectors of the same orientation inside some columns."""
        horizontal = layout is None or layout.orientation == "horizontal"
        return tile_choice((1, self.length) if horizontal else (self.length, 1), keep.shape[0])

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """In the format mixed_vectors, with a single length."""
        from sparse_formats.formats.registry import encode

        return encode(matrix, "mixed_vectors").storage(value_bits)

    def _tile(self, fine: NDArray[np.bool_]) -> Tile:
        found = direction_strength(fine, (self.length,))
        strength = found.strength_at(self.length) if self.length > 1 else None
        horizontal = (found.strength if strength is None else strength) >= 0
        return (1, self.length) if horizontal else (self.length, 1)
