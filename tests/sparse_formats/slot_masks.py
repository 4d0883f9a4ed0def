"""Masks for lane select and for groups of groups, made one by one in plain Python."""

import numpy as np
from numpy.typing import NDArray


def lanes_of(
    shape: tuple[int, int], lanes: int, choices: int, is_vertical: bool
) -> list[list[list[tuple[int, int]]]]:
    """The slots of a matrix: of each slot its lanes, of each lane the (row, column) it may take.

    Slots come line by line, as the format stores them.
    """
    rows, cols = shape
    slots = []
    if is_vertical:
        for col in range(0, cols, choices):
            for row in range(0, rows, lanes):
                slots.append(
                    [
                        [(r, c) for c in range(col, min(col + choices, cols))]
                        for r in range(row, min(row + lanes, rows))
                    ]
                )
        return slots
    for row in range(rows):
        for col in range(0, cols, lanes * choices):
            places = [[(row, col + p * lanes + i) for p in range(choices)] for i in range(lanes)]
            there = [[(r, c) for r, c in lane if c < cols] for lane in places]
            slots.append([lane for lane in there if lane])
    return slots


def selected(
    keep: NDArray[np.bool_], lanes: int, choices: int, is_vertical: bool = False
) -> NDArray[np.bool_]:
    """A mask near `keep`: of slots that hold a kept weight in their first lane each lane keeps one.

    It is the first one that `keep` has, else the last.
    """
    rows, cols = keep.shape
    found = np.zeros_like(keep)
    for slot in lanes_of((rows, cols), lanes, choices, is_vertical):
        if any(keep[at] for at in slot[0]):
            for lane in slot:
                found[next((at for at in lane if keep[at]), lane[-1])] = True
    return found


def hierarchical(
    keep: NDArray[np.bool_], groups: int, of_groups: int, count: int, length: int
) -> NDArray[np.bool_]:
    """The part of `keep` in the first groups of each set and the first weights of each group."""
    fitted = np.zeros_like(keep)
    for row, line in enumerate(keep.tolist()):
        for of_set in range(0, len(line), length * of_groups):
            used = 0
            for group in range(of_set, min(of_set + length * of_groups, len(line)), length):
                held = [c for c in range(group, min(group + length, len(line))) if line[c]]
                if held and used < groups:
                    used += 1
                    fitted[row, held[:count]] = True
    return fitted


def whole_or_n_m(
    keep: NDArray[np.bool_], count: int, length: int, height: int
) -> NDArray[np.bool_]:
    """Blocks of `keep` of which the first weight is kept whole, others cut to N:M."""
    fitted = keep.copy()
    for first in range(0, len(keep), height):
        block = fitted[first : first + height]
        if block.size and block[0, 0]:
            block[:] = True
            continue
        for at in range(0, keep.shape[1], length):
            group = block[:, at : at + length]
            group[np.cumsum(group, axis=1) > count] = False
    return fitted
