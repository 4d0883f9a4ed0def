"""A systolic array whose registers are stepped, plain Python, written from docs/rivals.md §2.

It multiplies real numbers, so that an operand in the wrong place at the wrong time shows.
"""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.int64]
Step = tuple[int, int]


def held_fold(held: Matrix, stream: Matrix, rows: int, cols: int) -> tuple[Matrix, int]:
    """stream (S × k) · held (k × n) on rows × cols PEs that hold `held`, and the cycles it took."""
    steps = len(stream)
    padded = np.zeros((rows, cols), np.int64)
    padded[: held.shape[0], : held.shape[1]] = held
    fed = np.zeros((steps, rows), np.int64)
    fed[:, : stream.shape[1]] = stream

    weight = np.zeros((rows, cols), np.int64)
    value: dict[Step, tuple[int, int]] = {}  # PE: (step of the stream, operand) it sent right
    partial: dict[Step, tuple[int, int]] = {}  # PE: (step of the stream, sum) it sent down
    result = np.zeros((steps, cols), np.int64)
    missing = steps * cols
    cycle = 0
    while missing:
        if cycle < rows:
            weight = np.vstack([padded[rows - 1 - cycle], weight[:-1]])
        next_value: dict[Step, tuple[int, int]] = {}
        next_partial: dict[Step, tuple[int, int]] = {}
        for r in range(rows):
            for c in range(cols):
                step = cycle - rows - r
                if c > 0:
                    operand = value.get((r, c - 1))
                else:
                    operand = (step, int(fed[step, r])) if 0 <= step < steps else None
                if operand is None:
                    continue
                above = (operand[0], 0) if r == 0 else partial[r - 1, c]
                assert above[0] == operand[0]
                added = above[1] + operand[1] * int(weight[r, c])
                next_value[r, c] = operand
                next_partial[r, c] = (operand[0], added)
                if r == rows - 1:
                    result[operand[0], c] = added
                    missing -= 1
        value, partial = next_value, next_partial
        cycle += 1
    return result[:, : held.shape[1]], cycle


def output_fold(left: Matrix, top: Matrix, rows: int, cols: int) -> tuple[Matrix, int]:
    """left (m × K) · top (K × n), each PE summing one output in place, and the cycles it took."""
    depth = left.shape[1]
    right: dict[Step, int] = {}
    down: dict[Step, int] = {}
    sums = np.zeros((rows, cols), np.int64)
    missing = rows * cols * depth
    cycle = 0
    while missing:
        next_right: dict[Step, int] = {}
        next_down: dict[Step, int] = {}
        for r in range(rows):
            for c in range(cols):
                k = cycle - r - c
                if not 0 <= k < depth:
                    continue
                from_left = right[r, c - 1] if c else int(left[r, k]) if r < len(left) else 0
                from_top = down[r - 1, c] if r else int(top[k, c]) if c < top.shape[1] else 0
                sums[r, c] += from_left * from_top
                next_right[r, c], next_down[r, c] = from_left, from_top
                missing -= 1
        right, down = next_right, next_down
        cycle += 1
    return sums[: len(left), : top.shape[1]], cycle


def product(
    x: Matrix, w: Matrix, rows: int, cols: int, stationary: str
) -> tuple[Matrix, list[int]]:
    """x (tokens × inputs) · w (inputs × outputs), and the cycles of each fold in order."""
    (tokens, inputs), outputs = x.shape, w.shape[1]
    y = np.zeros((tokens, outputs), np.int64)
    cycles: list[int] = []
    if stationary == "weight":
        for n in range(0, outputs, cols):
            for k in range(0, inputs, rows):
                block = w[k : k + rows, n : n + cols]
                part, took = held_fold(block, x[:, k : k + rows], rows, cols)
                y[:, n : n + cols] += part
                cycles.append(took)
    elif stationary == "output":
        for n in range(0, outputs, cols):
            for m in range(0, tokens, rows):
                part, took = output_fold(x[m : m + rows], w[:, n : n + cols], rows, cols)
                y[m : m + rows, n : n + cols] = part
                cycles.append(took)
    else:
        for k in range(0, inputs, rows):
            for m in range(0, tokens, cols):
                block = x[m : m + cols, k : k + rows].T
                part, took = held_fold(block, w[k : k + rows].T, rows, cols)
                y[m : m + cols] += part.T
                cycles.append(took)
    return y, cycles
