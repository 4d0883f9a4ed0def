"""Drawn masks of aligned rectangles that stay or go whole: vectors, blocks, rows, columns."""

import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.synthetic.drawn_pattern import DrawnPattern, Order, subset
from sparse_formats.masks.vectors import VectorLayout

Tile = tuple[int, int]
"""Height and width."""


class Tiles(DrawnPattern):
    """Tiles of one size per matrix; those at its edges may be smaller."""

    @abstractmethod
    def tile(self, order: Order) -> Tile:
        """How the matrix is cut."""

    def mask(self, order: Order) -> MaskedMatrix:
        """Drawn tiles that come as near to the number asked for as whole tiles can."""
        tile = self.tile(order)
        return order.masked(_spread(self.taken(order), order.size, tile))

    def taken(self, order: Order) -> NDArray[np.bool_]:
        """Which tiles stay, (down, across)."""
        sizes = _sizes(order.size, self.tile(order))
        return drawn_tiles(sizes, order.nnz, order.rng())


@dataclass(frozen=True)
class Vectors(Tiles):
    """Vectors of one length, each matrix in the orientation of its kind."""

    length: int

    def __post_init__(self) -> None:
        if self.length < 1:
            raise SettingError(
                "pattern", f"has vectors of length {self.length}; give 1 or more, e.g. vector:16"
            )

    def tile(self, order: Order) -> Tile:
        """1 × length, or length × 1."""
        return (1, self.length) if order.orientation == "horizontal" else (self.length, 1)

    def mask(self, order: Order) -> MaskedMatrix:
        """The mask with its vectors."""
        taken = self.taken(order)
        lines, places = np.nonzero(taken if order.orientation == "horizontal" else taken.T)
        vectors = VectorLayout(
            order.orientation,
            lines.astype(np.int32),
            (places * self.length).astype(np.int32),
            np.full(len(lines), self.length, np.int32),
        )
        keep = _spread(taken, order.size, self.tile(order))
        return MaskedMatrix(order.shape.name, keep, kind=order.shape.kind, vectors=vectors)


@dataclass(frozen=True)
class Block(Tiles):
    """Blocks of `height` × `width`, square where only one number is given."""

    height: int
    width: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", self.width or self.height)
        if self.height < 1 or self.width < 1:
            raise SettingError(
                "pattern", f"has blocks of {self.height}×{self.width}; give sizes of 1 or more"
            )

    def tile(self, order: Order) -> Tile:
        """One block, whatever the matrix."""
        return self.height, self.width


@dataclass(frozen=True)
class Row(Tiles):
    """Whole rows."""

    def tile(self, order: Order) -> Tile:
        """1 × columns."""
        return 1, order.shape.cols


@dataclass(frozen=True)
class Column(Tiles):
    """Whole columns."""

    def tile(self, order: Order) -> Tile:
        """Rows × 1."""
        return order.shape.rows, 1


def drawn_tiles(sizes: NDArray[np.int64], nnz: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Drawn items whose `sizes` add up as near to `nnz` as they can."""
    flat = sizes.ravel()
    order = rng.permutation(flat.size)
    ends = np.concatenate([[0], np.cumsum(flat[order])])
    taken = np.zeros(flat.size, np.bool_)
    taken[order[: int(np.argmin(np.abs(ends - nnz)))]] = True
    kinds, kind, counts = np.unique(flat, return_inverse=True, return_counts=True)
    near = np.bincount(kind[taken], minlength=len(kinds))
    for one, count in enumerate(nearest_counts(kinds, counts, near, nnz)):
        if count != near[one]:
            taken[np.flatnonzero(kind == one)] = subset(int(counts[one]), int(count), rng)
    return taken.reshape(sizes.shape)


def nearest_counts(
    sizes: NDArray[np.int64], counts: NDArray[np.int64], near: NDArray[np.int64], nnz: int
) -> NDArray[np.int64]:
    """How many items of each size to take, of `counts`, so that they add up as near to `nnz` as any
    can; of several ways the one that differs least from `near`, which comes within one item of it.
    """
    most = int(np.argmax(counts))
    others = [i for i in range(len(sizes)) if i != most]
    step, gap = int(sizes[most]), abs(nnz - int(near @ sizes))
    ranges = []
    for i in others:
        # So many more of a size close the gap, and come to multiples of the most frequent one.
        far = -(-gap // int(sizes[i])) + 2 * step // math.gcd(step, int(sizes[i]))
        ranges.append(np.arange(max(0, near[i] - far), min(counts[i], near[i] + far) + 1))
    # Without other sizes it has one row of no numbers.
    grid = np.reshape(np.meshgrid(*ranges, indexing="ij"), (len(others), -1 if others else 1)).T
    rest = nnz - grid @ sizes[others]
    first = np.clip(np.rint(rest / step).astype(np.int64), 0, counts[most])
    apart = np.abs(rest - first * step)
    best = np.lexsort((np.abs(grid - near[others]).sum(1), apart))[0]
    found = np.empty(len(sizes), np.int64)
    found[others], found[most] = grid[best], first[best]
    return found


def _sizes(shape: tuple[int, int], tile: Tile) -> NDArray[np.int64]:
    """Weights in each tile, (down, across)."""
    down, across = (
        np.minimum(step, length - np.arange(0, length, step))
        for length, step in zip(shape, tile, strict=True)
    )
    return np.multiply.outer(down, across)


def _spread(taken: NDArray[np.bool_], shape: tuple[int, int], tile: Tile) -> NDArray[np.bool_]:
    """The mask (out, in) in which the tiles `taken` stay."""
    height, width = min(tile[0], shape[0]), min(tile[1], shape[1])
    wide = np.repeat(np.repeat(taken, height, axis=0), width, axis=1)
    return np.ascontiguousarray(wide[: shape[0], : shape[1]])
