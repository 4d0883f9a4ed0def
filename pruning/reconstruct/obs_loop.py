"""The compiled loops of `obs`."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@njit(cache=True)
def trace_strips(
    weight: Floats, start: Floats, height: int, width: int, order: Numbers, losses: Floats
) -> None:
    """Of every strip of `height` rows, in which order its tiles go and what each step adds.

    weight: (rows, in). start: H⁻¹ (in, in). order, losses: (strips, units), filled here.
    """
    for strip in range(len(order)):
        rows = weight[strip * height : (strip + 1) * height].copy()
        _trace(rows, start.copy(), width, order[strip], losses[strip])


@njit(cache=True)
def _trace(weight: Floats, h: Floats, width: int, order: Numbers, losses: Floats) -> None:
    """Remove the tiles of a strip, cheapest first; `weight` and h are used up.

    Of h = H⁻¹ only the lower triangle is kept up to date.
    """
    rows, cols = weight.shape
    units = len(order)
    gone = np.zeros(units, np.bool_)
    across, solved = np.empty((width, cols)), np.empty((width, cols))
    change = np.empty(cols)
    factor, y = np.empty((width, width)), np.empty(width)
    for step in range(units):
        best, cheapest = -1, np.inf
        for unit in range(units):
            if gone[unit]:
                continue
            loss = _loss(weight, h, unit * width, min((unit + 1) * width, cols), factor, y)
            if best < 0 or loss < cheapest:
                best, cheapest = unit, loss
        order[step], losses[step] = best, cheapest
        gone[best] = True
        if step == units - 1:
            return
        a, b = best * width, min((best + 1) * width, cols)
        size = b - a
        for i in range(size):
            for j in range(cols):
                across[i, j] = h[a + i, j] if j <= a + i else h[j, a + i]
        inner = np.linalg.inv(across[:size, a:b].copy())
        for i in range(size):
            for j in range(cols):
                share = 0.0
                for k in range(size):
                    share += inner[i, k] * across[k, j]
                solved[i, j] = share
        for r in range(rows):
            for i in range(size):
                share = weight[r, a + i]
                for j in range(cols):
                    change[j] = solved[i, j] * share + (change[j] if i else 0.0)
            for j in range(cols):
                weight[r, j] -= change[j]
        for i in range(cols):
            if gone[i // width]:
                continue
            for k in range(size):
                share = across[k, i]
                for j in range(i + 1):
                    h[i, j] -= share * solved[k, j]


@njit(cache=True)
def _loss(weight: Floats, h: Floats, a: int, b: int, factor: Floats, y: Floats) -> float:
    """Σ over rows of w_Bᵀ([H⁻¹]_BB)⁻¹w_B, B the columns a..b − 1; `factor` and `y` are room."""
    total = 0.0
    if b - a == 1:
        for r in range(len(weight)):
            total += weight[r, a] * weight[r, a]
        return total / h[a, a]
    for i in range(b - a):
        for j in range(i + 1):
            s = h[a + i, a + j]
            for k in range(j):
                s -= factor[i, k] * factor[j, k]
            # What rounding leaves of a column that others determine is no less than nothing.
            factor[i, j] = np.sqrt(max(s, 1e-300)) if i == j else s / factor[j, j]
    for r in range(len(weight)):
        for i in range(b - a):
            s = weight[r, a + i]
            for k in range(i):
                s -= factor[i, k] * y[k]
            y[i] = s / factor[i, i]
            total += y[i] * y[i]
    return total


@njit(cache=True)
def make_up(weight: Floats, inverse: Floats, keep: NDArray[np.bool_], errors: Floats) -> None:
    """Of every row, e = w_Q([H⁻¹]_QQ)⁻¹ at the columns Q that it loses; 0 elsewhere.

    weight, keep, errors: (rows, in). Rows that lose the same as the row above share its factor.
    """
    rows, cols = weight.shape
    places = np.empty(cols, np.int64)
    factor, y = np.empty((cols, cols)), np.empty(cols)
    count = 0
    for r in range(rows):
        is_new = r == 0
        for c in range(cols):
            is_new = is_new or keep[r, c] != keep[r - 1, c]
        if is_new:
            count = 0
            for c in range(cols):
                if not keep[r, c]:
                    places[count] = c
                    count += 1
            for i in range(count):
                for j in range(i + 1):
                    s = inverse[places[i], places[j]]
                    for k in range(j):
                        s -= factor[i, k] * factor[j, k]
                    factor[i, j] = np.sqrt(max(s, 1e-300)) if i == j else s / factor[j, j]
        for i in range(count):
            s = weight[r, places[i]]
            for k in range(i):
                s -= factor[i, k] * y[k]
            y[i] = s / factor[i, i]
        for i in range(count - 1, -1, -1):
            s = y[i]
            for k in range(i + 1, count):
                s -= factor[k, i] * errors[r, places[k]]
            errors[r, places[i]] = s / factor[i, i]
