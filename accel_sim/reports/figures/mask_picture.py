"""What a mask looks like: its density in at most 64×64 cells, and one part of it, true to size."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.masks.decompose import decompose_oriented
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import Orientation

SIDE = 64
"""Cells of the density picture, and rows and columns of the part; vectors do not cross it."""

_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@dataclass(frozen=True)
class MaskPicture:
    """Strings hold a number from 0 to 63 a character, in the order of base64.

    density: of `cells` (rows, columns), row by row, in 63rds of `top`, the densest cell's.
    part: first row and column of the part, its rows and columns; part_density: of it.
    vectors: of the part: line, start and length − 1 of each; a line is a row if `orientation` is
    "horizontal", else a column. orientation: "" where the machine cuts no vectors, and every kept
    weight is drawn by itself.
    """

    cells: tuple[int, int]
    top: float
    density: str
    part: tuple[int, int, int, int]
    part_density: float
    orientation: str
    vectors: str

    def as_data(self) -> dict[str, Any]:
        """For the page."""
        return {
            "cells": self.cells,
            "top": self.top,
            "density": self.density,
            "part": self.part,
            "partDensity": self.part_density,
            "orientation": self.orientation,
            "vectors": self.vectors,
        }


def mask_picture(matrix: MaskedMatrix, orientation: str) -> MaskPicture | None:
    """The picture of a mask; None if it has no entries.

    orientation: of what the machine's lanes work on, "" if it cuts no vectors. The part is the
    block of 64×64, aligned as vectors are, whose density is nearest to that of the matrix.
    """
    keep = matrix.keep
    rows, cols = keep.shape
    if not keep.size:
        return None
    bits = keep.view(np.uint8)
    density = _density(bits, _edges(rows), _edges(cols))
    top = float(density.max())
    levels = np.rint(63 * density / top).astype(np.uint8) if top else density.astype(np.uint8)
    part = _typical(bits, matrix.nnz / keep.size)
    first_row, first_col, part_rows, part_cols = part
    shown = np.ascontiguousarray(
        keep[first_row : first_row + part_rows, first_col : first_col + part_cols]
    )
    return MaskPicture(
        (density.shape[0], density.shape[1]),
        top,
        _text(levels.ravel()),
        part,
        float(shown.mean()),
        orientation,
        _vectors(shown, orientation),
    )


def _edges(length: int) -> NDArray[np.intp]:
    """First entry of each of at most `SIDE` parts, as equal as they can be."""
    count = min(length, SIDE)
    return np.arange(count) * length // count


def _density(
    bits: NDArray[np.uint8], row_edges: NDArray[np.intp], col_edges: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Kept share of each cell."""
    rows, cols = bits.shape
    by_rows = np.add.reduceat(bits, row_edges, axis=0, dtype=np.int32)
    kept = np.add.reduceat(by_rows, col_edges, axis=1)
    sizes = np.outer(np.diff([*row_edges, rows]), np.diff([*col_edges, cols]))
    return kept / sizes


def _typical(bits: NDArray[np.uint8], density: float) -> tuple[int, int, int, int]:
    """First row, first column, rows and columns of the part; ties go to the first."""
    rows, cols = bits.shape
    tall, wide = min(rows, SIDE), min(cols, SIDE)
    # Blocks that are cut off at the end are left out.
    whole = bits[: rows // tall * tall, : cols // wide * wide]
    starts = np.arange(0, whole.shape[0], tall), np.arange(0, whole.shape[1], wide)
    off = np.abs(_density(whole, *starts) - density)
    row, col = np.unravel_index(int(off.argmin()), off.shape)
    return int(row) * tall, int(col) * wide, tall, wide


def _vectors(keep: NDArray[np.bool_], orientation: str) -> str:
    if orientation in ("horizontal", "vertical"):
        way: Orientation = "horizontal" if orientation == "horizontal" else "vertical"
        layout = decompose_oriented(keep, way)
        axis = keep.shape[1] if way == "horizontal" else keep.shape[0]
        triples = (layout.lines, layout.starts, layout.covered(axis) - 1)
    else:
        lines, starts = np.nonzero(keep)
        triples = (lines, starts, np.zeros_like(lines))
    return _text(np.stack(triples, axis=1).ravel())


def _text(numbers: NDArray[Any]) -> str:
    """A character for each number from 0 to 63."""
    return "".join(map(_DIGITS.__getitem__, numbers.tolist()))
