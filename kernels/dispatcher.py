"""Which pieces a matrix is cut into: the dispatcher. It looks at the mask, never at a clock.

A cut takes strips (vertical pieces) first, then segments (horizontal pieces) of what is left, then
single weights. Which cut is cheapest is estimated in multiply-adds of a vector at full speed. The
prices were calibrated once, on a Zen 4 machine with AVX-512 and with AVX2, which hardly differ;
`benchmarks/kernels/test_dispatcher.py` shows what the choice loses against the best one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kernels.loops import segments, strips
from kernels.loops.strips import HEIGHTS
from kernels.vector_registers import machine

Batch = Literal["one", "few", "many"]
"""Tokens: one; so few that no panel has 8 vectors; more."""


@dataclass(frozen=True)
class Prices:
    """What pieces cost, in multiply-adds of a vector at full speed.

    strips, segments: by height or length, of each weight in a piece, kept or not. strip_loop: of
    taking up the outputs of a strip. segment_loop: of taking up the inputs of a segment, for one
    chunk of outputs. blocks: by inputs of a block of rows, of a weight, and of taking up a row in
    a block. rest: the same of single weights beside longer pieces.
    """

    strips: Mapping[int, float]
    strip_loop: float
    segments: Mapping[int, float]
    segment_loop: float
    blocks: Mapping[int, tuple[float, float]]
    rest: tuple[float, float]


NARROW_BLOCK, FEW_BLOCK, WIDE_BLOCK = 80, 384, 1024
"""Inputs of a block of rows that stay in the first cache, for many tokens and for few, and such
that stay in the second one."""

PRICES: dict[Batch, Prices] = {
    "many": Prices(
        strips={4: 1.1},
        strip_loop=57,
        segments={4: 1.13},
        segment_loop=10,
        blocks={NARROW_BLOCK: (1.36, 4.2), WIDE_BLOCK: (2.4, 0)},
        rest=(2.4, 0),
    ),
    "few": Prices(
        strips={16: 1.04, 4: 1.1},
        strip_loop=4,
        segments={16: 1.05, 8: 1.15},
        segment_loop=14,
        blocks={FEW_BLOCK: (2.05, 6.5)},
        rest=(2.15, 8),
    ),
}


def batch_of(tokens: int) -> Batch:
    if tokens == 1:
        return "one"
    return "many" if tokens > 7 * machine().bytes // 4 else "few"


@dataclass(frozen=True)
class Cut:
    """height, least_strip: of strips, and the fewest kept weights that make one; height 0: none.

    length, least_segment: the same of segments, or for one token of spans.
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
    costs = _costs_of_one(keep) if batch == "one" else _costs(keep, PRICES[batch], chunk)
    return min(costs, key=lambda cut: costs[cut])


def candidates(batch: Batch) -> dict[str, Cut]:
    """Every cut the dispatcher might choose for some mask, by name: what a benchmark compares."""
    if batch == "one":
        cuts = {f"strips of {height}": Cut(height=height) for height in HEIGHTS}
        cuts |= {f"spans of {length}": Cut(length=length) for length in HEIGHTS}
        return cuts | {"rows": Cut()}
    prices = PRICES[batch]
    cuts: dict[str, Cut] = {}
    for side in prices.strips:
        cuts |= {f"strips of {side}, {n} kept": Cut(side, n) for n in _least(side)}
    for side in prices.segments:
        cuts |= {
            f"segments of {side}, {n} kept": Cut(length=side, least_segment=n) for n in _least(side)
        }
    high, long = min(prices.strips), min(prices.segments)
    cuts["strips and segments"] = Cut(high, high, long, long)
    return cuts | {f"rows in blocks of {block}": Cut(block=block) for block in prices.blocks}


def _least(side: int) -> tuple[int, ...]:
    """The fewest kept weights of a piece of so many that a cut may ask for."""
    return (side // 4, side // 2, side * 3 // 4, side)


def _costs(keep: NDArray[np.bool_], prices: Prices, chunk: int) -> dict[Cut, float]:
    rows, cols = keep.shape
    nnz = int(np.count_nonzero(keep))
    costs = {
        Cut(block=block): nnz * weight + min(nnz, rows * -(-cols // block)) * loop
        for block, (weight, loop) in prices.blocks.items()
    }
    chunks = -(-rows // chunk)
    for side, price in prices.strips.items():
        kept = strips.counts(keep, side)
        for n, pieces, rest in _pieces(kept, side, nnz):
            loops = rows / side * prices.strip_loop
            costs[Cut(side, n)] = pieces * side * price + loops + _rest(rest, rows, prices)
    for side, price in prices.segments.items():
        kept = segments.counts(keep, side)
        for n, pieces, rest in _pieces(kept, side, nnz):
            loops = chunks * (cols / side) * prices.segment_loop
            cut = Cut(length=side, least_segment=n)
            costs[cut] = pieces * side * price + loops + _rest(rest, rows, prices)
    return costs | _costs_of_both(keep, prices, nnz, chunks)


def _costs_of_both(
    keep: NDArray[np.bool_], prices: Prices, nnz: int, chunks: int
) -> dict[Cut, float]:
    """Of whole strips, then whole segments of what they leave; nothing where either lacks."""
    rows, cols = keep.shape
    high, long = min(prices.strips), min(prices.segments)
    is_strip = strips.counts(keep, high) == high
    tall = int(np.count_nonzero(is_strip))
    if not tall or not np.any(segments.counts(keep, long) == long):
        return {}
    left = (keep.reshape(rows // high, high, cols) & ~is_strip[:, None]).reshape(rows, cols)
    lying = int(np.count_nonzero(segments.counts(left, long) == long))
    rest = nnz - tall * high - lying * long
    cost = tall * high * prices.strips[high] + lying * long * prices.segments[long]
    cost += rows / high * prices.strip_loop + chunks * (cols / long) * prices.segment_loop
    return {Cut(high, high, long, long): cost + _rest(rest, rows, prices)}


def _rest(weights: int, rows: int, prices: Prices) -> float:
    weight, loop = prices.rest
    return weights * weight + min(weights, rows) * loop


def _pieces(counts: NDArray[np.uint8], side: int, nnz: int) -> list[tuple[int, int, int]]:
    """For each n of `_least`: n, the pieces that keep so many, and the weights of the others."""
    # Faster than `bincount`, which widens the counts first.
    found = np.array([np.count_nonzero(counts == kept) for kept in range(1, side + 1)])
    weights = found * np.arange(1, side + 1)
    return [(n, int(found[n - 1 :].sum()), nnz - int(weights[n - 1 :].sum())) for n in _least(side)]


def _costs_of_one(keep: NDArray[np.bool_]) -> dict[Cut, float]:
    """In bytes to be read, which is what one token waits for: 4 a weight, 2 an index."""
    costs: dict[Cut, float] = {Cut(): np.count_nonzero(keep) * 8.0}
    for size in HEIGHTS:
        # The last term: a shorter piece takes as many instructions as one that fills a vector.
        strip, span = size * 4 + 4, size * 4 + 6
        costs[Cut(height=size)] = float(np.count_nonzero(strips.counts(keep, size)) * strip)
        costs[Cut(length=size)] = float(np.count_nonzero(segments.counts(keep, size)) * span)
    return costs
