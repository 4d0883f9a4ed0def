"""How a mask is cut into horizontal (1×L) or vertical (L×1) vectors of mixed lengths."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError

Orientation = Literal["horizontal", "vertical"]

ORIENTATIONS: tuple[Orientation, Orientation] = ("horizontal", "vertical")

MENU = (1, 4, 8, 16, 32, 64)
"""Vector lengths on offer; each divides the next, so aligned vectors nest."""

TILE = 64
"""Side of a tile that has an orientation of its own: its lines are as long as a machine word."""


@dataclass(frozen=True, eq=False)
class VectorLayout:
    """The vectors of one matrix, without their values.

    A line is a row (horizontal) or a column (vertical). Vector i covers, on line `lines[i]`,
    the entries `starts[i] … min(starts[i] + lengths[i], axis) − 1`: a vector of the menu that
    would run over the end of its line is cut short there and keeps its nominal length.
    Arrays are int32, one item a vector, sorted by (line, start); vectors are aligned
    (`starts % lengths == 0`) and disjoint.
    """

    orientation: Orientation
    lines: NDArray[np.int32]
    starts: NDArray[np.int32]
    lengths: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.lines)

    def covered(self, axis: int) -> NDArray[np.int32]:
        """Entries each vector really covers on lines of length `axis` (int32)."""
        return np.minimum(self.lengths, np.int32(axis) - self.starts)

    def keep(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """The mask the vectors make: bool, `shape` = (out, in)."""
        rows, cols = shape
        horizontal = self.orientation == "horizontal"
        ends = self.starts + self.covered(cols if horizontal else rows)
        # +1 at each start, −1 behind each end; the running sum is 1 inside a vector.
        # Vectors are disjoint: no two share a start, no two an end.
        if horizontal:
            edges = np.zeros((rows, cols + 1), np.int8)
            edges[self.lines, self.starts] += 1
            edges[self.lines, ends] -= 1
        else:
            edges = np.zeros((rows + 1, cols), np.int8)
            edges[self.starts, self.lines] += 1
            edges[ends, self.lines] -= 1
        np.cumsum(edges, axis=1 if horizontal else 0, out=edges)
        return np.ascontiguousarray(edges[:rows, :cols]).view(np.bool_)

    def check(self, shape: tuple[int, int], where: str) -> None:
        """InputError naming `where` unless the vectors are as this class promises for `shape`."""
        line_count, axis = shape if self.orientation == "horizontal" else shape[::-1]
        arrays = (self.lines, self.starts, self.lengths)
        if any(a.ndim != 1 or a.dtype != np.int32 or len(a) != len(self) for a in arrays):
            raise InputError(f"{where}: lines, starts, lengths must be int32 of one length")
        if not len(self):
            return
        if self.lines.min() < 0 or self.lines.max() >= line_count:
            raise InputError(f"{where}: a vector lies on a line outside 0..{line_count - 1}")
        if self.starts.min() < 0 or self.starts.max() >= axis:
            raise InputError(f"{where}: a vector starts outside 0..{axis - 1}")
        check_menu(tuple(int(length) for length in np.unique(self.lengths)))
        unaligned = self.starts % self.lengths != 0
        if unaligned.any():
            i = int(np.argmax(unaligned))
            raise InputError(
                f"{where}: vector {i} of length {self.lengths[i]} starts at {self.starts[i]}; "
                "a start must be a multiple of the length"
            )
        # One number that grows along a line and from line to line: ends may touch, not overlap.
        first = self.lines.astype(np.int64) * axis + self.starts
        if (first[1:] < first[:-1] + self.covered(axis)[:-1]).any():
            raise InputError(f"{where}: vectors overlap or are not sorted by line and start")


def check_vectors(vectors: VectorLayout, keep: NDArray[np.bool_], where: str) -> None:
    """InputError naming `where` unless `vectors` are well-formed and make up exactly `keep`."""
    rows, cols = keep.shape
    vectors.check((rows, cols), where)
    differs = vectors.keep((rows, cols)) != keep
    if differs.any():
        row, col = (int(i) for i in np.argwhere(differs)[0])
        raise InputError(
            f"{where}: its vectors do not make up its mask; they differ first at row {row}, "
            f"column {col}; drop the vectors or repair the mask"
        )


def check_menu(menu: tuple[int, ...]) -> tuple[int, ...]:
    """`menu` sorted; InputError unless lengths are positive and each divides the next."""
    lengths = tuple(sorted(set(menu)))
    if not lengths or lengths[0] < 1:
        raise InputError(f"vector lengths {list(menu)}: give positive whole numbers, e.g. 1,4,8")
    for short, long in pairwise(lengths):
        if long % short:
            raise InputError(
                f"vector lengths {list(menu)}: {short} does not divide {long}; "
                "each length must divide the next longer one"
            )
    return lengths
