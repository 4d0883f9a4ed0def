"""Drawn masks of aligned vectors of several lengths."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.synthetic.drawn_pattern import DrawnPattern, Order, subset
from sparse_formats.masks.vectors import TILE, Orientation, VectorLayout

SHARE_OF_LENGTH = {64: 0.20, 32: 0.20, 16: 0.25, 8: 0.20, 4: 0.15}
"""Share of the kept weights that vectors of each length take.

Chosen, not measured: every length of the menu but 1 well represented, mean length about 11. A
share that makes no whole vector passes to the next shorter length.
"""


@dataclass(frozen=True)
class MixedVectors(DrawnPattern):
    """Vectors of the lengths in `SHARE_OF_LENGTH`, each matrix in the orientation of its kind."""

    def mask(self, order: Order) -> MaskedMatrix:
        """The mask with its vectors; it keeps up to 3 weights more than asked for."""
        vectors = planted(order.size, order.nnz, order.orientation, order.rng())
        keep = vectors.keep(order.size)
        return MaskedMatrix(order.shape.name, keep, kind=order.shape.kind, vectors=vectors)


@dataclass(frozen=True)
class TiledVectors(DrawnPattern):
    """The same, with an orientation for each tile of 64×64, drawn."""

    def mask(self, order: Order) -> MaskedMatrix:
        """The mask; it keeps up to 24 weights more than asked for."""
        rng, keep = order.rng(), np.zeros(order.size, np.bool_)
        parts = [part for half in _halves(keep) for part in _halves(half.T) if part.size]
        done = asked = 0
        for part in parts:
            done += part.size
            wanted = order.nnz * done // keep.size - asked
            asked += wanted
            _fill(part.T, wanted, rng)
        return order.masked(keep)


def _halves(array: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The rows that make whole tiles, and the rest."""
    cut = len(array) // TILE * TILE
    return array[:cut], array[cut:]


def _fill(part: NDArray[np.bool_], nnz: int, rng: np.random.Generator) -> None:
    """Plant vectors into a part of a mask that is made of whole tiles, all of one size.

    The lines of all tiles, rows of the ones and columns of the others, are the rows of one matrix.
    """
    height, width = min(TILE, part.shape[0]), min(TILE, part.shape[1])
    down, across = part.shape[0] // height, part.shape[1] // width
    is_turned = rng.random((down, across)) < 0.5
    for turned, (lines, axis) in ((False, (height, width)), (True, (width, height))):
        places = np.argwhere(is_turned == turned)
        share = round(nnz * len(places) / is_turned.size) if not turned else nnz
        nnz -= share
        shape = (len(places) * lines, axis)
        tiles = planted(shape, share, "horizontal", rng).keep(shape).reshape(-1, lines, axis)
        for (i, j), tile in zip(places, tiles, strict=True):
            own = tile.T if turned else tile
            part[i * height : (i + 1) * height, j * width : (j + 1) * width] = own


def planted(
    shape: tuple[int, int], nnz: int, orientation: Orientation, rng: np.random.Generator
) -> VectorLayout:
    """Disjoint aligned vectors that cover `nnz` entries, or up to 3 more.

    From the longest length to the shortest: draw some of the free aligned slots, cut the others
    into slots of the next length.
    """
    line_count, axis = shape if orientation == "horizontal" else shape[::-1]
    lengths = sorted(SHARE_OF_LENGTH, reverse=True)
    # Slots are numbered along padded lines, so that a slot's number tells line and start.
    width = -(-axis // lengths[0]) * lengths[0]
    # In the narrower integer where it suffices: most of the time goes into moving them.
    integer = np.int32 if line_count * width < 2**31 else np.int64
    free = np.arange(0, line_count * width, lengths[0], dtype=integer)
    taken: list[NDArray[np.integer[Any]]] = []
    nominal: list[NDArray[np.int32]] = []
    missing, budget = nnz, 0.0
    for length in lengths:
        if length < lengths[0]:
            parts = np.arange(0, _longer(length, lengths), length, dtype=integer)
            free = (free[:, None] + parts).ravel()
            if axis < width:
                free = free[free % width < axis]
        budget += SHARE_OF_LENGTH[length] * nnz
        last = length == lengths[-1]
        while missing > 0 and len(free):
            # The shortest length fills up what is left; its slots may be cut short at line ends.
            count = max(1, missing // length) if last else int(min(budget, missing) // length)
            drawn = subset(len(free), min(count, len(free)), rng)
            slots, free = free[drawn], free[~drawn]
            covered = int(np.minimum(length, axis - slots % width).sum())
            taken.append(slots)
            nominal.append(np.full(len(slots), length, np.int32))
            missing -= covered
            budget -= covered
            if not last:
                break
    places = np.concatenate([*taken, np.empty(0, integer)])
    order = np.argsort(places)
    places = places[order]
    return VectorLayout(
        orientation,
        (places // width).astype(np.int32),
        (places % width).astype(np.int32),
        np.concatenate([*nominal, np.empty(0, np.int32)])[order],
    )


def _longer(length: int, lengths: list[int]) -> int:
    return lengths[lengths.index(length) - 1]
