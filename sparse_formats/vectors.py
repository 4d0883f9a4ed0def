"""How a mask is cut into horizontal (1×L) or vertical (L×1) vectors of mixed lengths."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError

Orientation = Literal["horizontal", "vertical"]

MENU = (1, 4, 8, 16, 32, 64)
"""Vector lengths on offer; each divides the next, so aligned vectors nest."""


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
        line_count, axis = shape if self.orientation == "horizontal" else shape[::-1]
        # +1 at each start, −1 behind each end; the running sum is 1 inside a vector.
        edges = np.zeros((line_count, axis + 1), np.int8)
        ends = self.starts + self.covered(axis)
        np.add.at(edges, (self.lines, self.starts), 1)
        np.add.at(edges, (self.lines, ends), -1)
        kept = np.cumsum(edges[:, :axis], axis=1, dtype=np.int8).astype(np.bool_)
        return kept if self.orientation == "horizontal" else np.ascontiguousarray(kept.T)


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
