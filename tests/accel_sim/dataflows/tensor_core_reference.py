"""Tensor cores in plain Python, from docs/rivals.md §5 and §13–§15 alone; slow and obvious.

A mode is a tuple: ("n_m", N, M), ("hierarchical", G, H, N, M), ("sum", (N, M), …) or
("blocks", N, M). A row's terms are lists of slots; a slot is the input whose weight it holds, or
None.
"""

from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.tensor_core.array import TensorCoreArray

Mask = list[list[bool]]
Slots = list[int | None]


def log2_up(n: int) -> int:
    bits = 0
    while 2**bits < n:
        bits += 1
    return bits


def chunks(items: Any, size: int) -> list[Any]:
    return [items[first : first + size] for first in range(0, len(items), size)]


def n_m_slots(kept: set[int], inputs: int, count: int, length: int) -> Slots | None:
    slots: Slots = []
    for group in chunks(range(inputs), length):
        held = [c for c in group if c in kept]
        if len(held) > count:
            return None
        slots += held + [None] * (count - len(held))
    return slots


def hierarchical_slots(
    kept: set[int], inputs: int, groups: int, of_groups: int, count: int, length: int
) -> Slots | None:
    slots: Slots = []
    for of_set in chunks(chunks(range(inputs), length), of_groups):
        held = [[c for c in group if c in kept] for group in of_set]
        held = [group for group in held if group]
        if len(held) > groups or any(len(group) > count for group in held):
            return None
        held += [[]] * (groups - len(held))
        for group in held:
            slots += group + [None] * (count - len(group))
    return slots


def sum_slots(kept: set[int], inputs: int, terms: tuple[Any, ...]) -> list[Slots] | None:
    left, found = set(kept), []
    for count, length in terms:
        taken: set[int] = set()
        for group in chunks(range(inputs), length):
            taken |= set([c for c in group if c in left][:count])
        slots = n_m_slots(taken, inputs, count, length)
        assert slots is not None
        found.append(slots)
        left -= taken
    return None if left else found


def row_terms(mode: tuple[Any, ...], row: list[bool]) -> list[Slots] | None:
    """The slots of each term; None where the mode cannot hold the row."""
    kept, inputs = {c for c, is_kept in enumerate(row) if is_kept}, len(row)
    if mode[0] == "sum":
        return sum_slots(kept, inputs, mode[1:])
    hold = n_m_slots if mode[0] == "n_m" else hierarchical_slots
    slots = hold(kept, inputs, *mode[1:])
    return None if slots is None else [slots]


def block_mode(mode: tuple[Any, ...], block: Mask) -> tuple[Any, ...]:
    """What a block of outputs runs in."""
    if mode[0] != "blocks":
        return mode
    sparse = ("n_m", *mode[1:])
    return sparse if all(row_terms(sparse, row) for row in block) else ("n_m", 1, 1)


