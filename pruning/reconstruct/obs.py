"""Optimal Brain Surgeon: the weight, or tile of weights, that costs least goes, then the next.

Rows do not interact, and rows that lose the same columns have the same H⁻¹: so a strip of rows as
high as a tile is traced by itself, and the strips' traces are merged by cost. A tile 1×L is OBC's
block inside a row, L×1 takes one weight of each of L rows, rows×1 is a column.

Columns come in blocks, as in SparseGPT: what a block loses is made up for by its other columns and
by those behind it. In a matrix of one block the choice is OBC's.
"""

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.pattern import Local
from pruning.reconstruct.least_squares import least_squares
from pruning.selection.tiles import spread, tile_sizes
from pruning.statistics.hessian import inverse, inverse_factor, regular

BLOCK, TILES = 64, 8
"""Columns of a block: as many, or as many tiles, whichever is more (chosen)."""


def obs(
    weight: NDArray[np.float64],
    gram: NDArray[np.float64],
    keep: NDArray[np.bool_],
    local: Local | None = None,
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Drop as many weights as `keep` does, greedily, the others updated after every step.

    A tile B costs Σ over its rows of w_Bᵀ([H⁻¹]_BB)⁻¹w_B, the exact increase of ‖WX − ŴX‖² as long
    as the columns before its block stay. How many weights each block loses is decided at first, by
    the tiles that would cost least if each were the only one to go. The weights that remain are
    solved for at the end. Patterns that are more than tiles keep their mask.

    O(strips · in · block²): a matrix of 576 × 1536 takes seconds.

    Source: OBC (Frantar, Singh & Alistarh 2022), §4 and its block form; the blocks of columns are
    SparseGPT's (2023).
    """
    if local is None or local.tile is None:
        return least_squares(weight, gram, keep)
    chosen = remove_tiles(weight, gram, local.tile, keep.size - int(np.count_nonzero(keep)))
    return least_squares(weight, gram, chosen)


def remove_tiles(
    weight: NDArray[np.float64],
    gram: NDArray[np.float64],
    tile: tuple[int, int],
    count: int,
    block: int = BLOCK,
) -> NDArray[np.bool_]:
    """The mask without the cheapest tiles, of up to `count` weights in all."""
    from pruning.reconstruct import obs_loop

    rows, cols = weight.shape
    keep = np.ones(weight.shape, np.bool_)
    if not weight.size:
        return keep
    height, width = min(tile[0], rows), min(tile[1], cols)
    span = width * max(TILES, -(-block // width))
    h = regular(gram)
    shares = [count] if span >= cols else _shares(weight, h, (height, width), count, span)
    upper = inverse_factor(h)
    left = np.array(weight, np.float64)
    for number, share in enumerate(shares):
        start, end = number * span, min((number + 1) * span, cols)
        # The inverse of H without the columns that came before.
        ours = upper[start:end, start:end].T @ upper[start:end, start:end]
        mask = _block_mask(left[:, start:end], ours, (height, width), share)
        keep[:, start:end] = mask
        if end < cols:
            errors = np.zeros(mask.shape)
            obs_loop.make_up(np.ascontiguousarray(left[:, start:end]), ours, mask, errors)
            left[:, end:] -= (errors @ upper[start:end, start:end].T) @ upper[start:end, end:]
    return keep


def _block_mask(
    weight: NDArray[np.float64], start: NDArray[np.float64], tile: tuple[int, int], count: int
) -> NDArray[np.bool_]:
    """What stays of some columns without the cheapest tiles, of up to `count` weights in all."""
    order, losses = traced(weight, start, *tile)
    sizes = np.take_along_axis(tile_sizes(weight.shape, tile), order, axis=1)
    # A step is not to be taken before the one that led to it.
    price = np.maximum.accumulate(losses / sizes, axis=1)
    gone = _cheapest(price.ravel(), sizes.ravel(), count).reshape(price.shape)
    taken = np.zeros(order.shape, np.bool_)
    np.put_along_axis(taken, order, gone, axis=1)
    return ~spread(taken, weight.shape, tile)


def traced(
    weight: NDArray[np.float64], start: NDArray[np.float64], height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """In which order the tiles of each strip go, and what each step adds: (strips, units).

    start: H⁻¹ (in, in).
    """
    from pruning.reconstruct import obs_loop

    strips, units = -(-weight.shape[0] // height), -(-weight.shape[1] // width)
    order, losses = np.empty((strips, units), np.int64), np.empty((strips, units))
    first = np.ascontiguousarray(start, np.float64)
    obs_loop.trace_strips(np.array(weight, np.float64), first, height, width, order, losses)
    return order, losses


def _shares(
    weight: NDArray[np.float64],
    h: NDArray[np.float64],
    tile: tuple[int, int],
    count: int,
    span: int,
) -> list[int]:
    """How many of `count` weights each block of `span` columns loses.

    Those of the tiles that cost least, each as if it were the only one to go.
    """
    height, width = tile
    rows, cols = weight.shape
    whole = inverse(h)
    row_starts, unit_starts = np.arange(0, rows, height), range(0, cols, width)
    losses = np.empty((len(row_starts), len(unit_starts)))
    for unit, first in enumerate(unit_starts):
        some = slice(first, min(first + width, cols))
        factor = np.linalg.cholesky(np.linalg.inv(whole[some, some]))
        losses[:, unit] = np.add.reduceat(np.square(weight[:, some] @ factor).sum(1), row_starts)
    sizes = tile_sizes(weight.shape, tile)
    gone = _cheapest((losses / sizes).ravel(), sizes.ravel(), count).reshape(sizes.shape)
    lost = np.add.reduceat(gone * sizes, np.arange(0, len(unit_starts), span // width), axis=1)
    return [int(n) for n in lost.sum(0)]


def _cheapest(
    price: NDArray[np.float64], sizes: NDArray[np.int64], count: int
) -> NDArray[np.bool_]:
    """Which tiles go: by price, as long as their weights are no more than `count`."""
    by_price = np.argsort(price, kind="stable")
    gone = np.zeros(len(price), np.bool_)
    gone[by_price[np.cumsum(sizes[by_price]) <= count]] = True
    return gone
