"""Which entries of a tile are live for which tokens of a group (docs/microarchitecture.md §2)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.mixed_vector.stream import Entries
from sparse_formats.masks.bit_words import set_bits


@dataclass(frozen=True, eq=False)
class Liveness:
    """What zero-skip sees of one pass.

    skippable: bool (rows, entries); one row where all columns of the group drop the same entries,
    else one a token. pairs: live pairs (entry, token); macs: weights of live pairs (piece, token).
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
    needs = (entries.lo, entries.hi, entries.lanes, entries.starts, entries.weights)
    pairs, macs = _mark(*needs, token_bits, skippable)
    skips = int(np.count_nonzero(skippable))
    return Liveness(skippable if skips else skippable[:1], skips, pairs, macs)


@njit(cache=True, nogil=True)
def _mark(
    lo: Any, hi: Any, lanes: Any, starts: Any, weights: Any, token_bits: Any, skippable: Any
) -> tuple[int, int]:
    """Fill `skippable`; live pairs and the weights of their live pieces."""
    rows, words = len(skippable), token_bits.shape[1]
    live = np.zeros(words, np.uint64)
    piece = np.zeros(words, np.uint64)
    count = pairs = macs = of_pieces = 0
    for e in range(len(lo)):
        # One input, broadcast to all lanes (or a row-mode position of a single input).
        is_single = hi[e] - lo[e] == 1
        # Neighbours in the stream often need the same inputs: then they are live for the same.
        is_same = e > 0 and lo[e] == lo[e - 1]
        if not is_single:
            is_same = is_same and lanes[e] == lanes[e - 1] and starts[e] == starts[e - 1]
        if not is_same:
            if is_single:
                live[:] = token_bits[lo[e]]
            else:
                of_pieces = _mark_pieces(lo[e], hi[e], lanes[e], starts[e], token_bits, piece, live)
            count = 0
            for w in range(words):
                count += set_bits(live[w])
        pairs += count
        macs += count * weights[e] if is_single else of_pieces
        if rows == 1:
            skippable[0, e] = count == 0
        else:
            for t in range(rows):
                bit = live[t // 64] >> np.uint64(t % 64) & np.uint64(1)
                skippable[t, e] = bit == np.uint64(0)
    return pairs, macs


@njit(cache=True, nogil=True)
def _mark_pieces(
    lo: int, hi: int, lanes: Any, starts: Any, token_bits: Any, piece: Any, live: Any
) -> int:
    """Fill `live`, the tokens for which a piece of the entry is; weights of live (piece, token).

    piece: room for the tokens of one piece.
    """
    live[:] = 0
    piece[:] = 0
    macs = width = 0
    for c in range(lo, hi):
        lane = np.uint64(1) << np.uint64(c - lo)
        if not lanes & lane:
            continue
        if starts & lane:
            macs += width * _into(piece, live)
            width = 0
        width += 1
        for w in range(len(piece)):
            piece[w] |= token_bits[c, w]
    return macs + width * _into(piece, live)


@njit(cache=True, nogil=True)
def _into(piece: Any, live: Any) -> int:
    """Add the tokens of a complete piece to the entry's and clear them; how many they were."""
    count = 0
    for w in range(len(piece)):
        count += set_bits(piece[w])
        live[w] |= piece[w]
        piece[w] = 0
    return count
