"""The layer's output, computed in the order of the slots' entries.

docs/microarchitecture.md §8.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.abstract import product
from accel_sim.dataflows.abstract.account import ProductCheck
from accel_sim.dataflows.mixed_vector.configuration import Configuration
from accel_sim.dataflows.mixed_vector.entries import select_of
from accel_sim.dataflows.mixed_vector.lines import Lines
from accel_sim.dataflows.mixed_vector.stream import EncodedTile
from sparse_formats.masks.matrix import MaskedMatrix


def check_product(
    tiles: Sequence[EncodedTile],
    lines: Lines,
    matrix: MaskedMatrix,
    x: NDArray[Any],
    machine: Configuration,
) -> tuple[ProductCheck, NDArray[Any] | None]:
    """`product.check_product` of the machine's own order; x: operands (tokens, cols)."""
    lanes = tiles[0].stream.slots.lanes if tiles else 1
    ranges = len({tile.cols for tile in tiles})
    return product.check_product(
        matrix,
        x,
        machine.numbers,
        machine.array.pe_rows + (lanes - 1).bit_length() + ranges,
        lambda weight, x: machine_product(tiles, lines, weight, x, machine),
    )


def machine_product(
    tiles: Sequence[EncodedTile],
    lines: Lines,
    weight: NDArray[Any],
    x: NDArray[Any],
    machine: Configuration,
    bias: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """The output (rows, tokens) as the PEs accumulate it, in the accumulators' type.

    weight: operands in the accumulators' type (rows, cols), 0 where not kept; x: operands (tokens,
    cols). What is dropped or dead has products of 0, and a sum is the same with them.
    bias: (rows,), with which the first slot of each set starts in the first input range.
    """
    datatype = machine.numbers
    by_input = np.ascontiguousarray(x.T, datatype.accumulator)
    y = np.zeros((lines.shape[0], len(x)), datatype.accumulator)
    accumulate = _add_rows if lines.is_row_mode else _add_columns
    for tile in tiles:
        (row0, row1), (col0, col1), slots = tile.rows, tile.cols, tile.stream.slots
        entries = tile.stream.entries
        partial = np.zeros((slots.set_size, row1 - row0, len(x)), datatype.accumulator)
        if bias is not None and col0 == 0:
            partial[0] = bias[row0:row1, None]
        accumulate(
            (entries.first, entries.unit, entries.lo, entries.lanes, entries.selects),
            slots.lanes,
            slots.groups,
            weight[row0:row1, col0:col1],
            by_input[col0:col1],
            partial,
        )
        _reduce_set(partial, y[row0:row1])
    return product.wrapped(y, datatype.accumulator_bits) if datatype.is_integer else y


@njit(cache=True, nogil=True)
def _add_columns(entries: Any, lanes: int, groups: int, weight: Any, x: Any, partial: Any) -> None:
    """Issue every slot's entries in order; partial[slot of its set, output, token] accumulates."""
    first, unit, lo, used, selects = entries
    set_size, _, tokens = partial.shape
    for slot in range(len(first) - 1):
        sums = partial[slot // groups % set_size]
        for e in range(first[slot], first[slot + 1]):
            for lane in range(lanes):
                if (used[e] >> np.uint64(lane)) & np.uint64(1):
                    row, c = unit[e] * lanes + lane, lo[e] + select_of(selects, e, lane)
                    w = weight[row, c]
                    for t in range(tokens):
                        sums[row, t] += w * x[c, t]


@njit(cache=True, nogil=True)
def _add_rows(entries: Any, lanes: int, groups: int, weight: Any, x: Any, partial: Any) -> None:
    """As `_add_columns`; the lanes of an entry are summed in a binary tree of neighbours first.

    held[i]: which row of `tree` holds the sum of the lanes below node i; −1 where none has a
    weight, which would add 0.
    """
    first, unit, lo, used, selects = entries
    set_size, _, tokens = partial.shape
    tree = np.empty((lanes, tokens), partial.dtype)
    held = np.empty(lanes + 1, np.int64)
    for slot in range(len(first) - 1):
        sums = partial[slot // groups % set_size]
        for e in range(first[slot], first[slot + 1]):
            row = unit[e]
            for lane in range(lanes):
                held[lane] = -1
                if (used[e] >> np.uint64(lane)) & np.uint64(1):
                    held[lane] = lane
                    c = lo[e] + select_of(selects, e, lane) * lanes + lane
                    w = weight[row, c]
                    for t in range(tokens):
                        tree[lane, t] = w * x[c, t]
            width = lanes
            while width > 1:
                held[width] = -1
                for i in range((width + 1) // 2):
                    left, right = held[2 * i], held[2 * i + 1]
                    held[i] = max(left, right)
                    if left >= 0 and right >= 0:
                        held[i] = left
                        for t in range(tokens):
                            tree[left, t] += tree[right, t]
                width = (width + 1) // 2
            for t in range(tokens):
                sums[row, t] += tree[held[0], t]


@njit(cache=True, nogil=True)
def _reduce_set(partial: Any, out: Any) -> None:
    """Add the slots of each set in ascending order, then to what earlier ranges left."""
    set_size, outputs, tokens = partial.shape
    for row in range(outputs):
        for t in range(tokens):
            total = partial[0, row, t]
            for p in range(1, set_size):
                total += partial[p, row, t]
            out[row, t] += total
