"""How well inputs merge: tile by tile without loss, and by column combining with conflicts."""

from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.channel_merging import ChannelMergingArray, merge
from accel_sim.validation.agreement import Agreement
from sparse_formats.masks.column_groups import group_columns, keep_largest

SIZE, MERGED = 768, 8

MERGES = {
    ("random", 0.2, 16): (4.4, 0.88),
    ("horizontal", 0.2, 16): (3.1, 0.63),
    ("vertical", 0.2, 16): (4.9, 1.0),
    ("random", 0.1, 16): (8.2, 0.81),
    ("random", 0.2, 64): (2.5, 0.50),
    ("horizontal", 0.2, 64): (1.65, 0.33),
    ("vertical", 0.2, 64): (4.7, 0.93),
    ("random", 0.1, 64): (6.7, 0.66),
}
"""By kind of mask, density and outputs of a tile: inputs over groups, and packing."""


@cache
def _mask(kind: str, density: float) -> NDArray[np.bool_]:
    """A mask of 768 × 768; its vectors have 16 weights and are aligned."""
    rows, cols = {"random": (1, 1), "horizontal": (1, 16), "vertical": (16, 1)}[kind]
    drawn = np.random.default_rng(0).random((SIZE // rows, SIZE // cols)) < density
    return np.kron(drawn, np.ones((rows, cols), np.bool_))


@cache
def merged(kind: str, density: float, outputs: int, most: int) -> tuple[float, float]:
    """Inputs over groups, and the share of cells that hold a weight, over all tiles."""
    keep, array = _mask(kind, density), ChannelMergingArray(outputs=outputs, merged_inputs=most)
    tiles = range(0, SIZE, outputs)
    groups = sum(len(merge(keep[first : first + outputs], array)) for first in tiles)
    kept = int(np.count_nonzero(keep))
    return SIZE * len(tiles) / groups, kept / (groups * outputs)


@cache
def combined(density: float, most: int) -> float:
    """Packing of random columns that are combined whatever their conflicts."""
    keep = _mask("random", density)
    scores = np.random.default_rng(1).random(keep.shape)
    groups = group_columns(keep, most)
    left = np.count_nonzero(keep_largest(scores, keep, groups))
    return float(left / (SIZE * (groups.max() + 1)))


def _agreements() -> tuple[Agreement, ...]:
    rows: list[Agreement] = []
    source = "an earlier program of ours: other masks of 768 x 768"
    for (kind, density, outputs), (speed, packing) in MERGES.items():
        ours = partial(merged, kind, density, outputs, MERGED)
        where = f"{kind} masks, density {density:g}, tiles of {outputs} outputs"
        for what, theirs, tolerance, item in (
            ("inputs over groups", speed, 0.12, 0),
            ("packing", packing, 0.02, 1),
        ):
            rows.append(
                Agreement(
                    "channel_merging",
                    f"{what}, {where}",
                    theirs,
                    "computed",
                    source,
                    partial(_item, ours, item),
                    tolerance,
                )
            )
    for density, most in ((0.1, 4), (0.1, 8), (0.2, 8)):
        rows.append(
            Agreement(
                "channel_merging",
                f"packing of combined columns, {most} of density {density:g}",
                1 - (1 - density) ** most,
                "inferred",
                "1 - (1 - d)^k for k random columns (column combining: Kung et al., ASPLOS 2019)",
                partial(combined, density, most),
                0.01,
            )
        )
    return tuple(rows)


def _item(pair: partial[tuple[float, float]], item: int) -> float:
    return pair()[item]


AGREEMENTS = _agreements()
