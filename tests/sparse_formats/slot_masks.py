"""Masks for lane select, made lane by lane in plain Python."""

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
