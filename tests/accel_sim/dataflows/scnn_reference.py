"""SCNN in plain Python, product by product, from docs/rivals.md §11 alone."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from math import ceil

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.scnn import ScnnArray
from accel_sim.inputs.convolutions import Convolution


@dataclass
class Pass:
    """useful: (output, position, column of the matrix) of each product inside of the plane."""

    cycles: int
    causes: dict[str, int]
    states: dict[str, int]
    useful: list[tuple[int, int, int]]
    register_bits: int


Weight = tuple[int, int, int]
"""Output of the tile, row and column of the kernel."""
Held = dict[int, list[tuple[int, int]]]
"""Of a PE: by channel, where its non-zero activations lie."""


def outputs_at_once(sums: int, machine: ScnnArray) -> int:
    return machine.accumulators // sums


def held_of(plane: NDArray[np.bool_], machine: ScnnArray) -> list[Held]:
    """Activations of each PE; plane: (channels, height, width)."""
    channels, height, width = plane.shape
    high, wide = ceil(height / machine.pe_rows), ceil(width / machine.pe_cols)
    held: list[Held] = [defaultdict(list) for _ in range(machine.pe_rows * machine.pe_cols)]
    for c, x, y in product(range(channels), range(height), range(width)):
        if plane[c, x, y]:
            held[x // high * machine.pe_cols + y // wide][c].append((x, y))
    return held


def sums_of(shape: Convolution, machine: ScnnArray) -> int:
    assert shape.size is not None
    high = ceil(shape.size[0] / machine.pe_rows)
    wide = ceil(shape.size[1] / machine.pe_cols)
    return ceil((high + shape.kernel[0] - 1) / shape.stride[0]) * ceil(
        (wide + shape.kernel[1] - 1) / shape.stride[1]
    )


def run_pass(
    kernels: NDArray[np.bool_], held: list[Held], reached: int, shape: Convolution, array: ScnnArray
) -> Pass:
    """One tile of kernels (outputs, channels, rows, columns) with what each PE holds."""
    (s, s_across), (p, p_across) = shape.stride, shape.padding
    assert shape.output_size is not None
    height, width = shape.output_size
    outputs, channels, rows, cols = kernels.shape
    taken, products, used, reads = [0] * len(held), 0, 0, 0
    useful = []
    for pe, held_here in enumerate(held):
        for c, a, b in product(range(channels), range(s), range(s_across)):
            activations = [
                (x, y)
                for x, y in held_here[c]
                if (x + p) % s == a and (y + p_across) % s_across == b
            ]
            weights = [
                (k, r, q)
                for k, r, q in product(range(outputs), range(rows), range(cols))
                if kernels[k, c, r, q] and r % s == a and q % s_across == b
            ]
            for first_activation in range(0, len(activations), array.activations):
                reads += len(weights)
                for first_weight in range(0, len(weights), array.weights):
                    taken[pe] += 1
                    for x, y in activations[first_activation:][: array.activations]:
                        for k, r, q in weights[first_weight:][: array.weights]:
                            products += 1
                            down, across = (x + p - r) // s, (y + p_across - q) // s_across
                            if 0 <= down < height and 0 <= across < width:
                                position = down * width + across
                                useful.append((k, position, (c * rows + r) * cols + q))
    longest, busy, lanes = max(taken), sum(taken), array.weights * array.activations
    balanced = min(longest, ceil(busy / reached))
    filled = min(balanced, ceil(products / (reached * lanes)))
    everywhere = min(filled, ceil(products / (len(held) * lanes)))
    compute = min(everywhere, ceil(len(useful) / (len(held) * lanes)))
    used = int(kernels.sum())
    return Pass(
        cycles=longest + array.pe_latency_cycles,
        causes={
            "compute": compute,
            "outside": everywhere - compute,
            "array_edge": filled - everywhere,
            "fragments": balanced - filled,
            "imbalance": longest - balanced,
            "pipeline": array.pe_latency_cycles,
        },
        states={
            "busy": busy,
            "idle": sum(longest - cycles for cycles in taken),
            "pipeline": len(held) * array.pe_latency_cycles,
        },
        useful=useful,
        register_bits=16 * (reached * used + reads) + 2 * 24 * products,
    )
