"""Which pieces a matrix is cut into: the dispatcher. It looks at the mask, never at a clock.

A cut takes strips (vertical pieces) first, then segments (horizontal pieces) of what is left, then
single weights. Which cut is cheapest is estimated in multiply-adds of a vector at full speed. The
constants were calibrated once on an AVX2 machine; `benchmarks/kernels/test_dispatcher.py` shows
what the choice loses against the best one.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kernels.loops.strips import HEIGHTS
from kernels.vector_registers import machine

Batch = Literal["one", "few", "many"]
"""Tokens: one; so few that no panel has 8 vectors; more."""

STRIP, SEGMENT = 4.0, 4.6
"""Of 4 weights, kept or not."""
STRIP_LOOP, SEGMENT_LOOP = 25.0, 13.0
"""Of taking up 4 outputs, and of taking up 4 inputs in one chunk of outputs."""
ROW_WEIGHT = {"many": 1.9, "few": 2.5}
"""A single weight that reads its input from the second cache."""
REST_WEIGHT = 2.2
"""A single weight beside longer pieces, in panels of their width."""
BLOCK_WEIGHT, BLOCK_LOOP = 1.0, 6.0
"""A single weight that reads from the first cache, and taking up a row in a block of inputs."""

BLOCK = 96
"""Inputs of a block: with 8 vectors of tokens they fill three quarters of the first cache."""
WIDE_BLOCK = 1024
"""Where a row keeps too few weights for that: what still fits the second cache."""


def batch_of(tokens: int) -> Batch:
    if tokens == 1:
        return "one"
    return "many" if tokens > 7 * machine().bytes // 4 else "few"


@dataclass(frozen=True)
class Cut:
    """height, least_strip: of strips, and the fewest kept weights that make one; height 0: none.

    length, least_segment: the same of segments, which are of 4, or for one token of spans.
    block: inputs of a block of rows.
    """

    height: int = 0
    least_strip: int = 1
    length: int = 0
    least_segment: int = 1
    block: int = 1 << 30

    @property
    def has_rows_only(self) -> bool:
        return not self.height and not self.length


def choose(keep: NDArray[np.bool_], batch: Batch, chunk: int) -> Cut:
    """The cheapest cut of the mask `keep` (out, in; both multiples of 16)."""
    costs = _costs_of_one(keep) if batch == "one" else _costs(keep, batch, chunk)
    return min(costs, key=lambda cut: costs[cut])


def candidates(batch: Batch) -> dict[str, Cut]:
    """Every cut the dispatcher might choose for some mask, by name: what a benchmark compares."""
    if batch == "one":
        cuts = {f"strips {height}": Cut(height=height) for height in HEIGHTS}
        cuts |= {f"spans {length}": Cut(length=length) for length in HEIGHTS}
        return cuts | {"rows": Cut()}
    cuts = {f"strips, {least} kept": Cut(4, least) for least in (1, 2, 3, 4)}
    cuts |= {f"segments, {n} kept": Cut(length=4, least_segment=n) for n in (1, 2, 3, 4)}
    cuts["strips and segments"] = Cut(4, 4, 4, 4)
    return cuts | {"rows": Cut(block=WIDE_BLOCK), "rows in blocks": Cut(block=BLOCK)}


def _costs(keep: NDArray[np.bool_], batch: Batch, chunk: int) -> dict[Cut, float]:
    rows, cols = keep.shape
    nnz = int(np.count_nonzero(keep))
    strips = _histogram(_strip_counts(keep, 4))
    segments = _histogram(_segment_counts(keep, 4))
    strip_loops = rows // 4 * STRIP_LOOP
    segment_loops = -(-rows // chunk) * (cols // 4) * SEGMENT_LOOP
    costs: dict[Cut, float] = {Cut(block=WIDE_BLOCK): nnz * ROW_WEIGHT[batch]}
    if batch == "many":
        costs[Cut(block=BLOCK)] = nnz * BLOCK_WEIGHT + rows * -(-cols // BLOCK) * BLOCK_LOOP
    for n in (1, 2, 3, 4):
        rest = _weights(strips[:n]) * REST_WEIGHT
        costs[Cut(4, n)] = _pieces(strips[n:]) * STRIP + strip_loops + rest
        rest = _weights(segments[:n]) * REST_WEIGHT
        loops = segment_loops
        costs[Cut(length=4, least_segment=n)] = _pieces(segments[n:]) * SEGMENT + loops + rest
    if strips[4] and segments[4]:
        left = keep.reshape(rows // 4, 4, cols) & (_strip_counts(keep, 4) < 4)[:, None]
        after = _histogram(_segment_counts(left.reshape(rows, cols), 4))
        rest = _weights(after[:4]) * REST_WEIGHT
        pieces = _pieces(strips[4:]) * STRIP + _pieces(after[4:]) * SEGMENT
        costs[Cut(4, 4, 4, 4)] = pieces + strip_loops + segment_loops + rest
    return costs


def _costs_of_one(keep: NDArray[np.bool_]) -> dict[Cut, float]:
    """In bytes to be read, which is what one token waits for: 4 a weight, 2 an index."""
    costs: dict[Cut, float] = {Cut(): np.count_nonzero(keep) * 8.0}
    for size in HEIGHTS:
        # The last term: a shorter piece takes as many instructions as one that fills a vector.
        strip, span = size * 4 + 4, size * 4 + 6
        costs[Cut(height=size)] = float(np.count_nonzero(_strip_counts(keep, size)) * strip)
        costs[Cut(length=size)] = float(np.count_nonzero(_segment_counts(keep, size)) * span)
    return costs


def _strip_counts(keep: NDArray[np.bool_], height: int) -> NDArray[np.uint8]:
    rows, cols = keep.shape
    return keep.reshape(rows // height, height, cols).sum(1, dtype=np.uint8)


def _segment_counts(keep: NDArray[np.bool_], length: int) -> NDArray[np.uint8]:
    rows, cols = keep.shape
    return keep.reshape(rows, cols // length, length).sum(2, dtype=np.uint8)


def _histogram(counts: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many pieces keep 0, 1, 2, 3, 4."""
    return np.bincount(counts.ravel(), minlength=5)


def _weights(histogram: NDArray[np.int64]) -> int:
    """Kept weights of the pieces that keep 0, 1, …."""
    return int(histogram @ np.arange(len(histogram)))


def _pieces(histogram: NDArray[np.int64]) -> int:
    return int(histogram.sum())
