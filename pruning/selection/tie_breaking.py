"""Equal scores: which of them go first, decided without favouring a place in the matrix.

Taking the first of equals would prefer low rows, and a 0/1 mask as scores is nothing but ties: the
result would show a direction that nobody put there. Choices are pseudo-random and depend on what
is tied alone, so the same scores give the same mask, at any scale.
"""

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

NOISE = 2.0**-10
"""Relative size of the noise in `told_apart`: small beside differences that matter, large enough
for a thousand distinct float32 values (chosen)."""


def some_of(tied: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """`count` of the places where `tied` (flat) is True, all equally likely."""
    places = np.flatnonzero(tied)
    return places if count >= len(places) else _generator(tied).permutation(places)[:count]


def best_first(values: NDArray[Any]) -> NDArray[np.int64]:
    """The order that sorts `values` (flat) from largest to smallest, equals shuffled."""
    shuffled = np.random.default_rng(len(values)).permutation(len(values))
    return shuffled[np.argsort(-values[shuffled], kind="stable")]


def of_groups(groups: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
    """True at the `count` largest of each row of `groups` (rows, members), equals by lot."""
    # The member's number behind a random one: no two lots of a group are equal.
    lots = _generator(groups > 0).integers(0, 1 << 24, groups.shape, np.uint32) << np.uint32(8)
    lots |= np.arange(groups.shape[1], dtype=np.uint32)
    # Few members: counting who is ahead is quicker than sorting, and needs no order of equals.
    keep = np.empty(groups.shape, np.bool_)
    for i in range(groups.shape[1]):
        ahead = groups > groups[:, i : i + 1]
        ahead |= (groups == groups[:, i : i + 1]) & (lots > lots[:, i : i + 1])
        keep[:, i] = np.count_nonzero(ahead, axis=1) < count
    return keep


def told_apart(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """`scores` times 1 + noise below `NOISE`, so that equal ones differ; zeros stay zeros."""
    noise = _generator(scores > 0).random(scores.shape, np.float32)
    return np.multiply(scores, 1 + NOISE * noise, dtype=np.float32)


def lot(pattern: NDArray[np.bool_]) -> int:
    """A seed that depends on a pattern alone, 0 … 2³² − 1."""
    return zlib.crc32(np.packbits(pattern).tobytes())


def _generator(pattern: NDArray[np.bool_]) -> np.random.Generator:
    return np.random.default_rng(lot(pattern))
