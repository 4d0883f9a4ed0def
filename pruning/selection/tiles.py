"""The most important tiles: aligned rectangles that stay or go whole.

A tile of a matrix is `(height, width)`; those at the right and lower edge may be smaller.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pruning.selection.tie_breaking import best_first
from pruning.selection.weights import top_mask
from sparse_formats.masks.vectors import VectorLayout

Tile = tuple[int, int]


def best_tiles(
    scores: Sequence[NDArray[np.float32]], tiles: Sequence[Tile], kept: int
) -> list[NDArray[np.bool_]]:
    """Masks of whole tiles, best mean importance first, of about `kept` weights in all.

    See `best_units`; the tiles of one matrix are of one place.
    """
    values = [tile_sums(s, tile) for s, tile in zip(scores, tiles, strict=True)]
    sizes = [tile_sizes(s.shape, tile) for s, tile in zip(scores, tiles, strict=True)]
    flat_sizes = np.concatenate([a.ravel() for a in sizes] or [np.empty(0, np.int64)])
    flat_values = np.concatenate([a.ravel() for a in values] or [np.empty(0)])
    counts = [size.size for size in sizes]
    taken = best_units(flat_values, flat_sizes, kept, counts, is_empty=kept <= 0)
    masks, begin = [], 0
    for s, size, tile in zip(scores, sizes, tiles, strict=True):
        mine = taken[begin : begin + size.size].reshape(size.shape)
        begin += size.size
        masks.append(spread(mine, s.shape, tile))
    return masks


def best_units(
    values: NDArray[np.float64],
    costs: NDArray[np.int64],
    budget: int,
    counts: Sequence[int],
    is_empty: bool = False,
) -> NDArray[np.bool_]:
    """Which units to take so that their cost comes nearest to `budget`: best value per cost first.

    A unit that no longer fits is skipped, and the best of those is taken at last if this comes
    nearer. counts: how many units each place (a matrix, the heads of a layer) has, in order. Of
    every place the best unit is taken whatever it costs: without its last row, head or block, a
    matrix gives nothing on. is_empty: nothing may be taken at all.
    """
    taken = np.zeros(len(values), np.bool_)
    if is_empty or not len(values):
        return taken
    worth = values if costs.min() == costs.max() else values / np.maximum(costs, 1)
    places = np.repeat(np.arange(len(counts)), counts)
    while True:
        found = _nearest(worth, costs, budget, taken)
        held = np.bincount(places[found], minlength=len(counts))
        without = [i for i, count in enumerate(counts) if count and not held[i]]
        if not without:
            return found
        for place in without:
            members = np.flatnonzero(places == place)
            taken[members[best_first(worth[members])[0]]] = True


def _nearest(
    worth: NDArray[np.float64],
    costs: NDArray[np.int64],
    budget: int,
    reserved: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """The units `reserved`, and the others by worth up to the cost that is nearest to `budget`."""
    if costs.min() == costs.max():
        fits = _halves_down(budget, max(int(costs[0]), 1))
        least = int(np.count_nonzero(reserved))
        return top_mask(np.where(reserved, np.inf, worth), max(fits, least))
    taken = reserved.copy()
    order, gap = best_first(worth), budget - int(costs[reserved].sum())
    order = order[~reserved[order]]
    left = order
    while len(order := order[costs[order] <= gap]):
        fits = int(np.searchsorted(np.cumsum(costs[order]), gap, "right"))
        taken[order[:fits]] = True
        gap -= int(costs[order[:fits]].sum())
        order = order[fits:]
    nearer = left[~taken[left] & (costs[left] < 2 * gap)]
    taken[nearer[:1]] = True
    return taken


def _halves_down(amount: int, unit: int) -> int:
    """The number of units nearest to `amount`, the smaller of two; none for a negative one."""
    return max(0, -(-(2 * amount - unit) // (2 * unit)))


def tile_sums(array: NDArray[np.generic], tile: Tile) -> NDArray[np.float64]:
    """Sum of each tile, float64 (tiles down, tiles across)."""
    rows, cols = array.shape
    if not array.size:
        return np.zeros((-(-rows // tile[0]), -(-cols // tile[1])))
    sums = array
    for axis, (extent, step) in enumerate(zip((rows, cols), tile, strict=True)):
        if step > 1:
            sums = np.add.reduceat(sums, np.arange(0, extent, step), axis, dtype=np.float64)
    return sums.astype(np.float64, copy=False)


def tile_sizes(shape: tuple[int, ...], tile: Tile) -> NDArray[np.int64]:
    """Entries of each tile, (tiles down, tiles across)."""
    extents = (
        np.minimum(step, extent - np.arange(0, extent, step))
        for extent, step in zip(shape, tile, strict=True)
    )
    heights, widths = extents
    return np.multiply.outer(heights, widths)


def spread(taken: NDArray[np.bool_], shape: tuple[int, ...], tile: Tile) -> NDArray[np.bool_]:
    """The mask (out, in) of the tiles taken."""
    tall = np.repeat(taken, tile[0], 0) if tile[0] > 1 else taken
    wide = np.repeat(tall, tile[1], 1) if tile[1] > 1 else tall
    return np.ascontiguousarray(wide[: shape[0], : shape[1]])


def vector_layout(taken: NDArray[np.bool_], tile: Tile) -> VectorLayout:
    """The vectors of a matrix whose tiles are 1×L or L×1."""
    horizontal = tile[0] == 1
    length = tile[1] if horizontal else tile[0]
    lines, places = np.nonzero(taken if horizontal else taken.T)
    return VectorLayout(
        "horizontal" if horizontal else "vertical",
        lines.astype(np.int32),
        (places * length).astype(np.int32),
        np.full(len(lines), length, np.int32),
    )
