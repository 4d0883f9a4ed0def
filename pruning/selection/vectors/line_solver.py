"""Compiled loops over aligned segments of lines; called by `mixed_vectors` alone.

`scores` is C-contiguous float32 (lines, axis). `menu` is ascending, int64, each length dividing the
next. Results are reported per chunk: `chunk` entries of a line, a multiple of the longest length.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.uint8]
Places = NDArray[np.int32]

VECTOR = 1 << 32
"""One vector in a packed count: vectors in the high half, kept weights in the low half."""


@njit(cache=True)
def _join(
    j: int,
    parts: int,
    covered: int,
    tau: float,
    cost: float,
    total: Floats,
    best: Floats,
    pack: Ints,
) -> tuple[float, float, int, bool]:
    """Sums of the node made of `parts` nodes from j on, and whether it is better kept whole."""
    s, apart, packed = total[j], best[j], pack[j]
    for d in range(1, parts):
        s += total[j + d]
        apart += best[j + d]
        packed += pack[j + d]
    value = s - tau * (covered + cost)
    # Of one part only (the line ends inside it) the whole would be the very same vector.
    keep = (value > 0) & (value >= apart) & (parts > 1)
    return s, value if keep else apart, VECTOR + covered if keep else packed, keep


@njit(cache=True)
def _leaves(
    entries: Scores,
    length: int,
    tau: float,
    cost: float,
    total: Floats,
    best: Floats,
    pack: Ints,
    row: Flags,
) -> int:
    """The segments of the shortest length, each kept if it pays; returns how many."""
    axis = len(entries)
    nodes = (axis + length - 1) // length
    if length == 1:
        price = tau * (1 + cost)
        for i in range(axis):
            s = np.float64(entries[i])
            value = s - price
            total[i] = s
            best[i] = max(value, 0.0)
            pack[i] = (VECTOR + 1) * (value > 0)
            row[i] = value > 0
        return nodes
    for i in range(nodes):
        end = min((i + 1) * length, axis)
        s = 0.0
        for j in range(i * length, end):
            s += entries[j]
        value = s - tau * (end - i * length + cost)
        total[i] = s
        best[i] = max(value, 0.0)
        pack[i] = (VECTOR + end - i * length) * (value > 0)
        row[i] = value > 0
    return nodes


@njit(cache=True)
def _joined_leaves(
    entries: Scores,
    length: int,
    tau: float,
    cost: float,
    total: Floats,
    best: Floats,
    pack: Ints,
) -> int:
    """`_leaves` of single entries and their `_join` to segments of `length`, without a trace.

    In registers, without a store for each entry, which halves the time; the same to the last bit.
    """
    single, whole = tau * (1 + cost), tau * (length + cost)
    nodes = len(entries) // length
    for i in range(nodes):
        s, apart, packed = 0.0, 0.0, 0
        for d in range(length):
            entry = np.float64(entries[length * i + d])
            s += entry
            apart += max(entry - single, 0.0)
            packed += (VECTOR + 1) * (entry - single > 0)
        value = s - whole
        keep = (value > 0) & (value >= apart)
        total[i] = s
        best[i] = value if keep else apart
        pack[i] = VECTOR + length if keep else packed
    return nodes


@njit(cache=True)
def _solve_line(
    entries: Scores,
    menu: Ints,
    tau: float,
    cost: float,
    total: Floats,
    best: Floats,
    pack: Ints,
    taken: Flags,
    record: bool,
) -> int:
    """Best set of aligned disjoint vectors of one line, by value Σ S − tau·(covered + cost).

    Bottom-up over the tree of aligned segments, exact: a segment is kept whole if that is worth
    more than the best of its parts. Works in place: afterwards best and pack hold the longest
    segments' values and packed counts. With `record`, taken[level, i] says segment i is worth
    keeping whole; without, taken holds nothing of use.
    """
    axis = len(entries)
    first = 1
    is_usual = menu[0] == 1 and len(menu) > 1 and axis % menu[1] == 0
    # The lengths as constants, for the compiler to unroll.
    if is_usual and not record and menu[1] == 4:
        nodes, first = _joined_leaves(entries, 4, tau, cost, total, best, pack), 2
    elif is_usual and not record and menu[1] == 2:
        nodes, first = _joined_leaves(entries, 2, tau, cost, total, best, pack), 2
    else:
        nodes = _leaves(entries, menu[0], tau, cost, total, best, pack, taken[0])
    for level in range(first, len(menu)):
        length = menu[level]
        factor = length // menu[level - 1]
        whole = nodes // factor
        if whole * length > axis:
            whole -= 1
        row = taken[level]
        # The usual factors as constants: the compiler unrolls them, which halves the time.
        if factor == 2:
            for i in range(whole):
                total[i], best[i], pack[i], row[i] = _join(
                    2 * i, 2, length, tau, cost, total, best, pack
                )
        elif factor == 4:
            for i in range(whole):
                total[i], best[i], pack[i], row[i] = _join(
                    4 * i, 4, length, tau, cost, total, best, pack
                )
        else:
            for i in range(whole):
                total[i], best[i], pack[i], row[i] = _join(
                    factor * i, factor, length, tau, cost, total, best, pack
                )
        if whole * factor < nodes:
            total[whole], best[whole], pack[whole], row[whole] = _join(
                whole * factor,
                nodes - whole * factor,
                axis - whole * length,
                tau,
                cost,
                total,
                best,
                pack,
            )
            whole += 1
        nodes = whole
    return nodes


@njit(cache=True)
def measure(
    scores: Scores,
    menu: Ints,
    chunk: int,
    tau: float,
    cost: float,
    values: Floats,
    sizes: Ints,
    counts: Ints,
) -> None:
    """Value, kept weights and vectors of every chunk's best set; outputs (lines · chunks,)."""
    lines, axis = scores.shape
    total, best = np.empty(axis), np.empty(axis)
    pack = np.empty(axis, np.int64)
    taken = np.empty((len(menu), axis), np.uint8)
    per_chunk = chunk // menu[-1]
    place = 0
    for line in range(lines):
        nodes = _solve_line(scores[line], menu, tau, cost, total, best, pack, taken, False)
        for first in range(0, nodes, per_chunk):
            value, packed = 0.0, 0
            for i in range(first, min(first + per_chunk, nodes)):
                value += best[i]
                packed += pack[i]
            values[place] = value
            sizes[place] = packed & (VECTOR - 1)
            counts[place] = packed >> 32
            place += 1


