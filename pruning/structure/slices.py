"""Which rows or columns of a matrix a head or a neuron takes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pruning.structure.heads import QKV

ROWS, COLS = 0, 1
"""Axes of a matrix (out, in)."""


@dataclass(frozen=True)
class Slice:
    """The rows (axis 0, outputs) or columns (axis 1, inputs) of matrix `matrix` by unit.

    Unit u takes `size` lines from start + u·stride + (u // every)·gap on: after each `every` units
    there are `gap` lines of something else.
    """

    matrix: str
    axis: int
    start: int
    stride: int
    size: int
    every: int = 1
    gap: int = 0

    def lines(self, unit: int) -> range:
        """The lines of unit number `unit`."""
        first = self.start + unit * self.stride + unit // self.every * self.gap
        return range(first, first + self.size)

    def of_units(self, count: int) -> NDArray[np.intp]:
        """The lines of the units 0 … count − 1, (count, size)."""
        units = np.arange(count)
        first = self.start + units * self.stride + units // self.every * self.gap
        return first[:, None] + np.arange(self.size)

    def cut(self, parts: int) -> "Slice":
        """The same lines with each unit cut into `parts` units."""
        size = self.size // parts
        return Slice(self.matrix, self.axis, self.start, size, size, parts, self.stride - self.size)


def qkv_slices(matrix: str, rows: int, heads: int, dim: int, qkv: QKV) -> list[Slice] | None:
    """Q, K and V in a matrix that holds all three; a unit is a key-value head and all it serves.

    dim: lines of a head. None where the rows are not so many heads, or the layout is not known.
    """
    count, rest = divmod(rows - heads * dim, 2 * dim)
    if qkv == "unknown" or rest or count < 1 or heads % count:
        return None
    served = heads // count * dim
    if qkv == "by_head":
        each = served + 2 * dim
        starts, strides = (0, served, served + dim), (each, each, each)
    else:
        starts, strides = (0, heads * dim, (heads + count) * dim), (served, dim, dim)
    return [
        Slice(matrix, ROWS, start, stride, size)
        for start, stride, size in zip(starts, strides, (served, dim, dim), strict=True)
    ]
