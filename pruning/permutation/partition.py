"""Members of an axis in groups of neighbours, so that vectors along them keep the most importance.

A vector is a group on one line across the axis (for neurons: an input of FFN1, an output of FFN2).
With S the sum of a group's scores on a line, and τ the price of a weight at which the wanted share
of all vectors is worth it, the groups are good in which Σ max(0, S − τ·size) is large: members
stand together that are important on the same lines. Sorting them by their importance alone gains
next to nothing.

Members begin sorted by total importance. Then each looks at some members of other groups, and
changes places with the one that gains the most. Source: this project's own.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

PARTNERS = 64
"""With how many others a member tries to change places in one pass (chosen)."""

PASSES = 6
"""Most passes at one price (chosen)."""

ROUNDS = 3
"""How often the prices are set anew (chosen)."""

MOST_LINES = 8192
"""How many lines a search looks at: of more, so many drawn ones (chosen)."""

ENOUGH = 2e-4
"""A pass that gains a smaller share than this is the last at its price (chosen)."""


def best_order(
    scores: Sequence[NDArray[np.float32]], group: int, density: float, seed: int = 0
) -> NDArray[np.intp]:
    """The order of the members in which groups of `group` neighbours are worth the most.

    scores: one (members, lines) for each matrix, which has a price of its own. The order as it is
    comes back where none was found that is worth more.
    """
    members = scores[0].shape[0]
    if group < 2 or members <= group:
        return np.arange(members)
    rng = np.random.default_rng(seed)
    drawn = _drawn(scores, rng)
    table = np.ascontiguousarray(np.concatenate(drawn, axis=1))
    widths = [part.shape[1] for part in drawn]
    sizes = _sizes(members, group)
    order = np.argsort(-table.sum(axis=1, dtype=np.float64), kind="stable")
    for _ in range(ROUNDS):
        prices = _prices(table, order, group, widths, density)
        for _ in range(PASSES):
            partners = rng.integers(0, members, (members, min(PARTNERS, members)))
            sums = _sums(table, order, group)
            gained = _improve(table, order, sums, sizes, prices, group, partners)
            if gained < ENOUGH * _worth(sums, sizes, prices):
                break
    prices = _prices(table, np.arange(members), group, widths, density)
    before = _worth(_sums(table, np.arange(members), group), sizes, prices)
    if _worth(_sums(table, order, group), sizes, prices) <= before:
        return np.arange(members)
    return _tidy(order, group)


def _drawn(
    scores: Sequence[NDArray[np.float32]], rng: np.random.Generator
) -> list[NDArray[np.float32]]:
    """The same share of each matrix's lines, in their order."""
    share = MOST_LINES / sum(part.shape[1] for part in scores)
    if share >= 1:
        return list(scores)
    counts = [max(1, int(share * part.shape[1])) for part in scores]
    return [
        part[:, np.sort(rng.choice(part.shape[1], count, replace=False))]
        for part, count in zip(scores, counts, strict=True)
    ]


def _sizes(members: int, group: int) -> NDArray[np.float32]:
    """How many members each group has: the last one may have fewer."""
    starts = np.arange(0, members, group)
    return np.minimum(group, members - starts).astype(np.float32)


def _sums(table: NDArray[np.float32], order: NDArray[np.intp], group: int) -> NDArray[np.float32]:
    """The scores of every group on every line, (groups, lines)."""
    return np.add.reduceat(table[order], np.arange(0, len(order), group), axis=0)


def _prices(
    table: NDArray[np.float32],
    order: NDArray[np.intp],
    group: int,
    widths: Sequence[int],
    density: float,
) -> NDArray[np.float32]:
    """The price of a weight on each line, at which the share `density` of the vectors is worth it.

    The vectors of one matrix, `widths` lines, share one.
    """
    means = _sums(table, order, group) / _sizes(len(order), group)[:, None]
    ends = np.cumsum(widths)
    prices = [
        np.quantile(means[:, end - width : end], 1 - density) if width else 0.0
        for end, width in zip(ends, widths, strict=True)
    ]
    return np.repeat(np.array(prices, np.float32), widths)


def _worth(
    sums: NDArray[np.float32], sizes: NDArray[np.float32], prices: NDArray[np.float32]
) -> float:
    """What the vectors that are worth their price are worth above it."""
    return float(np.maximum(sums - sizes[:, None] * prices, 0).sum(dtype=np.float64))


def _tidy(order: NDArray[np.intp], group: int) -> NDArray[np.intp]:
    """The same groups with members in their first order, and whole groups by their first member."""
    groups = [np.sort(order[start : start + group]) for start in range(0, len(order), group)]
    whole = [found for found in groups if len(found) == group]
    rest = [found for found in groups if len(found) < group]
    return np.concatenate([*sorted(whole, key=lambda found: found[0]), *rest])


@njit(cache=True, fastmath=True)
def _improve(
    table: NDArray[np.float32],
    order: NDArray[np.intp],
    sums: NDArray[np.float32],
    sizes: NDArray[np.float32],
    prices: NDArray[np.float32],
    group: int,
    partners: NDArray[np.int64],
) -> float:  # pragma: no cover
    """One pass over all places: changes `order` and `sums`, gives what was gained."""
    places, lines = table.shape
    worth = np.zeros(len(sizes))
    for g in range(len(sizes)):
        worth[g] = _above(sums[g], prices, sizes[g], lines)
    gained = 0.0
    for place in range(places):
        mine = place // group
        row = table[order[place]]
        best, chosen = 1e-6 * worth[mine] + 1e-12, -1
        for k in range(partners.shape[1]):
            other = int(partners[place, k])
            theirs = other // group
            if theirs == mine:
                continue
            after = _exchanged(
                sums[mine], sums[theirs], row, table[order[other]],
                prices, sizes[mine], sizes[theirs], lines,
            )  # fmt: skip
            gain = after - worth[mine] - worth[theirs]
            if gain > best:
                best, chosen = gain, other
        if chosen < 0:
            continue
        theirs = chosen // group
        given = table[order[chosen]]
        for c in range(lines):
            change = given[c] - row[c]
            sums[mine, c] += change
            sums[theirs, c] -= change
        order[place], order[chosen] = order[chosen], order[place]
        worth[mine] = _above(sums[mine], prices, sizes[mine], lines)
        worth[theirs] = _above(sums[theirs], prices, sizes[theirs], lines)
        gained += best
    return gained


@njit(cache=True, fastmath=True)
def _above(
    sums: NDArray[np.float32], prices: NDArray[np.float32], size: np.float32, lines: int
) -> float:  # pragma: no cover
    zero = np.float32(0)
    total = zero
    for c in range(lines):
        total += max(sums[c] - size * prices[c], zero)
    return float(total)


@njit(cache=True, fastmath=True)
def _exchanged(
    mine: NDArray[np.float32],
    theirs: NDArray[np.float32],
    row: NDArray[np.float32],
    given: NDArray[np.float32],
    prices: NDArray[np.float32],
    my_size: np.float32,
    their_size: np.float32,
    lines: int,
) -> float:  # pragma: no cover
    """What two groups are worth once `row` has gone from mine to theirs, and `given` back."""
    zero = np.float32(0)
    total = zero
    for c in range(lines):
        change = given[c] - row[c]
        total += max(mine[c] + change - my_size * prices[c], zero)
        total += max(theirs[c] - change - their_size * prices[c], zero)
    return float(total)
