"""Vectors of one fixed length, each matrix in one orientation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pruning.direction.orientation import orientation_at
from pruning.patterns.pattern import Break, Local, Pruned, Target
from pruning.patterns.tile_pattern import tile_choice, vector_tile
from pruning.patterns.vector_pattern import VectorPattern
from pruning.selection.tiles import best_tiles, tile_sums, vector_layout
from pruning.selection.weights import best_weights
from sparse_formats.errors import SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import Orientation, VectorLayout
from sparse_formats.storage import Storage


@dataclass(frozen=True)
class OrientedVectors(VectorPattern):
    """Aligned vectors of `length`.

    Importance favours horizontal ones where D(L) of the fine-grained mask is positive.
    D(L) = κ_h(L) − κ_v(L) sees what lives inside heads too; without a full vector in both
    directions the whole-line D decides. Source: this project's own definition of D; the pattern is
    TF-MVP's (Yoo et al., DAC 2023) with one length.
    """

    length: int

    numbers: ClassVar = ("length",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.length < 1:
            raise SettingError(
                "pattern", f"has vectors of length {self.length}; give 1 or more, e.g. vector:16"
            )

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """The best vectors that fit, by mean importance."""
        scores = [t.scores for t in targets]
        tiles = [vector_tile(o, self.length) for o in self.orientations(targets, kept)]
        masks = best_tiles(scores, tiles, kept)
        return [
            Pruned(keep, vector_layout(tile_sums(keep, tile) > 0, tile))
            for keep, tile in zip(masks, tiles, strict=True)
        ]

    def favoured(self, targets: Sequence[Target], kept: int) -> list[Orientation]:
        """As the direction strength of the fine-grained mask of the same budget says."""
        fine = best_weights([t.scores for t in targets], kept)
        return [orientation_at(mask, self.length) for mask in fine]

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first vector that is kept in part, in no orientation allowed."""
        return self.first_broken(matrices, self.length)

    def local(self, keep: NDArray[np.bool_], layout: VectorLayout | None) -> Local:
        """The best vectors of the same orientation inside some columns."""
        orientation = "horizontal" if layout is None else layout.orientation
        return tile_choice(vector_tile(orientation, self.length), keep.shape[0])

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """In the format mixed_vectors, with a single length."""
        from sparse_formats.formats.registry import encode

        return encode(matrix, "mixed_vectors").storage(value_bits)
