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
    dead = np.empty((tokens if per_column else 1, len(entries)), np.bool_)
    needs = (entries.lo, entries.hi, entries.lanes, entries.weights)
    token_bits = np.ascontiguousarray(token_bits)
    if len(entries.selects):
        chosen = (entries.lanes, entries.selects, entries.select_step, entries.lane_step)
        pairs, macs = _mark_selected(entries.lo, chosen, token_bits, dead)
    elif token_bits.shape[1] == 1:
        pairs, macs = _mark_few(*needs, token_bits[:, 0], dead)
    else:
        pairs, macs = _mark(*needs, token_bits, dead)
    deads = int(np.count_nonzero(dead))
    return Liveness(dead if deads else dead[:1], deads, pairs, macs)


@njit(cache=True, nogil=True)
def _mark_few(
    lo: Any, hi: Any, lanes: Any, weights: Any, token_bits: Any, dead: Any
) -> tuple[int, int]:
    """As `_mark`, for groups of up to 64 tokens: a word an input."""
    rows = len(dead)
    live_of = np.empty(len(token_bits), np.int64)
    for c in range(len(token_bits)):
        live_of[c] = set_bits(token_bits[c])
    pairs = macs = 0
    for e in range(len(lo)):
        first = np.uint64(lo[e])
        if hi[e] - lo[e] == 1:
            live, count = token_bits[first], live_of[first]
            macs += count * weights[e]
        else:
            live, rest = np.uint64(0), lanes[e]
            while rest:
                c = first + np.uint64(trailing_zeros(rest))
                rest &= rest - np.uint64(1)
                macs += live_of[c]
                live |= token_bits[c]
            count = set_bits(live)
        pairs += count
        if rows == 1:
            dead[0, e] = count == 0
        else:
            for t in range(rows):
                dead[t, e] = live >> np.uint64(t) & np.uint64(1) == np.uint64(0)
    return pairs, macs


@njit(cache=True, nogil=True, inline="always")
def _tell(live: Any, e: Any, dead: Any) -> Any:
    """Fill dead[:, e] from the tokens for which entry e is `live`; how many these are."""
    count = 0
    for w in range(len(live)):
        count += set_bits(live[w])
    if len(dead) == 1:
        dead[0, e] = count == 0
    else:
        for t in range(len(dead)):
            dead[t, e] = live[t // 64] >> np.uint64(t % 64) & np.uint64(1) == np.uint64(0)
    return count


@njit(cache=True, nogil=True)
def _mark(
    lo: Any, hi: Any, lanes: Any, weights: Any, token_bits: Any, dead: Any
) -> tuple[int, int]:
    """Fill `dead`; live pairs (entry, token) and (weight, token)."""
    inputs, words = token_bits.shape
    live = np.zeros(words, np.uint64)
    live_of = np.zeros(inputs, np.int64)
    for c in range(inputs):
        for w in range(words):
            live_of[c] += set_bits(token_bits[c, w])
    pairs = macs = 0
    for e in range(len(lo)):
        # One input, broadcast to all lanes (or a row-mode position of a single input).
        if hi[e] - lo[e] == 1:
            live[:] = token_bits[lo[e]]
            macs += live_of[lo[e]] * weights[e]
        else:
            live[:] = 0
            rest = lanes[e]
            while rest:
                c = lo[e] + trailing_zeros(rest)
                rest &= rest - np.uint64(1)
                macs += live_of[c]
                for w in range(words):
                    live[w] |= token_bits[c, w]
        pairs += _tell(live, e, dead)
    return pairs, int(macs)


@njit(cache=True, nogil=True)
def _mark_selected(lo: Any, chosen: Any, token_bits: Any, dead: Any) -> tuple[int, int]:
    """As `_mark`, where each lane chooses its input."""
    inputs, words = token_bits.shape
    lanes, selects, select_step, lane_step = chosen
    live = np.zeros(words, np.uint64)
    live_of = np.zeros(inputs, np.int64)
    for c in range(inputs):
        for w in range(words):
            live_of[c] += set_bits(token_bits[c, w])
    pairs = macs = 0
    for e in range(len(lo)):
        live[:] = 0
        rest = lanes[e]
        while rest:
            lane = trailing_zeros(rest)
            rest &= rest - np.uint64(1)
            c = lo[e] + select_of(selects, e, lane) * select_step + lane * lane_step
            macs += live_of[c]
            for w in range(words):
                live[w] |= token_bits[c, w]
        pairs += _tell(live, e, dead)
    return pairs, int(macs)
