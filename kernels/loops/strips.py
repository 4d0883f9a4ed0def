"""Strips: H neighbouring outputs that all take the same input. Vertical vectors and blocks.

Each input is read once for all of a strip, so a register tile of several outputs × tokens is filled
at the speed of the multipliers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.loops.lines import AHEAD, zeros
from kernels.loops.simd import INSIDE, add, four, item, load, outer, prefetch, size, store, vectors

HEIGHTS = (16, 8, 4)


@dataclass(frozen=True, eq=False)
class Strips:
    """Strip s covers the rows s·height … and takes the inputs columns[indptr[s] : indptr[s + 1]].

    values: `height` weights for each of these inputs, one behind the other; 0 where none is kept.
    """

    height: int
    indptr: NDArray[np.int64]
    columns: NDArray[Any]
    values: NDArray[Any]


def pack(left: NDArray[np.bool_], weight: NDArray[Any], height: int, least: int) -> Strips:
    """Take out of the mask `left` every strip that keeps at least `least` weights.

    left: bool (out, in), a multiple of 16 outputs; what is packed is set to False.
    """
    rows, cols = left.shape
    # Nothing keeps more than all: then there is nothing to look for.
    nothing = np.zeros((rows // height, cols), np.bool_)
    taken = counts(left, height) >= least if least <= height else nothing
    indptr = np.zeros(len(taken) + 1, np.int64)
    np.cumsum(taken.sum(1), out=indptr[1:])
    columns = np.empty(indptr[-1], np.uint16 if cols <= 1 << 16 else np.uint32)
    values = zeros(len(columns) * height, weight.dtype)
    _fill(taken, left, weight, height, columns, values)
    return Strips(height, indptr, columns, values)


def counts(keep: NDArray[np.bool_], height: int) -> NDArray[np.uint8]:
    """Kept weights of each strip: (out / height, in)."""
    rows, cols = keep.shape
    lines = keep.view(np.uint8).reshape(rows // height, height, cols)
    # Ten times as fast as `sum` along so short an axis.
    found = lines[:, 0].copy()
    for i in range(1, height):
        found += lines[:, i]
    return found


@njit(cache=True)
def _fill(
    taken: NDArray[np.bool_],
    left: NDArray[np.bool_],
    weight: NDArray[Any],
    height: int,
    columns: NDArray[Any],
    values: NDArray[Any],
) -> None:
    k = 0
    for strip in range(taken.shape[0]):
        first = k
        for col in range(taken.shape[1]):
            if taken[strip, col]:
                columns[k] = col
                k += 1
        # Row by row: neighbours in memory, where a column would touch a line for each weight.
        for i in range(height):
            row = strip * height + i
            for j in range(first, k):
                col = columns[j]
                if left[row, col]:
                    values[j * height + i] = weight[row, col]
                    left[row, col] = False


@njit(**INSIDE)
def accumulate(
    blank: Any,
    vector: Any,
    height: int,
    indptr: NDArray[np.int64],
    columns: NDArray[Any],
    values: NDArray[Any],
    first: int,
    last: int,
    panel: NDArray[Any],
    sums: NDArray[Any],
) -> None:
    """sums += the strips first … last − 1 times one panel of tokens.

    blank: a zero tile of some rows × `vector`; they divide `height`. panel: (inputs, tokens of
    `vector`). sums: (rows from the first strip on, the same tokens).
    """
    tokens = size(vector)
    step = vectors(blank) // vectors(vector)
    for strip in range(first, last):
        end = indptr[strip + 1]
        for row in range(0, height, step):
            place = ((strip - first) * height + row) * tokens
            k = indptr[strip]
            tile = load(blank, sums, place)
            if vectors(blank) < 8:
                # Too few sums to hide the multipliers' latency: two inputs at a time.
                second = blank
                while k + 1 < end:
                    inputs = load(vector, panel, item(columns, k) * tokens)
                    tile = outer(tile, values, k * height + row, inputs)
                    inputs = load(vector, panel, item(columns, k + 1) * tokens)
                    second = outer(second, values, (k + 1) * height + row, inputs)
                    k += 2
                tile = add(tile, second)
            while k < end:
                inputs = load(vector, panel, item(columns, k) * tokens)
                if vectors(vector) <= 2 and step > 4:
                    prefetch(values, k * height + AHEAD)
                tile = outer(tile, values, k * height + row, inputs)
                k += 1
            store(tile, sums, place)


@njit(**INSIDE)
def accumulate_one(
    blank: Any,
    indptr: NDArray[np.int64],
    columns: NDArray[Any],
    values: NDArray[Any],
    first: int,
    last: int,
    x: NDArray[Any],
    sums: NDArray[Any],
) -> None:
    """As `accumulate` for one token; `blank` is a zero tile of as many elements as a strip has."""
    height = size(blank)
    for strip in range(first, last):
        k, end = indptr[strip], indptr[strip + 1]
        a, b, c, d = load(blank, sums, (strip - first) * height), blank, blank, blank
        while k + 3 < end:
            places = four(columns, k)
            a = outer(a, x, places[0], load(blank, values, k * height))
            b = outer(b, x, places[1], load(blank, values, (k + 1) * height))
            c = outer(c, x, places[2], load(blank, values, (k + 2) * height))
            d = outer(d, x, places[3], load(blank, values, (k + 3) * height))
            k += 4
        while k < end:
            a = outer(a, x, item(columns, k), load(blank, values, k * height))
            k += 1
        store(add(add(a, b), add(c, d)), sums, (strip - first) * height)
