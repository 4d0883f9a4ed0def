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
    """Masks of whole tiles, best mean importance first, of up to `kept` weights in all."""
    values = [tile_sums(s, tile) for s, tile in zip(scores, tiles, strict=True)]
    sizes = [tile_sizes(s.shape, tile) for s, tile in zip(scores, tiles, strict=True)]
    flat_sizes = np.concatenate([a.ravel() for a in sizes] or [np.empty(0, np.int64)])
    flat_values = np.concatenate([a.ravel() for a in values] or [np.empty(0)])
    taken = best_units(flat_values, flat_sizes, kept)
    masks, begin = [], 0
    for s, size, tile in zip(scores, sizes, tiles, strict=True):
        mine = taken[begin : begin + size.size].reshape(size.shape)
        begin += size.size
        masks.append(spread(mine, s.shape, tile))
    return masks


def best_units(
    values: NDArray[np.float64], costs: NDArray[np.int64], budget: int
) -> NDArray[np.bool_]:
    """Which units to take: best value per cost first, skipping those that no longer fit.

    Where something may be kept but no unit fits, the best one is taken all the same: without its
    last row, head or block, a matrix gives nothing on.
    """
    if len(costs) and costs.min() == costs.max():
        fits = budget // max(int(costs[0]), 1)
        return top_mask(values, max(fits, int(budget > 0)))
    taken = np.zeros(len(values), np.bool_)
    order, gap = best_first(values / np.maximum(costs, 1)), budget
    while len(order := order[costs[order] <= gap]):
        fits = int(np.searchsorted(np.cumsum(costs[order]), gap, "right"))
        taken[order[:fits]] = True
        gap -= int(costs[order[:fits]].sum())
        order = order[fits:]
    if budget > 0 and len(taken) and not taken.any():
        taken[best_first(values / np.maximum(costs, 1))[0]] = True
    return taken


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
