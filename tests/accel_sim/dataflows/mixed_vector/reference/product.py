"""§8: operands, and the product in the machine's own order."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.dataflows.mixed_vector.reference.machine import Machine, ceil_log2
from tests.accel_sim.dataflows.mixed_vector.reference.passes import Pass
from tests.accel_sim.dataflows.mixed_vector.reference.tiles import Choice

LARGEST = {"int4": 7, "int8": 127, "int16": 32767}

FLOATS = {"fp16": (11, -24), "bf16": (8, -133), "fp8": (4, -9)}
"""Significant bits of a number, and the exponent of which the smallest are multiples."""

Word = Any
"""A number of the accumulator's type: np.float32, whose sums round, or an int, whose do not."""


def zero(datatype: str) -> Word:
    return np.float32(0) if datatype in FLOATS else 0


def words(values: NDArray[Any], datatype: str) -> list[list[Word]]:
    """Operands as words, row by row."""
    if datatype in FLOATS:
        return [list(row) for row in values.astype(np.float32)]
    return values.tolist()


def nearest_float(value: float, significant: int, least: int) -> float:
    """Ties to even."""
    _, exponent = math.frexp(value)
    step = max(exponent - significant, least)
    return math.ldexp(round(math.ldexp(value, -step)), step)


def operands(values: NDArray[Any], counts: NDArray[np.bool_], datatype: str) -> NDArray[Any]:
    """Values of a file as the multiplier sees them; the scale is that of the ones that count."""
    if datatype in FLOATS:
        near = [[nearest_float(float(value), *FLOATS[datatype]) for value in row] for row in values]
        return np.array(near, np.float32).reshape(values.shape)
    if not np.issubdtype(values.dtype, np.floating):
        return values.astype(np.int64)
    exact = values.astype(np.float64)
    largest = float(np.abs(exact[counts]).max(initial=0.0))
    if largest == 0:
        return np.zeros(values.shape, np.int64)
    scale = largest / LARGEST[datatype]
    rounded = [[round(float(value) / scale) for value in row] for row in exact]
    return np.array(rounded, np.int64).reshape(values.shape)


def tree_sum(terms: list[Word]) -> Word:
    """Neighbours first; an odd one out meets a missing lane, which is 0."""
    while len(terms) > 1:
        pairs = [terms[k] + terms[k + 1] for k in range(0, len(terms) - 1, 2)]
        terms = [*pairs, *terms[2 * len(pairs) :]]
    return terms[0]


def ordered_product(
    weight: NDArray[Any],
    inputs: NDArray[Any],
    passes: Sequence[Pass],
    choice: Choice,
    machine: Machine,
) -> list[list[Word]]:
    """Outputs × tokens of the operands `weight` and `inputs` (tokens × inputs)."""
    datatype, lanes = machine.array.datatype, choice.lanes(machine)
    nothing = zero(datatype)
    w, x = words(weight, datatype), words(inputs, datatype)
    output = [[nothing] * len(x) for _ in w]
    for one in passes:
        tile = one.tile
        # Of each output and token: the accumulators of the slots that hold it.
        held: dict[tuple[int, int], dict[int, Word]] = {}
        for taker in one.count.takers:
            for token in taker.columns:
                column = x[one.tokens.start + token]
                for number in taker.issued:
                    if not one.live[token][number]:
                        continue
                    entry = tile.entries[number]
                    sums = [(out, w[out][col] * column[col]) for out, col in entry.cells]
                    if choice.mode == "row":
                        summands = [nothing] * lanes
                        for lane, (_, term) in zip(entry.lanes, sums, strict=True):
                            summands[lane] = term
                        sums = [(entry.cells[0][0], tree_sum(summands))]
                    for out, term in sums:
                        of_slots = held.setdefault((out, token), {})
                        of_slots[taker.slot] = of_slots.get(taker.slot, nothing) + term
        for token, number in enumerate(one.tokens):
            for out in tile.strip:
                total = nothing
                for _, word in sorted(held.get((out, token), {}).items()):
                    total = total + word
                output[out][number] = output[out][number] + total
    return output


def product_error(
    matrix: MaskedMatrix,
    weight: NDArray[Any],
    inputs: NDArray[Any],
    found: Sequence[Sequence[Word]],
    ranges: int,
    choice: Choice,
    machine: Machine,
) -> tuple[float, float]:
    """Largest |machine − exact|, and largest share of the FP32 bound that an error takes."""
    unit = 2.0**-24
    largest = share = 0.0
    for out in range(len(weight)):
        kept = [int(col) for col in range(weight.shape[1]) if matrix.keep[out, col]]
        n = len(kept) + machine.array.pe_rows + ceil_log2(choice.lanes(machine)) + ranges
        gamma = n * unit / (1 - n * unit)
        for token in range(len(inputs)):
            # A product of two operands is exact in FP64.
            terms = [float(weight[out, col]) * float(inputs[token, col]) for col in kept]
            error = abs(float(found[out][token]) - math.fsum(terms))
            bound = gamma * math.fsum(abs(term) for term in terms)
            largest = max(largest, error)
            if error > 0:
                share = max(share, error / bound if bound else math.inf)
    return largest, share
