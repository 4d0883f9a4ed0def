"""Which points nobody beats in everything, how good they are together, and which lies between.

Of every objective less is better; points are float64 (points, objectives).
"""

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def front(points: Points) -> NDArray[np.bool_]:
    """Whether no other point is at least as good in everything and better in something.

    Equal points are on the front together.
    """
    found = np.zeros(len(points), np.bool_)
    best = np.empty((0, points.shape[1]))
    # A point can only be beaten by one that stands before it in this order.
    for index in np.lexsort(points.T[::-1]):
        point = points[index]
        beats = (best <= point).all(axis=1) & (best < point).any(axis=1)
        if not beats.any():
            found[index] = True
            best = np.vstack([best, point])
    return found


def hypervolume(points: Points, reference: NDArray[np.float64]) -> float:
    """Volume of what is beaten by some point and not by more than `reference` (objectives,).

    Exact, by slices along the last objective: Zitzler and Thiele, PPSN 1998, define the measure.
    Meant for two or three objectives; the work grows with points ** (objectives - 1).
    """
    inside = points[(points < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    inside = inside[np.argsort(inside[:, -1], kind="stable")]
    widths = np.diff(inside[:, -1], append=reference[-1])
    if inside.shape[1] == 1:
        return float(widths.sum())
    if inside.shape[1] == 2:
        return float(widths @ (reference[0] - np.minimum.accumulate(inside[:, 0])))
    return sum(
        float(width) * hypervolume(inside[: count + 1, :-1], reference[:-1])
        for count, width in enumerate(widths)
        if width > 0
    )


def knee(points: Points) -> int | None:
    """The point that is nearest to the best of every objective at once; None without points.

    Each objective is scaled to run from 0 to 1 over the front, and the distance is Euclidean.
    """
    if not len(points):
        return None
    on_front = np.flatnonzero(front(points))
    best = points[on_front]
    low, width = best.min(axis=0), np.ptp(best, axis=0)
    scaled = (best - low) / np.where(width > 0, width, 1.0)
    return int(on_front[np.argmin((scaled**2).sum(axis=1))])
