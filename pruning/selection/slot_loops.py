"""The compiled loops over slots, see `slots`."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def sum_best(
    scores: NDArray[np.float32],
    is_vertical: bool,
    lanes: int,
    choices: int,
    sums: NDArray[np.float64],
) -> None:
    """What the best candidates of each slot's lanes sum to, (lines, places)."""
    rows, cols = scores.shape
    for line in range(sums.shape[0]):
        for place in range(sums.shape[1]):
            total = 0.0
            if is_vertical:
                left = line * choices
                right = min(left + choices, cols)
                for row in range(place * lanes, min((place + 1) * lanes, rows)):
                    best = scores[row, left]
                    for col in range(left + 1, right):
                        best = max(best, scores[row, col])
                    total += best
            else:
                left = place * lanes * choices
                end = min(left + lanes * choices, cols)
                for first in range(left, min(left + lanes, end)):
                    best = scores[line, first]
                    for col in range(first + lanes, end, lanes):
                        best = max(best, scores[line, col])
                    total += best
            sums[line, place] = total


@njit(cache=True)
def select_best(
    scores: NDArray[np.float32],
    is_vertical: bool,
    lanes: int,
    choices: int,
    taken: NDArray[np.bool_],
    seed: int,
    keep: NDArray[np.bool_],
) -> None:
    """Let each lane of the slots that are `taken` keep its best candidate, equals by lot."""
    rows, cols = scores.shape
    for line in range(taken.shape[0]):
        for place in range(taken.shape[1]):
            if not taken[line, place]:
                continue
            if is_vertical:
                left = line * choices
                right = min(left + choices, cols)
                for row in range(place * lanes, min((place + 1) * lanes, rows)):
                    keep[row, _best_of(scores, row, left, right, 1, seed)] = True
            else:
                left = place * lanes * choices
                end = min(left + lanes * choices, cols)
                for first in range(left, min(left + lanes, end)):
                    keep[line, _best_of(scores, line, first, end, lanes, seed)] = True


@njit(cache=True)
def _best_of(
    scores: NDArray[np.float32], row: int, first: int, end: int, step: int, seed: int
) -> int:
    """Column of the largest of every `step`-th score in first … end − 1 of a row."""
    best, equals = first, 1
    for col in range(first + step, end, step):
        if scores[row, col] > scores[row, best]:
            best, equals = col, 1
        elif scores[row, col] == scores[row, best]:
            # Of n equals the last is taken with a chance of 1/n.
            equals += 1
            if _draw(np.uint64(seed) + np.uint64(row * scores.shape[1] + col)) % equals == 0:
                best = col
    return best


@njit(cache=True)
def _draw(number: np.uint64) -> np.int64:
    """31 bits that look random. Source: SplitMix64 (Steele, Lea & Flood 2014)."""
    z = number * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64(z >> np.uint64(33))
