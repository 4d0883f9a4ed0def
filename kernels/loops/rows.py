"""Rows: single weights, row by row. Fine-grained masks, and what no longer piece has taken.

Every weight reads its input anew. So the inputs are taken in blocks that stay in the first cache
where a row keeps enough of a block to be worth the loop.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.loops.simd import (
    INSIDE,
    add,
    gather,
    item,
    load,
    multiply_add,
    outer,
    size,
    store,
    total,
    vectors,
)


@dataclass(frozen=True, eq=False)
class Rows:
    """By chunk of outputs, then by `block` inputs, then by row: columns and weights.

    indptr: item (chunk number · blocks + block) · chunk + row within the chunk, and the next.
    """

    block: int
    indptr: NDArray[np.int64]
    columns: NDArray[Any]
    values: NDArray[Any]


def pack(left: NDArray[np.bool_], weight: NDArray[Any], chunk: int, block: int) -> Rows:
    """What the mask `left` (out, in) keeps, in blocks of `block` inputs."""
    rows, cols = left.shape
    blocks = max(1, -(-cols // block))
    indptr = np.zeros(-(-rows // chunk) * blocks * chunk + 1, np.int64)
    nnz = int(np.count_nonzero(left))
    columns = np.empty(nnz, np.uint16 if cols <= 1 << 16 else np.uint32)
    values = np.empty(nnz, weight.dtype)
    _fill(left, weight, chunk, block, blocks, indptr, columns, values)
    return Rows(block, indptr, columns, values)


@njit(cache=True)
def _fill(
    left: NDArray[np.bool_],
    weight: NDArray[Any],
    chunk: int,
    block: int,
    blocks: int,
    indptr: NDArray[np.int64],
    columns: NDArray[Any],
    values: NDArray[Any],
) -> None:
    rows, cols = left.shape
    k = 0
    for piece in range((len(indptr) - 1) // chunk):
        first = piece % blocks * block
        last = min(first + block, cols)
        for i in range(chunk):
            row = piece // blocks * chunk + i
            if row < rows:
                for col in range(first, last):
                    if left[row, col]:
                        columns[k] = col
                        values[k] = weight[row, col]
                        k += 1
            indptr[piece * chunk + i + 1] = k


@njit(**INSIDE)
def accumulate(
    vector: Any,
    indptr: NDArray[np.int64],
    columns: NDArray[Any],
    values: NDArray[Any],
    piece: int,
    blocks: int,
    chunk: int,
    rows: int,
    panel: NDArray[Any],
    sums: NDArray[Any],
) -> None:
    """sums += the first `rows` rows of a chunk times one panel of tokens.

    vector: a zero tile. panel: (inputs, tokens of `vector`). sums: (chunk, tokens).
    piece: the number of the chunk.
    """
    tokens = size(vector)
    for block in range(blocks):
        at = (piece * blocks + block) * chunk
        for row in range(rows):
            k, end = indptr[at + row], indptr[at + row + 1]
            if k == end:
                continue
            a = load(vector, sums, row * tokens)
            if vectors(vector) <= 2:
                b, c, d = vector, vector, vector
                while k + 3 < end:
                    a = outer(a, values, k, load(vector, panel, item(columns, k) * tokens))
                    b = outer(b, values, k + 1, load(vector, panel, item(columns, k + 1) * tokens))
                    c = outer(c, values, k + 2, load(vector, panel, item(columns, k + 2) * tokens))
                    d = outer(d, values, k + 3, load(vector, panel, item(columns, k + 3) * tokens))
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
        while k < end:
            rest = multiply_add(load(single, values, k), gather(single, x, columns, k), rest)
            k += 1
        sums[row - first] += total(add(a, b)) + total(rest)
