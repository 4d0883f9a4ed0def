"""Rows: single weights, row by row. Fine-grained masks, and what no longer piece has taken.

Every weight reads its input anew. So the inputs are taken in blocks that stay in the first cache
where a row keeps enough of a block to be worth the loop.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.loops.lines import AHEAD, empty
from kernels.loops.simd import (
    INSIDE,
    add,
    four,
    gather,
    item,
    load,
    multiply_add,
    outer,
    prefetch,
    size,
    store,
    total,
    vectors,
)


@dataclass(frozen=True, eq=False)
class Rows:
    """By chunk of outputs, then by `block` inputs, then by row: columns and weights.

    order: rows within their chunk; in each block those with fewest weights come first, so that the
        processor foresees where the next one ends. Empty where rows come as they are.
    indptr: item (chunk number · blocks + block) · chunk + place in the order, and the next.
    """

    block: int
    indptr: NDArray[np.int64]
    order: NDArray[np.uint16]
    columns: NDArray[Any]
    values: NDArray[Any]


def pack(
    left: NDArray[np.bool_],
    weight: NDArray[Any],
    chunk: int,
    block: int,
    is_sorted: bool,
    multiple: int,
) -> Rows:
    """What the mask `left` keeps, in blocks of `block` inputs.

    left: bool (out, in), a multiple of 16 inputs, as is `block`. multiple: weights of 0 are added
    to each row in a block until their number is one, so that loops end without a rest.
    """
    rows, cols = left.shape
    blocks = max(1, -(-cols // block))
    pieces = -(-rows // chunk) * blocks
    indptr = np.zeros(pieces * chunk + 1, np.int64)
    order = np.empty(pieces * chunk if is_sorted else 0, np.uint16)
    nnz = int(np.count_nonzero(left))
    # One more than there may be: also dropped weights are written, where the next one comes.
    most = nnz + min(nnz, rows * blocks) * (multiple - 1) + 1
    columns = empty(most, np.uint16 if cols <= 1 << 16 else np.uint32)
    values = empty(most, weight.dtype)
    if nnz:
        arrays = (indptr, order, columns, values)
        _fill(left, left.view(np.uint64), weight, chunk, block, multiple, *arrays)
    return Rows(block, indptr, order, columns[: indptr[-1]], values[: indptr[-1]])


@njit(cache=True)
def _fill(
    left: NDArray[np.bool_],
    words: NDArray[np.uint64],
    weight: NDArray[Any],
    chunk: int,
    block: int,
    multiple: int,
    indptr: NDArray[np.int64],
    order: NDArray[np.uint16],
    columns: NDArray[Any],
    values: NDArray[Any],
) -> None:
    """words: `left`, 8 flags in each."""
    rows, cols = left.shape
    blocks = -(-cols // block)
    counts = np.empty(chunk, np.int64)
    places = np.empty(block + 2, np.int64)
    here = np.arange(chunk)
    k, one, step = np.uint64(0), np.uint64(1), np.uint64(multiple)
    for piece in range((len(indptr) - 1) // chunk):
        first = piece % blocks * block
        last = min(first + block, cols)
        top = piece // blocks * chunk
        if len(order):
            counts[:] = 0
            places[:] = 0
            for i in range(min(chunk, rows - top)):
                for word in range(first // 8, last // 8):
                    flags = words[top + i, word]
                    counts[i] += (flags * np.uint64(0x0101010101010101)) >> np.uint64(56)
            for i in range(chunk):
                places[counts[i] + 1] += 1
            for n in range(block):
                places[n + 1] += places[n]
            for i in range(chunk):
                here[places[counts[i]]] = i
                places[counts[i]] += 1
            order[piece * chunk : (piece + 1) * chunk] = here
        for i in range(chunk):
            row, start = top + here[i], k
            if row < rows:
                for col in range(first, last):
                    columns[k] = col
                    values[k] = weight[row, col]
                    k += np.uint64(left[row, col])
                while (k - start) % step:
                    columns[k] = columns[k - one]
                    values[k] = 0
                    k += one
            indptr[piece * chunk + i + 1] = k


@njit(**INSIDE)
def accumulate(
    vector: Any,
    indptr: NDArray[np.int64],
    order: NDArray[np.uint16],
    columns: NDArray[Any],
    values: NDArray[Any],
    piece: int,
    blocks: int,
    chunk: int,
    panel: NDArray[Any],
    sums: NDArray[Any],
) -> None:
    """sums += a chunk of rows times one panel of tokens.

    vector: a zero tile. panel: (inputs, tokens of `vector`). sums: (chunk, tokens).
    piece: the number of the chunk.
    """
    tokens = size(vector)
    for block in range(blocks):
        at = (piece * blocks + block) * chunk
        for i in range(at, at + chunk):
            k, end = indptr[i], indptr[i + 1]
            if k == end:
                continue
            row = item(order, i)
            a = load(vector, sums, row * tokens)
            if vectors(vector) <= 2:
                # So few tokens that the weights are what the loop waits for.
                for ahead in range(k, end, 16):
                    prefetch(values, ahead + AHEAD)
                for ahead in range(k, end, 32):
                    prefetch(columns, ahead + AHEAD)
                b, c, d = vector, vector, vector
                while k + 3 < end:
                    p, q, r, s = four(columns, k)
                    a = outer(a, values, k, load(vector, panel, p * tokens))
                    b = outer(b, values, k + 1, load(vector, panel, q * tokens))
                    c = outer(c, values, k + 2, load(vector, panel, r * tokens))
                    d = outer(d, values, k + 3, load(vector, panel, s * tokens))
                    k += 4
                a = add(add(a, b), add(c, d))
            elif vectors(vector) < 8:
                b = vector
                while k + 1 < end:
                    a = outer(a, values, k, load(vector, panel, item(columns, k) * tokens))
                    b = outer(b, values, k + 1, load(vector, panel, item(columns, k + 1) * tokens))
                    k += 2
                a = add(a, b)
            while k < end:
                a = outer(a, values, k, load(vector, panel, item(columns, k) * tokens))
                k += 1
            store(a, sums, row * tokens)


@njit(**INSIDE)
def accumulate_one(
    blank: Any,
    single: Any,
    indptr: NDArray[np.int64],
    columns: NDArray[Any],
    values: NDArray[Any],
    first: int,
    last: int,
    x: NDArray[Any],
    sums: NDArray[Any],
) -> None:
    """sums += the rows first … last − 1, packed in one block, times one token.

    blank, single: a zero tile, and one of one element. x: (inputs). sums: (last − first).
    """
    step = size(blank)
    for row in range(first, last):
        k, end = indptr[row], indptr[row + 1]
        a, b, rest = blank, blank, single
        while k + 2 * step <= end:
            a = multiply_add(load(blank, values, k), gather(blank, x, columns, k), a)
            k += step
            b = multiply_add(load(blank, values, k), gather(blank, x, columns, k), b)
            k += step
        while k + step <= end:
            a = multiply_add(load(blank, values, k), gather(blank, x, columns, k), a)
            k += step
        while k < end:
            rest = multiply_add(load(single, values, k), gather(single, x, columns, k), rest)
            k += 1
        sums[row - first] += total(add(a, b)) + total(rest)
