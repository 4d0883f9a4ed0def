"""One level for each matrix, so that errors sum up to the least that a budget allows.

The multiple-choice knapsack over a budget cut into buckets.

Source: SPDY (Frantar & Alistarh, ICML 2022), section 3, which cuts time into 10,000 buckets.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

BUCKETS = 10_000
"""Parts of the budget. Source: SPDY's published default."""


def least_error(
    errors: NDArray[np.float64],
    costs: NDArray[np.float64],
    budget: float,
    buckets: int = BUCKETS,
) -> NDArray[np.int64] | None:
    """The level of each matrix; None where no choice is within the budget.

    errors, costs: (matrices, levels), costs ≥ 0, an infinite cost is no level. Every cost is
    rounded up to a bucket, so what is chosen never costs more than `budget`.
    """
    if budget < float(costs.min(1).sum()):
        return None
    unit = budget / buckets or 1.0
    # What is dearer than the budget is no choice, however much dearer.
    parts = np.where(costs > budget, buckets + 1, np.ceil(costs / unit)).astype(np.int64)
    chosen = np.zeros(len(costs), np.int64)
    return chosen if _fill(errors, parts, buckets, chosen) else None


@njit(cache=True)
def _fill(errors: Any, parts: Any, buckets: int, chosen: Any) -> bool:
    """Fill chosen[matrix] with the levels of least error in all; False where there are none.

    least[b]: the smallest error of the matrices up to here that costs at most b.
    """
    matrices, levels = parts.shape
    least = np.zeros(buckets + 1)
    taken = np.full((matrices, buckets + 1), -1, np.int16)
    for i in range(matrices):
        before = least
        least = np.full(buckets + 1, np.inf)
        for level in range(levels):
            cost, error = parts[i, level], errors[i, level]
            for b in range(cost, buckets + 1):
                found = before[b - cost] + error
                if found < least[b]:
                    least[b] = found
                    taken[i, b] = level
    if not np.isfinite(least[buckets]):
        return False
    left = buckets
    for i in range(matrices - 1, -1, -1):
        chosen[i] = taken[i, left]
        left -= parts[i, chosen[i]]
    return True
