"""Which entries of a tile are live for which tokens of a group (docs/microarchitecture.md §2)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.stream import Entries
from sparse_formats.mask_words import set_bits


@dataclass(frozen=True, eq=False)
class Liveness:
    """What zero-skip sees of one pass.

    skippable: bool (rows, entries); one row where all columns of the group drop the same entries,
    else one a token. pairs: live pairs (entry, token); macs: weights of live pairs.
    """

    skippable: NDArray[np.bool_]
    skips: int
    pairs: int
    macs: int


def all_live(entries: Entries, tokens: int) -> Liveness:
    """No activation is zero, or nobody looks."""
    skippable = np.zeros((1, len(entries)), np.bool_)
    weights = int(entries.weights.sum(dtype=np.int64))
    return Liveness(skippable, 0, len(entries) * tokens, weights * tokens)


def liveness(
    entries: Entries, token_bits: NDArray[np.uint64], tokens: int, per_column: bool
) -> Liveness:
    """Of each entry for the tokens of one group.

    token_bits: of the group, see `Inputs.token_bits`. per_column: each token drops what is dead for
    it; otherwise what is dead for all of them.
    """
    skippable = np.empty((tokens if per_column else 1, len(entries)), np.bool_)
    pairs, macs = _mark(
        entries.lo, entries.hi, entries.lanes, entries.weights, token_bits, skippable
    )
    skips = int(np.count_nonzero(skippable))
    return Liveness(skippable if skips else skippable[:1], skips, pairs, macs)


@njit(cache=True, nogil=True)
def _mark(
    lo: Any, hi: Any, lanes: Any, weights: Any, token_bits: Any, skippable: Any
) -> tuple[int, int]:
    """Fill `skippable`; live pairs and their weights."""
    rows, words = len(skippable), token_bits.shape[1]
    live = np.zeros(words, np.uint64)
    count = pairs = macs = 0
    for e in range(len(lo)):
        is_single = hi[e] - lo[e] == 1
        # Neighbours in the stream often need the same inputs: then they are live for the same.
        if e == 0 or lo[e] != lo[e - 1] or not (is_single or lanes[e] == lanes[e - 1]):
            count = 0
            for w in range(words):
                live[w] = _live_word(lo[e], hi[e], lanes[e], is_single, token_bits, w)
                count += set_bits(live[w])
        pairs += count
        macs += count * weights[e]
        if rows == 1:
            skippable[0, e] = count == 0
        else:
            for t in range(rows):
                bit = live[t // 64] >> np.uint64(t % 64) & np.uint64(1)
                skippable[t, e] = bit == np.uint64(0)
    return pairs, macs


@njit(cache=True, nogil=True)
def _live_word(lo: int, hi: int, lanes: Any, is_single: bool, token_bits: Any, word: int) -> Any:
    """The tokens, out of 64, for which an input of the entry's kept weights is not zero."""
    if is_single:
        # One input, broadcast to all lanes (or a row-mode position of a single input).
        return token_bits[lo, word]
    live = np.uint64(0)
    for c in range(lo, hi):
        if (lanes >> np.uint64(c - lo)) & np.uint64(1):
            live |= token_bits[c, word]
    return live
