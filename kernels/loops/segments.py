"""Segments: 4 neighbouring inputs of one output. Horizontal vectors.

Row by row they would read all of X for every output. Instead 4 inputs of a panel stay in registers
while the segments of a chunk of outputs pass by. For one token the inputs are few: there, `Spans`,
row by row.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.loops.simd import INSIDE, add, inner, item, load, multiply_add, size, store, total

LENGTH = 4


@dataclass(frozen=True, eq=False)
class Segments:
    """By chunk of outputs, then by 4 inputs.

    indptr: one item a (chunk, 4 inputs), and the end. rows: outputs within their chunk.
    values: 4 weights for each, one behind the other; 0 where none is kept.
    """

    indptr: NDArray[np.int64]
    rows: NDArray[np.uint16]
    values: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Spans:
    """Row r takes the inputs starts[j] … starts[j] + length − 1, j in indptr[r] … indptr[r+1] − 1.

    values: `length` weights for each, one behind the other; 0 where none is kept.
    """

    length: int
    indptr: NDArray[np.int64]
    starts: NDArray[Any]
    values: NDArray[Any]


def pack(left: NDArray[np.bool_], weight: NDArray[Any], chunk: int, least: int) -> Segments:
    """Take out of the mask `left` every aligned segment that keeps at least `least` weights.

    left: bool (out, in), a multiple of 16 inputs; what is packed is set to False.
    """
    rows, cols = left.shape
    taken = left.reshape(rows, cols // LENGTH, LENGTH).sum(2, dtype=np.uint8) >= least
    row_of, block_of = np.nonzero(taken)
    pieces = row_of // chunk * (cols // LENGTH) + block_of
    indptr = np.zeros(-(-rows // chunk) * (cols // LENGTH) + 1, np.int64)
    np.cumsum(np.bincount(pieces, minlength=len(indptr) - 1), out=indptr[1:])
    rows_in_chunk = np.empty(len(pieces), np.uint16)
    values = np.zeros(len(pieces) * LENGTH, weight.dtype)
    _fill(taken, left, weight, chunk, indptr.copy(), rows_in_chunk, values)
    return Segments(indptr, rows_in_chunk, values)


def pack_spans(left: NDArray[np.bool_], weight: NDArray[Any], length: int, least: int) -> Spans:
    """Take out of the mask `left` every aligned span that keeps at least `least` weights.

    left: bool (out, in), a multiple of 16 inputs; what is packed is set to False.
    """
    rows, cols = left.shape
    taken = left.reshape(rows, cols // length, length).sum(2, dtype=np.uint8) >= least
    indptr = np.zeros(rows + 1, np.int64)
    np.cumsum(taken.sum(1), out=indptr[1:])
    row_of, place = np.nonzero(taken)
    starts = (place * length).astype(np.uint16 if cols <= 1 << 16 else np.uint32)
    squares = left.reshape(rows, cols // length, length)
    weights = weight.reshape(rows, cols // length, length)[row_of, place]
    values = np.where(squares[row_of, place], weights, weight.dtype.type(0)).ravel()
    squares[row_of, place] = False
    return Spans(length, indptr, starts, values)


@njit(cache=True)
def _fill(
    taken: NDArray[np.bool_],
    left: NDArray[np.bool_],
    weight: NDArray[Any],
    chunk: int,
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
            for i in range(LENGTH):
                col = block * LENGTH + i
                if left[row, col]:
                    values[k * LENGTH + i] = weight[row, col]
                    left[row, col] = False


@njit(**INSIDE)
def accumulate(
    square: Any,
    vector: Any,
    indptr: NDArray[np.int64],
    rows: NDArray[np.uint16],
    values: NDArray[Any],
    piece: int,
    blocks: int,
    panel: NDArray[Any],
    sums: NDArray[Any],
) -> None:
    """sums += the segments of a chunk of outputs times one panel of tokens.

    square: a tile of 4 × `vector`. panel: (inputs, tokens of `vector`). sums: (chunk, tokens).
    piece: the number of the chunk. blocks: segments in a row.
    """
    tokens = size(vector)
    for block in range(blocks):
        x = load(square, panel, block * size(square))
        for k in range(indptr[piece * blocks + block], indptr[piece * blocks + block + 1]):
            place = item(rows, k) * tokens
            tile = inner(load(vector, sums, place), values, k * LENGTH, x)
            store(tile, sums, place)


@njit(**INSIDE)
def accumulate_one(
    blank: Any,
    indptr: NDArray[np.int64],
    starts: NDArray[Any],
    values: NDArray[Any],
    first: int,
    last: int,
    x: NDArray[Any],
    sums: NDArray[Any],
) -> None:
    """sums += the spans of the rows first … last − 1 times one token.

    blank: a zero tile of as many elements as a span has. x: (inputs). sums: (last − first).
    """
    length = size(blank)
    for row in range(first, last):
        k, end = indptr[row], indptr[row + 1]
        a, b, c, d = blank, blank, blank, blank
        while k + 3 < end:
            v = k * length
            a = multiply_add(load(blank, values, v), load(blank, x, item(starts, k)), a)
            v += length
            b = multiply_add(load(blank, values, v), load(blank, x, item(starts, k + 1)), b)
            v += length
            c = multiply_add(load(blank, values, v), load(blank, x, item(starts, k + 2)), c)
            v += length
            d = multiply_add(load(blank, values, v), load(blank, x, item(starts, k + 3)), d)
            k += 4
        while k < end:
            a = multiply_add(load(blank, values, k * length), load(blank, x, item(starts, k)), a)
            k += 1
        sums[row - first] += total(add(add(a, b), add(c, d)))
