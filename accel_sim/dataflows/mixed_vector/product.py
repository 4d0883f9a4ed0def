"""The layer's output, computed in the machine's own order and compared with the dense product.

docs/microarchitecture.md §8.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import ProductCheck
from accel_sim.dataflows.mixed_vector.configuration import Configuration
from accel_sim.dataflows.mixed_vector.entries import select_of
from accel_sim.dataflows.mixed_vector.lines import Lines
from accel_sim.dataflows.mixed_vector.stream import EncodedTile
from sparse_formats.masks.matrix import MaskedMatrix

_UNIT_ROUNDOFF = 2.0**-24
_EXACT_IN_FP64 = 2.0**53


def check_product(
    tiles: Sequence[EncodedTile],
    lines: Lines,
    matrix: MaskedMatrix,
    x: NDArray[Any],
    machine: Configuration,
) -> tuple[ProductCheck, NDArray[Any] | None]:
    """Multiply as scheduled, multiply densely and exactly, compare.

    x: operands (tokens, cols). Gives the output (rows, tokens) too, in the accumulators' type; None
    where it was not computed.

    Raises:
        InputError: an integer weight is beyond the datatype.
    """
    datatype, keep, kept = machine.numbers, matrix.keep, matrix.kept_weights
    assert kept is not None
    if not datatype.is_integer:
        largest = float(np.abs(kept).max(initial=0.0))
        if largest > datatype.largest:
            note = f"a weight of {largest:.3g} does not fit {datatype.name.upper()}"
            return ProductCheck(0, None, None, note), None
    operands = datatype.operands(kept, f"weights of matrix {matrix.name}")
    weight = np.zeros(keep.shape, datatype.accumulator)
    weight[keep] = operands
    y = machine_product(tiles, lines, weight, x, machine)
    if datatype.is_integer:
        return _check_integers(y, weight, x, machine), y
    terms = np.count_nonzero(keep, axis=1) + machine.array.pe_rows
    lanes = tiles[0].stream.slots.lanes if tiles else 1
    terms += (lanes - 1).bit_length() + len({tile.cols for tile in tiles})
    lost = int(np.count_nonzero((kept != 0) & (operands == 0)))
    small = f"{lost} kept weights are too small for {datatype.name.upper()} and count as 0"
    note = small if lost else ""
    return _check_floats(y, weight, x, terms, note), y


def _check_floats(
    y: NDArray[Any], weight: NDArray[Any], x: NDArray[Any], terms: NDArray[Any], note: str
) -> ProductCheck:
    """Against FP64; `terms` additions are allowed to round in each row."""
    gamma = terms * _UNIT_ROUNDOFF / (1 - terms * _UNIT_ROUNDOFF)
    by_input = np.ascontiguousarray(x.T, np.float64)
    error, ratio = _largest_errors(y, weight, by_input, gamma)
    return ProductCheck(len(x), error, ratio, note)


@njit(cache=True, nogil=True)
def _largest_errors(y: Any, weight: Any, x: Any, gamma: Any) -> tuple[float, float]:
    """Largest error of `y` in FP64 and its largest ratio to gamma·(|W|·|x|); row by row, zeros of
    the weight left out."""
    rows, tokens = y.shape
    largest = worst = 0.0
    exact = np.empty(tokens)
    magnitude = np.empty(tokens)
    for row in range(rows):
        exact[:] = 0
        magnitude[:] = 0
        for c in range(weight.shape[1]):
            w = np.float64(weight[row, c])
            if w != 0:
                for t in range(tokens):
                    term = w * x[c, t]
                    exact[t] += term
                    magnitude[t] += abs(term)
        for t in range(tokens):
            error = abs(np.float64(y[row, t]) - exact[t])
            bound = gamma[row] * magnitude[t]
            largest = max(largest, error)
            if not error <= bound * worst:
                # NaN keeps no bound either.
                worst = error / bound if bound > 0 and error < np.inf else np.inf
    return largest, worst


def _check_integers(
    y: NDArray[Any], weight: NDArray[Any], x: NDArray[Any], machine: Configuration
) -> ProductCheck:
    """Against 64-bit integers, exactly."""
    terms, largest = weight.shape[1], float(machine.numbers.largest + 1)
    # Sums this small are exact in FP64 too, and much faster.
    exact_type = np.float64 if terms * largest**2 < _EXACT_IN_FP64 else np.int64
    exact = (weight.astype(exact_type) @ x.T.astype(exact_type)).astype(np.int64)
    beyond = int(np.count_nonzero(exact != _wrapped(exact, machine.accumulator_bits)))
    note = f"{beyond} sums are beyond {machine.accumulator_bits} bits" if beyond else ""
    error = int(np.abs(y.astype(np.int64) - exact).max(initial=0))
    return ProductCheck(len(x), float(error), np.inf if error else 0.0, note)


def machine_product(
    tiles: Sequence[EncodedTile],
    lines: Lines,
    weight: NDArray[Any],
    x: NDArray[Any],
    machine: Configuration,
) -> NDArray[Any]:
    """The output (rows, tokens) as the PEs accumulate it, in the accumulators' type.

    weight: operands in the accumulators' type (rows, cols), 0 where not kept; x: operands (tokens,
    cols). What is dropped or dead has products of 0, and a sum is the same with them.
    """
    datatype = machine.numbers
    by_input = np.ascontiguousarray(x.T, datatype.accumulator)
    y = np.zeros((lines.shape[0], len(x)), datatype.accumulator)
    accumulate = _add_rows if lines.is_row_mode else _add_columns
    for tile in tiles:
        (row0, row1), (col0, col1), slots = tile.rows, tile.cols, tile.stream.slots
        entries = tile.stream.entries
        partial = np.zeros((slots.set_size, row1 - row0, len(x)), datatype.accumulator)
        accumulate(
            (entries.first, entries.unit, entries.lo, entries.lanes, entries.selects),
            slots.lanes,
            slots.groups,
            weight[row0:row1, col0:col1],
            by_input[col0:col1],
            partial,
        )
        _reduce_set(partial, y[row0:row1])
    return _wrapped(y, datatype.accumulator_bits) if datatype.is_integer else y


def _wrapped(sums: NDArray[Any], bits: int) -> NDArray[Any]:
    """Integer `sums` as a two's complement accumulator of `bits` bits holds them."""
    spare = sums.dtype.itemsize * 8 - bits
    return sums << spare >> spare


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