def row_index_bits(mode: tuple[Any, ...], inputs: int) -> int:
    if mode[0] == "n_m":
        return -(-inputs // mode[2]) * mode[1] * log2_up(mode[2])
    if mode[0] == "sum":
        return sum(row_index_bits(("n_m", *term), inputs) for term in mode[1:])
    _, groups, of_groups, count, length = mode
    places = -(-inputs // (length * of_groups)) * groups
    return places * (log2_up(of_groups) + count * log2_up(length))


def modes_in_order(keep: Mask, array: TensorCoreArray) -> list[tuple[Any, ...]]:
    modes: list[tuple[Any, ...]] = [("n_m", 1, 1), *(("n_m", *mode) for mode in array.modes)]
    if array.vector_length:
        groups = [g for row in keep for g in chunks(row, array.vector_length)]
        modes.append(("n_m", max(1, *(sum(g) for g in groups), 1), array.vector_length))
    modes += [("hierarchical", *mode) for mode in array.hierarchical_modes]
    ascending = sorted(array.modes, key=lambda mode: mode[1])
    for count in range(2, array.terms + 1):
        for terms in combinations_with_replacement(ascending, count):
            if all(terms[i + 1][1] % terms[i][1] == 0 for i in range(count - 1)):
                modes.append(("sum", *terms))
    if array.dense_blocks:
        modes += [("blocks", *mode) for mode in array.modes]
    return modes


def blocks_of(rows: Mask, array: TensorCoreArray) -> list[Mask]:
    return chunks(rows, array.outputs)


def chosen(keep: Mask, array: TensorCoreArray) -> tuple[Any, ...]:
    best, fewest = None, None
    for mode in modes_in_order(keep, array):
        slots = 0
        for block in blocks_of(keep, array):
            for row in block:
                terms = row_terms(block_mode(mode, block), row)
                if terms is None:
                    slots = None
                    break
                slots += sum(len(term) for term in terms)
            if slots is None:
                break
        if slots is not None and (fewest is None or slots < fewest):
            best, fewest = mode, slots
    assert best is not None
    return best


def run(keep: Mask, tokens: int, array: TensorCoreArray) -> list[list[dict[str, int]]]:
    """For each tile, for each group of tokens, every number that the contract names."""
    mode, tiles = chosen(keep, array), []
    for rows in chunks(keep, array.strip_outputs):
        passes = []
        for first in range(0, tokens, array.tokens):
            t = min(array.tokens, tokens - first)
            passes.append(one_pass(rows, t, mode, array))
        tiles.append(passes)
    return tiles


def one_pass(rows: Mask, t: int, mode: tuple[Any, ...], array: TensorCoreArray) -> dict[str, int]:
    v, a, inputs = array.value_bits, array.accumulator_bits, len(rows[0])
    cells = array.outputs * array.tokens * array.slots
    cycles = offered = index = latched = added = read = 0
    for block in blocks_of(rows, array):
        of_block = block_mode(mode, block)
        index += (1 if mode[0] == "blocks" else 0) + len(block) * row_index_bits(of_block, inputs)
        laid = [row_terms(of_block, row) for row in block]
        for term in zip(*laid, strict=True):
            steps = 0
            for at in range(0, len(term[0]), array.slots):
                steps += 1
                offered += sum(len(row[at : at + array.slots]) for row in term)
                latched += len(term[0][at : at + array.slots]) * t
                added += len(term) * t
            cycles += steps
            read += inputs * t * v
    nnz = sum(sum(row) for row in rows)
    compute = -(-nnz * t // cells)
    filled = -(-offered * t // cells)
    stored = offered * v + index
    return {
        "cycles": cycles + array.pe_latency_cycles,
        "compute": compute,
        "unused_slots": filled - compute,
        "array_edge": cycles - filled,
        "pipeline": array.pe_latency_cycles,
        "busy": nnz * t,
        "padding": offered * t - nnz * t,
        "stored": stored,
        "weight_bits_read": stored,
        "activation_bits_read": read,
        "activation_bits_written": len(rows) * t * a,
        "decoded_bits": index,
        "register_bits": 2 * v * (offered + latched),
        "macs": offered * t,
        "accumulator_bits": 2 * a * added,
        "weight_wire_bits": stored,
        "operand_wire_bits": read,
        "sum_wire_bits": len(rows) * t * a,
    }


def tree(terms: list[Any]) -> Any:
    """Neighbours first; an odd one out meets a missing lane, which is 0."""
    while len(terms) > 1:
        terms = [
            terms[i] + (terms[i + 1] if i + 1 < len(terms) else np.float32(0))
            for i in range(0, len(terms), 2)
        ]
    return terms[0]


def output(
    keep: NDArray[np.bool_], weight: NDArray[Any], x: NDArray[Any], row: int, array: TensorCoreArray
) -> Any:
    """The sums of output `row`, tokens after each other, to the last bit. x: (tokens, inputs)."""
    mask: Mask = keep.tolist()
    mode = chosen(mask, array)
    first = row // array.strip_outputs * array.strip_outputs
    strip = mask[first : first + array.strip_outputs]
    block = blocks_of(strip, array)[(row - first) // array.outputs]
    terms = row_terms(block_mode(mode, block), mask[row])
    assert terms is not None
    total: Any = np.float32(0)
    for slots in terms:
        for step in chunks(slots, array.slots):
            lanes = [np.float32(0) if c is None else weight[row, c] * x[:, c] for c in step]
            total = total + tree(lanes + [np.float32(0)] * (array.slots - len(lanes)))
    return total
