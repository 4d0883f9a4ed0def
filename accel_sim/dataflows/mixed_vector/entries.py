"""The entries of a tile: found in stream order, dealt to slots, measured in bits.

docs/microarchitecture.md §2 (entries), §3 (their bits), §4 (the slots that take them).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.mixed_vector.lines import field_of
from sparse_formats.masks.bit_words import set_bits


@dataclass(frozen=True, eq=False)
class Entries:
    """What a tile asks the slots to issue, slot by slot, each slot's in stream order.

    Those of slot s are first[s] … first[s + 1] − 1 (first: int64 (slots + 1,)). unit, lo, hi,
    weights, bits: int32; lanes: uint64 bit mask, bit i = lane i has a weight. [lo, hi): the inputs,
    counted from the first of the tile, that must be in the window; bits: of the sub-stream.
    selects: uint64 (select bits, entries): bit i of row b is bit b of the select of lane i. The
    weight of lane i with select c has the input lo + c·select_step + i·lane_step.
    """

    first: NDArray[np.int64]
    unit: NDArray[np.int32]
    lo: NDArray[np.int32]
    hi: NDArray[np.int32]
    lanes: NDArray[np.uint64]
    weights: NDArray[np.int32]
    bits: NDArray[np.int32]
    selects: NDArray[np.uint64]
    select_step: int
    lane_step: int

    def __len__(self) -> int:
        return len(self.unit)


@njit(cache=True, nogil=True)
def in_stream_order(words: Any, edges: Any, is_row_mode: bool, lanes: int) -> tuple[Any, Any, Any]:
    """Unit, position and lanes of every entry of a tile in stream order.

    words: the kept bits, the starts of vectors, and whether an entry is all of a (position, unit);
    edges: first and last line + 1, first and last item + 1 on it.
    """
    kept, starts, is_packed = words
    (line0, line1), (item0, item1) = edges
    fields = -((item0 - item1) // lanes)
    most = 0
    for line in range(line0, line1):
        for at in range(item0, item1, 64):
            most += set_bits(field_of(kept, line, at, min(64, item1 - at)))
    if is_packed:
        most = min(most, fields * (line1 - line0))
    unit = np.empty(most, np.int32)
    position = np.empty(most, np.int32)
    masks = np.empty(most, np.uint64)
    n = np.uint64(0)
    # Whole fields of a word, of which there are no others where lanes divide 64 and both edges.
    is_plain = is_packed and 64 % lanes == 0 and item0 % lanes == 0 and item1 % lanes == 0
    outer, inner = (fields, line1 - line0) if is_row_mode else (line1 - line0, fields)
    ones = ~np.uint64(0) >> np.uint64(64 - lanes)
    for p in range(outer):
        if is_plain and is_row_mode:
            at = np.uint64(item0 + p * lanes)
            word, shift = at >> np.uint64(6), at & np.uint64(63)
            for u in range(inner):
                field = kept[np.uint64(line0 + u), word] >> shift & ones
                if field:
                    unit[n], position[n], masks[n] = u, p, field
                    n += np.uint64(1)
            continue
        if is_plain:
            line = np.uint64(line0 + p)
            for f in range(inner):
                at = np.uint64(item0 + f * lanes)
                field = kept[line, at >> np.uint64(6)] >> (at & np.uint64(63)) & ones
                if field:
                    unit[n], position[n], masks[n] = f, p, field
                    n += np.uint64(1)
            continue
        for u in range(inner):
            line, f = (line0 + u, p) if is_row_mode else (line0 + p, u)
            at = item0 + f * lanes
            width = min(lanes, item1 - at)
            field = field_of(kept, line, at, width)
            if field == np.uint64(0):
                continue
            if is_packed:
                unit[n], position[n], masks[n] = u, p, field
                n += np.uint64(1)
                continue
            begins = field & (field_of(starts, line, at, width) | np.uint64(1))
            while field:
                # All up to the next beginning behind the lowest bit.
                low = field & (~field + np.uint64(1))
                later = begins & ~(low | (low - np.uint64(1)))
                piece = field
                if later:
                    piece &= (later & (~later + np.uint64(1))) - np.uint64(1)
                unit[n], position[n], masks[n] = u, p, piece
                n += np.uint64(1)
                field &= ~piece
    count = np.int64(n)
    return unit[:count].copy(), position[:count].copy(), masks[:count].copy()


@njit(cache=True, nogil=True)
def in_stream_order_selecting(
    kept: Any, edges: Any, is_row_mode: bool, lanes: int, select: int
) -> tuple[Any, Any, Any, Any]:
    """As `in_stream_order`, of lanes that choose of `select` > 1 inputs; and the selects.

    Entry j of a (position, unit) has the j-th kept weight of every lane that has so many.
    """
    (line0, line1), (item0, item1) = edges
    most = 0
    for line in range(line0, line1):
        for at in range(item0, item1, 64):
            most += set_bits(field_of(kept, line, at, min(64, item1 - at)))
    planes = 0
    while 1 << planes < select:
        planes += 1
    unit = np.empty(most, np.int32)
    position = np.empty(most, np.int32)
    masks = np.empty(most, np.uint64)
    selects = np.zeros((planes, most), np.uint64)
    n = 0
    lines, items = line1 - line0, item1 - item0
    if is_row_mode:
        outer, inner = -(-items // (lanes * select)), lines
    else:
        outer, inner = -(-lines // select), -(-items // lanes)
    for p in range(outer):
        for u in range(inner):
            found = 0  # entries of this (position, unit) so far
            for c in range(select):
                if is_row_mode:
                    line, at = line0 + u, item0 + (p * select + c) * lanes
                else:
                    line, at = line0 + p * select + c, item0 + u * lanes
                if line >= line1 or at >= item1:
                    break
                rest = field_of(kept, line, at, min(lanes, item1 - at))
                j = 0
                while rest:
                    k = np.uint64(n + j)
                    if j == found:
                        found += 1
                        unit[k], position[k], masks[k] = u, p, 0
                    more = rest & masks[k]
                    own = rest & ~more
                    masks[k] |= own
                    for b in range(planes):
                        if c >> b & 1:
                            selects[b, k] |= own
                    rest = more
                    j += 1
            n += found
    return unit[:n].copy(), position[:n].copy(), masks[:n].copy(), selects[:, :n].copy()


@njit(cache=True, nogil=True, inline="always")
def select_of(selects: Any, entry: Any, lane: Any) -> Any:
    """Which of its candidates lane `lane` of an entry takes."""
    select = 0
    for b in range(len(selects)):
        select |= np.int64(selects[b, entry] >> np.uint64(lane) & np.uint64(1)) << b
    return select


@njit(cache=True, nogil=True)
def dealt(
    in_order: Any, set_of_unit: Any, sets: Any, step: int, inputs: int, lanes: int
) -> tuple[Any, Any, Any, Any, Any, Any, Any, int, int]:
    """Entries in stream order dealt to slots (§4).

    Where those of each slot begin; unit, lo, hi, lanes, weights, selects of each, slot by slot; the
    largest difference of positions; entries that are not full.

    Of a set, the slot with the fewest entries takes the next, ties to the lowest: as all entries
    weigh the same, that is the next slot in turn. Set i·groups + j has the slots (i·size +
    k)·groups + j, k < size. step: inputs of a position; inputs: of the tile.
    """
    unit, position, masks, selects = in_order
    count, size, groups = sets
    slots, n = count * size, len(unit)
    of_set = np.zeros(count, np.int64)
    for e in range(n):
        of_set[set_of_unit[np.uint64(unit[e])]] += 1
    first = np.zeros(slots + 1, np.int64)
    for s in range(count):
        for k in range(size):
            slot = (s // groups * size + k) * groups + s % groups
            first[slot + 1] = of_set[s] // size + (k < of_set[s] % size)
    for slot in range(slots):
        first[slot + 1] += first[slot]
    at = first[:-1].copy()
    before = np.zeros(slots, np.int64)
    units, los, his = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)
    lane_masks, weights = np.empty(n, np.uint64), np.empty(n, np.int32)
    of_lanes = np.empty(selects.shape, np.uint64)
    most_difference = partial = 0
    # The slot of each set whose turn it is, and the last one.
    turn, last = np.empty(count, np.int64), np.empty(count, np.int64)
    for s in range(count):
        turn[s] = s // groups * size * groups + s % groups
        last[s] = turn[s] + (size - 1) * groups
    for e in range(n):
        s = np.uint64(set_of_unit[np.uint64(unit[e])])
        slot = np.uint64(turn[s])
        turn[s] += groups
        if turn[s] > last[s]:
            turn[s] -= size * groups
        k = np.uint64(at[slot])
        at[slot] += 1
        most_difference = max(most_difference, position[e] - before[slot])
        before[slot] = position[e]
        lo = np.int64(position[e]) * step
        kept = set_bits(masks[e])
        partial += kept < lanes
        units[k], los[k], his[k] = unit[e], lo, min(lo + step, inputs)
        lane_masks[k], weights[k] = masks[e], kept
        for b in range(len(selects)):
            of_lanes[b, k] = selects[b, e]
    return first, units, los, his, lane_masks, weights, of_lanes, most_difference, partial


@njit(cache=True, nogil=True)
def entry_bits(
    first: Any, weights: Any, item_bits: int, index_bits: int, pattern: int, lanes: int
) -> tuple[Any, Any]:
    """Bits of each entry in its sub-stream, and bytes of each sub-stream (§3).

    item_bits: of a value and its select.
    """
    bits = np.empty(len(weights), np.int32)
    slot_bytes = np.empty(len(first) - 1, np.int64)
    for slot in range(len(slot_bytes)):
        total = 0
        for k in range(first[slot], first[slot + 1]):
            entry = weights[k] * item_bits + index_bits
            if pattern == 1 or (pattern == 2 and weights[k] < lanes):
                entry += lanes
            if pattern == 2:
                entry += 1
            bits[k] = entry
            total += entry
        slot_bytes[slot] = -(-total // 8)
    return bits, slot_bytes