@njit(cache=True)
def emit(
    scores: Scores,
    menu: Ints,
    chunk: int,
    taus: Floats,
    switched: Ints,
    cost: float,
    out_lines: Places,
    out_starts: Places,
    out_lengths: Places,
    keep: NDArray[np.bool_],
) -> int:
    """Write the vectors of every chunk, priced taus[switched[chunk]]; returns how many.

    keep: (lines, axis), all False; the vectors' entries are set.
    """
    lines, axis = scores.shape
    total, best = np.empty(axis), np.empty(axis)
    pack = np.empty(axis, np.int64)
    taken = np.empty((2, len(menu), axis), np.uint8)
    written = 0
    place = 0
    chunks = (axis + chunk - 1) // chunk
    group = menu[1] if len(menu) > 1 else chunk
    for line in range(lines):
        # Most lines have chunks of one price alone.
        used = np.sum(switched[place : place + chunks])
        for choice in range(2):
            if used == (1 - choice) * chunks and chunks > 0:
                continue
            _solve_line(
                scores[line], menu, taus[choice], cost, total, best, pack, taken[choice], True
            )
        for start in range(0, axis, chunk):
            choice = switched[place]
            place += 1
            end = min(start + chunk, axis)
            at = start
            while at < end:
                # The longest one that begins here and is worth keeping; lengths nest.
                found = -1
                for level in range(1, len(menu)):
                    if at % menu[level]:
                        break
                    if taken[choice, level, at // menu[level]]:
                        found = level
                if found > 0:
                    out_lines[written] = line
                    out_starts[written] = at
                    out_lengths[written] = menu[found]
                    written += 1
                    for j in range(at, min(at + menu[found], end)):
                        keep[line, j] = True
                    at += menu[found]
                    continue
                # None but the shortest, up to where a longer one may begin again.
                for i in range(at // menu[0], (min(at + group, end) - 1) // menu[0] + 1):
                    if taken[choice, 0, i]:
                        out_lines[written] = line
                        out_starts[written] = i * menu[0]
                        out_lengths[written] = menu[0]
                        written += 1
                        for j in range(i * menu[0], min((i + 1) * menu[0], end)):
                            keep[line, j] = True
                at += group
    return written


@njit(cache=True)
def free_means(scores: Scores, keep: NDArray[np.bool_], length: int, means: Floats) -> None:
    """Mean score of every aligned segment of `length` that keeps nothing yet, −1 for the others."""
    lines, axis = scores.shape
    place = 0
    for line in range(lines):
        for start in range(0, axis, length):
            end = min(start + length, axis)
            s = 0.0
            free = True
            for j in range(start, end):
                if keep[line, j]:
                    free = False
                    break
                s += scores[line, j]
            means[place] = s / (end - start) if free else -1.0
            place += 1
