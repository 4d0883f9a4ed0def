"""Which entries of a tile are live for which tokens of a group (docs/microarchitecture.md §2)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.mixed_vector.entries import Entries, select_of
from sparse_formats.masks.bit_words import set_bits, trailing_zeros


@dataclass(frozen=True, eq=False)
class Liveness:
    """What zero-skip sees of one pass.

    dead: bool (rows, entries); one row where all columns of the group drop the same entries, else
    one a token. pairs: live pairs (entry, token); macs: live pairs (weight, token).
    """

    dead: NDArray[np.bool_]
    deads: int
    pairs: int
    macs: int


def all_live(entries: Entries, tokens: int) -> Liveness:
    """No activation is zero, or nobody looks."""
    dead = np.zeros((1, len(entries)), np.bool_)
    weights = int(entries.weights.sum(dtype=np.int64))
    return Liveness(dead, 0, len(entries) * tokens, weights * tokens)


def liveness(
    entries: Entries, token_bits: NDArray[np.uint64], tokens: int, per_column: bool
) -> Liveness:
    """Of each entry for the tokens of one group.

    token_bits: of the group and the inputs of the tile, see `Inputs.token_bits`. per_column: each
    token drops what is dead for it; otherwise what is dead for all of them.
    """
    words = token_bits.shape[1]
    bits = np.ascontiguousarray(token_bits)
    counts = np.zeros((3, 1), np.int64)
    marks = np.zeros((len(entries), words), np.uint64)
    mark(needs_of(entries), bits, np.array([tokens]), per_column, counts, marks)
    deads, pairs, macs = counts[:, 0].tolist()
    rows = tokens if per_column and deads else 1
    row = np.arange(rows)
    places = (row % 64).astype(np.uint64)[:, None]
    dead = (marks.T[row // 64] >> places & np.uint64(1)).astype(np.bool_)
    return Liveness(dead, int(np.count_nonzero(dead)), pairs, macs)


def needs_of(entries: Entries) -> tuple[Any, ...]:
    """What `mark` reads of entries."""
    each = (entries.lo, entries.hi, entries.lanes, entries.weights)
    return (*each, entries.selects, entries.select_step, entries.lane_step)


@njit(cache=True, nogil=True)
def mark(needs: Any, bits: Any, tokens: Any, per_column: bool, counts: Any, dead: Any) -> None:
    """Mark what is dead for some groups at once.

    needs: see `needs_of`. bits: uint64 (inputs of the tile, groups · words): `Inputs.token_bits` of
    one group beside those of the next. tokens: of each group. counts: int64 (3, groups), to be
    filled with dead entries, live pairs (entry, token) and (weight, token). dead: uint64 (entries,
    groups · words), or of no entry where nobody wants it: bit t of word w of a group is set where
    the entry is dead for token 64·w + t or, unless `per_column`, bit 0 of its first word where it
    is dead for all tokens.
    """
    lo, hi, lanes, weights, selects, select_step, lane_step = needs
    inputs, width = bits.shape
    groups = len(tokens)
    words = width // groups
    live = np.zeros(width, np.uint64)
    of_entry = np.zeros(width, np.int64)
    of_group = np.zeros(width, np.uint64)
    for g in range(groups):
        of_group[g * words : (g + 1) * words] = first_bits(tokens[g], words)
    live_of = np.zeros((inputs, width), np.int64)
    for c in range(inputs):
        for w in range(width):
            live_of[c, w] = set_bits(bits[c, w])
    deads = np.zeros(groups, np.int64)
    pairs = np.zeros(width, np.int64)
    macs = np.zeros(width, np.int64)
    for e in range(len(lo)):
        first = np.uint64(lo[e])
        if hi[e] - lo[e] == 1 and len(selects) == 0:
            # One input, broadcast to all lanes (or a row-mode position of a single input).
            for w in range(width):
                live[w] = bits[first, w]
                of_entry[w] = live_of[first, w]
                macs[w] += of_entry[w] * weights[e]
        else:
            for w in range(width):
                live[w] = 0
            rest = lanes[e]
            while rest:
                lane = trailing_zeros(rest)
                rest &= rest - np.uint64(1)
                c = first + np.uint64(lane * lane_step)
                if len(selects):
                    c += np.uint64(select_of(selects, e, lane) * select_step)
                for w in range(width):
                    macs[w] += live_of[c, w]
                    live[w] |= bits[c, w]
            for w in range(width):
                of_entry[w] = set_bits(live[w])
        for w in range(width):
            pairs[w] += of_entry[w]
        if words == 1 and per_column:
            for g in range(groups):
                deads[g] += of_entry[g] < tokens[g]
        elif words == 1:
            for g in range(groups):
                deads[g] += of_entry[g] == 0
        else:
            for g in range(groups):
                count = of_entry[g * words : (g + 1) * words].sum()
                deads[g] += count < (tokens[g] if per_column else 1)
        if len(dead) == 0:
            continue
        if per_column:
            for w in range(width):
                dead[e, w] = of_group[w] & ~live[w]
        else:
            for g in range(groups):
                is_live = np.uint64(0)
                for w in range(g * words, (g + 1) * words):
                    is_live |= live[w]
                dead[e, g * words] = is_live == 0
    for g in range(groups):
        counts[0, g] = deads[g]
        counts[1, g] = pairs[g * words : (g + 1) * words].sum()
        counts[2, g] = macs[g * words : (g + 1) * words].sum()


@njit(cache=True, nogil=True)
def first_bits(count: int, words: int) -> Any:
    """uint64 (words,) with the first `count` bits set."""
    bits = np.zeros(words, np.uint64)
    for w in range(-(-count // 64)):
        bits[w] = ~np.uint64(0) >> np.uint64(max(64 * (w + 1) - count, 0))
    return bits
