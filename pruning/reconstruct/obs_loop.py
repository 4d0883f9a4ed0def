"""The compiled loop of `obs`."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@njit(cache=True)
def trace(weight: Floats, h: Floats, width: int, order: NDArray[np.int64], losses: Floats) -> None:
    """Remove the tiles of a strip (rows, in), cheapest first; `weight` and h = H⁻¹ are used up."""
    rows, cols = weight.shape
    units = len(order)
    gone = np.zeros(units, np.bool_)
    solved = np.empty((rows, width))
    for step in range(units):
        best, cheapest = -1, np.inf
        for unit in range(units):
            if gone[unit]:
                continue
            loss = _loss(weight, h, unit * width, min((unit + 1) * width, cols))
            if best < 0 or loss < cheapest:
                best, cheapest = unit, loss
        order[step], losses[step] = best, cheapest
        gone[best] = True
        a, b = best * width, min((best + 1) * width, cols)
        inner = np.linalg.inv(h[a:b, a:b].copy())
        for r in range(rows):
            for i in range(b - a):
                solved[r, i] = 0.0
                for k in range(b - a):
                    solved[r, i] += inner[i, k] * weight[r, a + k]
        across = h[a:b].copy()
        for r in range(rows):
            for i in range(b - a):
                for j in range(cols):
                    weight[r, j] -= solved[r, i] * across[i, j]
        for i in range(cols):
            if gone[i // width]:
                continue
            for k in range(b - a):
                factor = 0.0
                for m in range(b - a):
                    factor += across[m, i] * inner[m, k]
                for j in range(cols):
                    h[i, j] -= factor * across[k, j]


@njit(cache=True)
def _loss(weight: Floats, h: Floats, a: int, b: int) -> float:
    """Σ over rows of w_Bᵀ([H⁻¹]_BB)⁻¹w_B, B the columns a..b − 1."""
    if b - a == 1:
        total = 0.0
        for r in range(len(weight)):
            total += weight[r, a] * weight[r, a]
        return total / h[a, a]
    factor = np.linalg.cholesky(h[a:b, a:b].copy())
    total = 0.0
    y = np.empty(b - a)
    for r in range(len(weight)):
        for i in range(b - a):
            s = weight[r, a + i]
            for k in range(i):
                s -= factor[i, k] * y[k]
            y[i] = s / factor[i, i]
            total += y[i] * y[i]
    return total
