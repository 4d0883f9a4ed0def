"""Optimal Brain Surgeon: the weight, or tile of weights, that costs least goes, then the next.

Rows do not interact, and rows that lose the same columns have the same H⁻¹: so a strip of rows as
high as a tile is traced to the end by itself, and the strips' traces are merged by cost. A tile
1×L is OBC's block inside a row, L×1 takes one weight of each of L rows, rows×1 is a column.
"""

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.pattern import Local
from pruning.reconstruct.least_squares import least_squares
from pruning.statistics.hessian import inverse, regular


def obs(
    weight: NDArray[np.float64],
    gram: NDArray[np.float64],
    keep: NDArray[np.bool_],
    local: Local | None = None,
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Drop as many weights as `keep` does, greedily, the others updated after every step.

    A tile B costs Σ over its rows of w_Bᵀ([H⁻¹]_BB)⁻¹w_B, the exact increase of ‖WX − ŴX‖². The
    weights that remain are solved for at the end; step-by-step updates come to the same. Patterns
    that are more than tiles keep their mask.

    O(strips · in³): a matrix of 768 inputs takes seconds with tiles of 16 rows.

    Source: OBC (Frantar, Singh & Alistarh 2022), §4 and its block form.
    """
    if local is None or local.tile is None:
        return least_squares(weight, gram, keep)
    chosen = remove_tiles(weight, gram, local.tile, keep.size - int(np.count_nonzero(keep)))
    return least_squares(weight, gram, chosen)


def remove_tiles(
    weight: NDArray[np.float64], gram: NDArray[np.float64], tile: tuple[int, int], count: int
) -> NDArray[np.bool_]:
    """The mask without the cheapest tiles, of up to `count` weights in all."""
    height, width = min(tile[0], weight.shape[0]), min(tile[1], weight.shape[1])
    keep = np.ones(weight.shape, np.bool_)
    if not weight.size:
        return keep
    start = inverse(regular(gram))
    orders, prices, sizes, strips = [], [], [], []
    for row in range(0, weight.shape[0], height):
        strip = weight[row : row + height]
        order, losses = traced(strip, start, width)
        covered = np.minimum(width, weight.shape[1] - order * width) * len(strip)
        orders.append(order)
        # A step is not to be taken before the one that led to it.
        prices.append(np.maximum.accumulate(losses / covered))
        sizes.append(covered)
        strips.append(np.full(len(order), row))
    order, price, size, row = (np.concatenate(a) for a in (orders, prices, sizes, strips))
    by_price = np.argsort(price, kind="stable")
    gone = by_price[np.cumsum(size[by_price]) <= count]
    for top, unit in zip(row[gone], order[gone], strict=True):
        keep[top : top + height, unit * width : (unit + 1) * width] = False
    return keep


def traced(
    strip: NDArray[np.float64], start: NDArray[np.float64], width: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """In which order the tiles of a strip go, and what each step adds to the error.

    start: H⁻¹ (in, in).
    """
    from pruning.reconstruct import obs_loop

    units = -(-strip.shape[1] // width)
    order, losses = np.empty(units, np.int64), np.empty(units)
    obs_loop.trace(np.array(strip, np.float64), np.array(start), width, order, losses)
    return order, losses
