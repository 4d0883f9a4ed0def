"""One option for each of several items, so that little is lost and no more than a budget is paid.

The multiple-choice knapsack, relaxed: of each item only the options on the lower convex hull of
(cost, loss) count, and the steps along all hulls are taken in the order of loss saved per cost.

Source: Kellerer, Pferschy & Pisinger, Knapsack Problems (2004), chapter 11.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def least_loss(losses: NDArray[np.float64], costs: NDArray[np.float64], budget: float) -> list[int]:
    """The option of each item that loses little in all, of those that `budget` pays for.

    losses, costs: of each item and option, (items, options); an option of infinite cost is none.
    Every item begins at its cheapest option. What is lost exceeds the least possible by no more
    than the largest single step saves.

    Raises:
        ValueError: not even the cheapest options are within the budget.
    """
    hulls = [_hull(loss, cost) for loss, cost in zip(losses, costs, strict=True)]
    chosen = [hull[0] for hull in hulls]
    paid = sum(float(costs[item, option]) for item, option in enumerate(chosen))
    if paid > budget:
        raise ValueError(f"the cheapest options cost {paid:g}, more than {budget:g}")
    steps = [
        (_rate(losses[item], costs[item], a, b), item, a, b)
        for item, hull in enumerate(hulls)
        for a, b in pairwise(hull)
    ]
    for _, item, a, b in sorted(steps, key=lambda step: -step[0]):
        more = float(costs[item, b] - costs[item, a])
        if chosen[item] == a and paid + more <= budget:
            chosen[item], paid = b, paid + more
    return chosen


def _hull(losses: NDArray[np.float64], costs: NDArray[np.float64]) -> list[int]:
    """Options on the lower convex hull, from the cheapest to the one of least loss."""
    hull: list[int] = []
    for i in map(int, np.lexsort((losses, costs))):
        if not np.isfinite(costs[i]) or (hull and losses[i] >= losses[hull[-1]]):
            continue
        while len(hull) > 1 and _rate(losses, costs, hull[-2], hull[-1]) <= _rate(
            losses, costs, hull[-1], i
        ):
            hull.pop()
        hull.append(i)
    return hull


def _rate(losses: NDArray[np.float64], costs: NDArray[np.float64], a: int, b: int) -> float:
    """The loss saved, per cost, by going from option a to the dearer option b."""
    return float((losses[a] - losses[b]) / (costs[b] - costs[a]))
