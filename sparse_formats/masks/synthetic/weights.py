"""Drawn masks of single weights: any of them, or so many of each group of inputs."""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import SettingError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.pattern_text import check_groups, check_terms
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
        check_groups(self.count, self.length)

    @property
    def density(self) -> float:
        """What full groups hold."""
        return self.count / self.length

    def full(self, order: Order, rng: np.random.Generator) -> NDArray[np.bool_]:
        """A mask whose groups are all full; the last one of a row may be shorter."""
        rows, cols = order.size
        return _groups_of_rows(rows, cols, self.count, self.length, rng)


@dataclass(frozen=True)
class NM(Groups):
    """At most `count` of each group."""

    def mask(self, order: Order) -> MaskedMatrix:
        """Full groups where the density is the pattern's own; else a drawn part of them."""
        rng = order.rng()
        return _thinned(self.full(order, rng), self, order, rng)


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


@dataclass(frozen=True)
class HierarchicalNM(DrawnPattern):
    """`groups` of every `of_groups` groups, `count` of `length` in each."""

    groups: int
    of_groups: int
    count: int
    length: int

    def __post_init__(self) -> None:
        check_groups(self.groups, self.of_groups)
        check_groups(self.count, self.length)

    @property
    def density(self) -> float:
        """What full sets hold."""
        return self.groups * self.count / (self.of_groups * self.length)

    def mask(self, order: Order) -> MaskedMatrix:
        """Full sets where the density is the pattern's own; else a drawn part of them."""
        (rows, cols), rng = order.size, order.rng()
        each = _groups_of_rows(rows, cols, self.count, self.length, rng)
        sets = _groups_of_rows(rows, -(-cols // self.length), self.groups, self.of_groups, rng)
        return _thinned(each & np.repeat(sets, self.length, axis=1)[:, :cols], self, order, rng)


@dataclass(frozen=True)
class SumNM(DrawnPattern):
    """`count`:`length`, and `further` of every `of` of what that leaves."""

    count: int
    length: int
    further: int
    of: int

    def __post_init__(self) -> None:
        check_terms(self.count, self.length, self.further, self.of)

    @property
    def density(self) -> float:
        """What two full terms hold."""
        return min(self.count / self.length + self.further / self.of, 1.0)

    def mask(self, order: Order) -> MaskedMatrix:
        """Full terms where the density is the pattern's own; else a drawn part of them."""
        (rows, cols), rng = order.size, order.rng()
        keep = _groups_of_rows(rows, cols, self.count, self.length, rng)
        for first in range(0, cols, self.of):
            group = keep[:, first : first + self.of]
            # The `further` smallest of random numbers, where nothing is kept.
            lots = np.where(group, np.float32(2), rng.random(group.shape, np.float32))
            ranks = lots.argsort(axis=1).argsort(axis=1)
            group |= (ranks < self.further) & ~group
        return _thinned(keep, self, order, rng)


@dataclass(frozen=True)
class NMOrDense(Groups):
    """Each `height` rows are `count`:`length`, or keep everything."""

    height: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.height < 1:
            raise SettingError("pattern", f"has blocks of {self.height} rows; give 1 or more")

    @property
    def densest(self) -> float:
        """Every block may be dense."""
        return 1.0

    def mask(self, order: Order) -> MaskedMatrix:
        """Full groups and as many dense blocks, drawn, as the density has room for."""
        rng = order.rng()
        keep = self.full(order, rng)
        room = order.nnz - int(np.count_nonzero(keep))
        if room < 0:
            return _thinned(keep, self, order, rng)
        for block in rng.permutation(-(-len(keep) // self.height)):
            rows = keep[block * self.height : (block + 1) * self.height]
            if (cost := int(np.count_nonzero(~rows))) <= room:
                rows[:] = True
                room -= cost
        return order.masked(keep)


@dataclass(frozen=True)
class Combined(DrawnPattern):
    """Of drawn groups of `columns` inputs, others for every `height` outputs, one weight each."""

    columns: int = 8
    height: int = 32

    def __post_init__(self) -> None:
        if self.columns < 2 or self.height < 1:
            raise SettingError(
                "pattern", "has groups of fewer than 2 columns or of no outputs; e.g. combined:8:32"
            )

    @property
    def densest(self) -> float:
        """One of each group."""
        return 1 / self.columns

    def mask(self, order: Order) -> MaskedMatrix:
        """A weight of each group for every output, or a drawn part of them."""
        (rows, cols), rng = order.size, order.rng()
        keep = np.zeros((rows, cols), np.bool_)
        for first in range(0, rows, self.height):
            strip = keep[first : first + self.height]
            # Groups are neighbours in a drawn order of the inputs.
            chosen = _groups_of_rows(len(strip), cols, 1, self.columns, rng)
            strip[:, rng.permutation(cols)] = chosen
        return _thinned(keep, self, order, rng)


_SAME = 1e-9
"""Densities that differ by less are the same."""

_MOST_WAYS = 1 << 14
"""Ways to choose in a group up to which they are listed, and one is drawn for each group."""

_AT_ONCE = 1 << 22
"""Numbers drawn at once where ways are not listed."""


def _thinned(
    keep: NDArray[np.bool_], pattern: DrawnPattern, order: Order, rng: np.random.Generator
) -> MaskedMatrix:
    """`keep` where the density is the pattern's own; else a drawn part of it, if that is less."""
    held, own = int(np.count_nonzero(keep)), pattern.density
    if order.nnz < held and (own is None or abs(order.density - own) > _SAME):
        keep[keep] = subset(held, order.nnz, rng)
    return order.masked(keep)


def _groups_of_rows(
    rows: int, cols: int, count: int, length: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """(rows, cols) whose groups keep `count` each; the last one of a row may be shorter."""
    groups, rest = divmod(cols, length)
    keep = np.empty((rows, cols), np.bool_)
    whole = _chosen(rows * groups, count, length, rng)
    keep[:, : cols - rest] = whole.reshape(rows, cols - rest)
    keep[:, cols - rest :] = _chosen(rows, min(count, rest), rest, rng)
    return keep


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
