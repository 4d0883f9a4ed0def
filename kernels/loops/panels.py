"""Into panels of a few tokens, and out of them: where shapes, strides and dtypes stop mattering.

Activations come and go with either axis innermost: (in, tokens) as matrices are written, or
(tokens, in) as models hold them. A kernel sees neither, but panels of one width: all inputs (or the
rows of a chunk), the tokens of a panel innermost, short panels filled up with zeros.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.loops.simd import INSIDE, load, load_rows, size, store, store_rows, transpose, vectors

NONE, RELU, GELU = range(3)


@njit(**INSIDE)
def fill(
    square: Any,
    vector: Any,
    single: Any,
    width: int,
    x: NDArray[Any],
    inputs: int,
    padded: int,
    stride: int,
    tokens_innermost: bool,
    first: int,
    last: int,
    panels: NDArray[Any],
) -> None:
    """The tokens first … last − 1 of `x` as panels one behind the other.

    square: a tile of as many vectors as lanes. vector: a tile of one; `width` tokens, a multiple of
        it, make a panel. single: a tile of one element.
    x: flat; `stride` elements from one line to the next. panels: `padded` inputs in each, those
        beyond `inputs` 0.
    """
    lanes = vectors(square)
    for start in range(first, last, width):
        base = (start - first) * padded
        count = min(width, last - start)
        panels[base + inputs * width : base + padded * width] = 0
        if tokens_innermost:
            if count == width:
                for i in range(inputs):
                    for j in range(0, width, lanes):
                        tile = load(vector, x, i * stride + start + j)
                        store(tile, panels, base + i * width + j)
            else:
                for i in range(inputs):
                    place = base + i * width
                    for j in range(count):
                        store(load(single, x, i * stride + start + j), panels, place + j)
                    for j in range(count, width):
                        panels[place + j] = 0
            continue
        for j in range(0, width, lanes):
            i = 0
            if j + lanes <= count:
                while i + lanes <= inputs:
                    tile = load_rows(square, x, (start + j) * stride + i, stride)
                    store_rows(transpose(tile), panels, base + i * width + j, width)
                    i += lanes
            while i < inputs:
                place = base + i * width
                for token in range(j, min(j + lanes, count)):
                    store(load(single, x, (start + token) * stride + i), panels, place + token)
                for token in range(max(j, min(j + lanes, count)), j + lanes):
                    panels[place + token] = 0
                i += 1


@njit(**INSIDE)
def write(
    square: Any,
    vector: Any,
    width: int,
    sums: NDArray[Any],
    first_row: int,
    rows: int,
    start: int,
    count: int,
    out: NDArray[Any],
    stride: int,
    tokens_innermost: bool,
) -> None:
    """The first `rows` rows of `sums`, one panel wide, into the flat `out`.

    They are its rows from `first_row` on; `count` of the panel's tokens, from `start` on, exist.
    """
    lanes = vectors(square)
    if tokens_innermost:
        for row in range(rows):
            place = (first_row + row) * stride + start
            if count == width:
                for j in range(0, width, lanes):
                    store(load(vector, sums, row * width + j), out, place + j)
            else:
                for j in range(count):
                    out[place + j] = sums[row * width + j]
        return
    for j in range(0, count, lanes):
        row = 0
        if j + lanes <= count:
            while row + lanes <= rows:
                tile = load_rows(square, sums, row * width + j, width)
                place = (start + j) * stride + first_row + row
                store_rows(transpose(tile), out, place, stride)
                row += lanes
        while row < rows:
            for token in range(j, min(j + lanes, count)):
                out[(start + token) * stride + first_row + row] = sums[row * width + token]
            row += 1


@njit(**INSIDE)
def begin(
    vector: Any,
    sums: NDArray[Any],
    first_row: int,
    rows: int,
    width: int,
    bias: NDArray[Any],
) -> None:
    """Each of the `rows` sums starts as its bias, if there is one (no bias: an empty array), or 0.

    So do those beyond them, which strips may reach, with 0. vector: a zero tile of one; it divides
    their number, 16 or a chunk of rows times `width`.
    """
    for i in range(0, len(sums), size(vector)):
        store(vector, sums, i)
    if len(bias):
        for row in range(rows):
            for j in range(width):
                sums[row * width + j] = bias[first_row + row]


@njit(**INSIDE)
def copy(
    vector: Any, single: Any, source: NDArray[Any], target: NDArray[Any], at: int, count: int
) -> None:
    """target[at : at + count] = source[:count]; a tile of one vector, and of one element."""
    # Numba would first look whether the slices overlap.
    whole = count // size(vector) * size(vector)
    for i in range(0, whole, size(vector)):
        store(load(vector, source, i), target, at + i)
    for i in range(whole, count):
        store(load(single, source, i), target, at + i)


@njit(**INSIDE)
def finish(sums: NDArray[Any], count: int, activation: int) -> None:
    """sums[:count] = activation(sums[:count]), while they are in the cache."""
    if activation == RELU:
        for i in range(count):
            # Not max(): a NaN stays one, as torch has it.
            sums[i] = 0 if sums[i] < 0 else sums[i]
    elif activation == GELU:
        gelu(sums, count)


@njit(**INSIDE)
def gelu(sums: NDArray[Any], count: int) -> None:
    """sums[:count] = v · Φ(v), with the error function, not its tanh approximation.

    Source: Hendrycks & Gimpel, Gaussian Error Linear Units (2016).
    """
    if sums.itemsize == 8:
        for i in range(count):
            sums[i] *= 0.5 * (1 + math.erf(sums[i] * math.sqrt(0.5)))
    else:
        for i in range(count):
            value = sums[i]
            sums[i] = np.float32(0.5) * value * (np.float32(1) + _erf(value))


@njit(**INSIDE)
def _erf(value: Any) -> Any:
    """erf(value / √2) in float32 without branches, so that loops over it become vector code.

    x · p(x²) / q(x²), |x| ≤ 4, beyond which erf is ±1 in float32. Source: the rational
    approximation of Eigen's (before 3.5) and XLA's erf.
    """
    x = value * np.float32(0.7071067811865476)
    x = np.float32(4) if x > np.float32(4) else x
    x = np.float32(-4) if x < np.float32(-4) else x
    s = x * x
    p = np.float32(-2.72614225801306e-10)
    p = p * s + np.float32(2.77068142495902e-08)
    p = p * s + np.float32(-2.10102402082508e-06)
    p = p * s + np.float32(-5.69250639462346e-05)
    p = p * s + np.float32(-7.34990630326855e-04)
    p = p * s + np.float32(-2.95459980854025e-03)
    p = p * s + np.float32(-1.60960333262415e-02)
    q = np.float32(-1.45660718464996e-05)
    q = q * s + np.float32(-2.13374055278905e-04)
    q = q * s + np.float32(-1.68282697438203e-03)
    q = q * s + np.float32(-7.37332916720468e-03)
    q = q * s + np.float32(-1.42647390514189e-02)
    return x * p / q
