"""Segments: 4, 8 or 16 neighbouring inputs of one output. Horizontal vectors.

Row by row they would read all of X for every output. Instead some inputs of a panel stay in
registers while the segments of a chunk of outputs pass by. For one token the inputs are few: there,
`Spans`, row by row.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.loops.lines import AHEAD, zeros
from kernels.loops.simd import (
    INSIDE,
    four,
    increase,
    inner,
    item,
    load,
    multiply_add,
    prefetch,
    size,
    store,
    total,
    vectors,
)

LENGTHS = (16, 8, 4)
SORTED = 128
"""Rows that `Spans` sort. A multiple of 16; threads divide the rows between such windows."""


@dataclass(frozen=True, eq=False)
class Segments:
    """By chunk of outputs, then by `length` inputs.

    indptr: one item a (chunk, `length` inputs), and the end. rows: outputs within their chunk.
    values: `length` weights for each, one behind the other; 0 where none is kept.
    """

    length: int
    indptr: NDArray[np.int64]
    rows: NDArray[np.uint16]
    values: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Spans:
    """Row order[i] has indptr[i + 1] − indptr[i] spans, inputs starts[j] … starts[j] + length − 1.

    order: within each `SORTED` rows, those with fewest spans first. Four rows that follow each
        other there are read together: so the first span of each lies before the second of each, and
        so on; what the last three have more follows row by row.
    values: `length` weights for each, one behind the other; 0 where none is kept.
    """

    length: int
    indptr: NDArray[np.int64]
    order: NDArray[np.uint32]
    starts: NDArray[Any]
    values: NDArray[Any]


def pack(
    left: NDArray[np.bool_], weight: NDArray[Any], chunk: int, length: int, least: int
) -> Segments:
    """Take out of the mask `left` every aligned segment that keeps at least `least` weights.

    left: bool (out, in), a multiple of 16 inputs; what is packed is set to False.
    """
    rows, cols = left.shape
    nothing = np.zeros((rows, cols // length), np.bool_)
    taken = counts(left, length) >= least if least <= length else nothing
    row_of, block_of = np.nonzero(taken)
    pieces = row_of // chunk * (cols // length) + block_of
    indptr = np.zeros(-(-rows // chunk) * (cols // length) + 1, np.int64)
    np.cumsum(np.bincount(pieces, minlength=len(indptr) - 1), out=indptr[1:])
    rows_in_chunk = np.empty(len(pieces), np.uint16)
    values = zeros(len(pieces) * length, weight.dtype)
    _fill(taken, left, weight, chunk, length, indptr.copy(), rows_in_chunk, values)
    return Segments(length, indptr, rows_in_chunk, values)


def pack_spans(left: NDArray[np.bool_], weight: NDArray[Any], length: int, least: int) -> Spans:
    """Take out of the mask `left` every aligned span that keeps at least `least` weights.

    left: bool (out, in), multiples of 16; what is packed is set to False.
    """
    rows, cols = left.shape
    taken = counts(left, length) >= least
    spans = taken.sum(1)
    # Rows of one window with equally many spans follow each other: a stable sort by both.
    order = np.lexsort((spans, np.arange(rows) // SORTED)).astype(np.uint32)
    indptr = np.zeros(rows + 1, np.int64)
    np.cumsum(spans[order], out=indptr[1:])
    starts = np.empty(indptr[-1], np.uint16 if cols <= 1 << 16 else np.uint32)
    values = zeros(len(starts) * length, weight.dtype)
    _fill_spans(taken, left, weight, length, indptr, order, starts, values)
    return Spans(length, indptr, order, starts, values)


def counts(keep: NDArray[np.bool_], length: int) -> NDArray[np.uint8]:
    """Kept weights of each aligned segment of 4, 8 or 16: (out, in / length)."""
    # The bytes of a word, each 0 or 1, are added by one multiplication into its highest byte: much
    # faster than `sum` along so short an axis.
    if length == 4:
        return (keep.view(np.uint32) * np.uint32(0x01010101) >> np.uint32(24)).astype(np.uint8)
    ones = np.uint64(0x0101010101010101)
    eights = (keep.view(np.uint64) * ones >> np.uint64(56)).astype(np.uint8)
    return eights if length == 8 else eights[:, ::2] + eights[:, 1::2]


@njit(cache=True)
def _fill_spans(
    taken: NDArray[np.bool_],
    left: NDArray[np.bool_],
    weight: NDArray[Any],
    length: int,
    indptr: NDArray[np.int64],
    order: NDArray[np.uint32],
    starts: NDArray[Any],
    values: NDArray[Any],
) -> None:
    for at in range(0, len(order), 4):
        first = indptr[at]
        least = indptr[at + 1] - first
        rest = first + 4 * least
        for i in range(4):
            row, n = order[at + i], 0
            for block in range(taken.shape[1]):
                if taken[row, block]:
                    k = rest
                    if n < least:
                        k = first + 4 * n + i
                    else:
                        rest += 1
                    n += 1
                    starts[k] = block * length
                    for j in range(length):
                        col = block * length + j
                        if left[row, col]:
                            values[k * length + j] = weight[row, col]
                            left[row, col] = False


@njit(cache=True)
def _fill(
    taken: NDArray[np.bool_],
    left: NDArray[np.bool_],
    weight: NDArray[Any],
    chunk: int,
    length: int,
    cursor: NDArray[np.int64],
    rows: NDArray[np.uint16],
    values: NDArray[Any],
) -> None:
    blocks = taken.shape[1]
    for row in range(taken.shape[0]):
        for block in range(blocks):
            if not taken[row, block]:
                continue
            piece = row // chunk * blocks + block
            k = cursor[piece]
            cursor[piece] += 1
            rows[k] = row % chunk
            for i in range(length):
                col = block * length + i
                if left[row, col]:
                    values[k * length + i] = weight[row, col]
                    left[row, col] = False


@njit(**INSIDE)
def accumulate(
    square: Any,
    vector: Any,
    length: int,
    indptr: NDArray[np.int64],
    rows: NDArray[np.uint16],
    values: NDArray[Any],
    piece: int,
    inputs: int,
    panel: NDArray[Any],
    sums: NDArray[Any],
) -> None:
    """sums += the segments of a chunk of outputs times one panel of tokens.

    square: a tile of some inputs × `vector`; they divide `length`. panel: (inputs, tokens of
    `vector`). sums: (chunk, tokens). piece: the number of the chunk.
    """
    tokens = size(vector)
    step = vectors(square) // vectors(vector)
    blocks = inputs // length
    for block in range(blocks):
        first, end = indptr[piece * blocks + block], indptr[piece * blocks + block + 1]
        if first == end:
            continue
        for part in range(0, length, step):
            x = load(square, panel, (block * length + part) * tokens)
            for k in range(first, end):
                place = item(rows, k) * tokens
                if vectors(vector) <= 2 and step > 4:
                    prefetch(values, k * length + AHEAD)
                tile = inner(load(vector, sums, place), values, k * length + part, x)
                store(tile, sums, place)


@njit(**INSIDE)
def accumulate_one(
    blank: Any,
    indptr: NDArray[np.int64],
    order: NDArray[np.uint32],
    starts: NDArray[Any],
    values: NDArray[Any],
    first: int,
    last: int,
    x: NDArray[Any],
    sums: NDArray[Any],
) -> None:
    """sums += the spans of the rows first … last − 1 times one token.

    blank: a zero tile of as many elements as a span has. x: (inputs). sums: (last − first, up to
    the next multiple of 16). first: a multiple of `SORTED`, and last too, unless it is the end.
    """
    length = size(blank)
    # The rows that were added up to the next multiple of 16 are sorted among the others.
    for at in range(first, -(-last // 16) * 16, 4):
        # Four rows, mostly of equally many spans: the processor foresees where the loop ends.
        start, second = item(indptr, at), item(indptr, at + 1)
        least = second - start
        a, b, c, d = blank, blank, blank, blank
        for k in range(start, start + 4 * least, 4):
            v, at_x = k * length, four(starts, k)
            a = multiply_add(load(blank, values, v), load(blank, x, at_x[0]), a)
            b = multiply_add(load(blank, values, v + length), load(blank, x, at_x[1]), b)
            c = multiply_add(load(blank, values, v + 2 * length), load(blank, x, at_x[2]), c)
            d = multiply_add(load(blank, values, v + 3 * length), load(blank, x, at_x[3]), d)
        k = start + 4 * least
        more = k + item(indptr, at + 2) - second - least
        while k < more:
            b = multiply_add(load(blank, values, k * length), load(blank, x, item(starts, k)), b)
            k += 1
        more += item(indptr, at + 3) - item(indptr, at + 2) - least
        while k < more:
            c = multiply_add(load(blank, values, k * length), load(blank, x, item(starts, k)), c)
            k += 1
        while k < item(indptr, at + 4):
            d = multiply_add(load(blank, values, k * length), load(blank, x, item(starts, k)), d)
            k += 1
        increase(sums, item(order, at) - first, total(a))
        increase(sums, item(order, at + 1) - first, total(b))
        increase(sums, item(order, at + 2) - first, total(c))
        increase(sums, item(order, at + 3) - first, total(d))
