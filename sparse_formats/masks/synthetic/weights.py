"""Drawn masks of single weights: any of them, or so many of each group of neighbours."""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.pattern_text import LONGEST_GROUP
from sparse_formats.masks.synthetic.drawn_pattern import DrawnPattern, Order, subset


@dataclass(frozen=True)
class Fine(DrawnPattern):
    """Any weights, all alike."""

    def mask(self, order: Order) -> MaskedMatrix:
        """Exactly the number asked for."""
        rows, cols = order.size
        return order.masked(subset(rows * cols, order.nnz, order.rng()).reshape(order.size))


@dataclass(frozen=True)
class Groups(DrawnPattern):
    """`count` of every `length` neighbouring inputs, drawn in each group."""

    count: int
    length: int

    def __post_init__(self) -> None:
        if not 1 <= self.count <= self.length <= LONGEST_GROUP:
            raise SettingError(
                "pattern",
                f"is {self.count}:{self.length}; the first number is how many are kept, the second "
                f"of how many, up to {LONGEST_GROUP}, e.g. 2:4",
            )

    @property
    def density(self) -> float:
        """What full groups hold."""
        return self.count / self.length

    def full(self, order: Order, rng: np.random.Generator) -> NDArray[np.bool_]:
        """A mask whose groups are all full; the last one of a row may be shorter."""
        rows, cols = order.size
        groups, rest = divmod(cols, self.length)
        keep = np.empty((rows, cols), np.bool_)
        whole = _chosen(rows * groups, self.count, self.length, rng)
        keep[:, : cols - rest] = whole.reshape(rows, cols - rest)
        keep[:, cols - rest :] = _chosen(rows, min(self.count, rest), rest, rng)
        return keep


@dataclass(frozen=True)
class NM(Groups):
    """At most `count` of each group."""

    def mask(self, order: Order) -> MaskedMatrix:
        """Full groups where the density is the pattern's own; else a drawn part of them."""
        rng = order.rng()
        keep = self.full(order, rng)
        held = int(np.count_nonzero(keep))
        if abs(order.density - self.density) > _SAME and order.nnz < held:
            keep[keep] = subset(held, order.nnz, rng)
        return order.masked(keep)


@dataclass(frozen=True)
class VectorWise(Groups):
    """Exactly `count` of each group."""

    @property
    def is_rigid(self) -> bool:
        """No group may keep fewer."""
        return True

    def mask(self, order: Order) -> MaskedMatrix:
        """Full groups."""
        return order.masked(self.full(order, order.rng()))


_SAME = 1e-9
"""Densities that differ by less are the same."""

_MOST_WAYS = 1 << 14
"""Ways to choose in a group up to which they are listed, and one is drawn for each group."""

_AT_ONCE = 1 << 22
"""Numbers drawn at once where ways are not listed."""


def _chosen(groups: int, count: int, length: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(groups, length), `count` in each row, uniformly drawn."""
    if not groups or not length:
        return np.zeros((groups, length), np.bool_)
    if math.comb(length, count) <= _MOST_WAYS:
        places = np.array(list(combinations(range(length), count)), np.intp)
        ways = np.zeros((len(places), length), np.bool_)
        np.put_along_axis(ways, places, True, axis=1)
        return ways[rng.integers(0, len(ways), groups, np.uint16)]
    keep = np.zeros((groups, length), np.bool_)
    step = max(1, _AT_ONCE // length)
    for first in range(0, groups, step):
        part = keep[first : first + step]
        places = rng.random(part.shape, np.float32).argpartition(count - 1, axis=1)[:, :count]
        np.put_along_axis(part, places, True, axis=1)
    return keep
