"""What XOR networks meet of random bits of random masks, beside an earlier program of ours."""

from functools import cache, partial

import numpy as np

from accel_sim.validation.agreement import Agreement
from sparse_formats.formats.parts.xor_network import XorNetwork

BLOCKS = {0: 8192, 1: 4096, 2: 256}
"""By memory: words that are searched."""

MET = {
    (32, 0.2, 0): 95.6,
    (20, 0.4, 0): 92.6,
    (40, 0.2, 1): 98.7,
    (32, 0.2, 1): 99.9,
    (80, 0.1, 1): 98.7,
    (20, 0.4, 1): 98.8,
    (40, 0.2, 2): 99.5,
}
"""By outputs, density and memory: per cent of the bits of kept weights."""

SEARCHED = {(40, 0.2, 0): 93.8, (80, 0.1, 0): 93.5}
"""Likewise; a word found by elimination meets fewer (docs/rivals.md §16)."""


@cache
def met(outputs: int, density: float, memory: int) -> float:
    """Per cent of the bits of kept weights that a network meets."""
    network, rng = XorNetwork(outputs, memory), np.random.default_rng(0)
    count = BLOCKS[memory] * outputs
    care, bits = rng.random(count) < density, rng.random(count) < 0.5
    missed = len(network.missed(care, bits, network.encode(care, bits)))
    return 100 * (1 - missed / float(np.count_nonzero(care)))


def _agreement(where: tuple[int, float, int], theirs: float, tolerance: float | None) -> Agreement:
    outputs, density, memory = where
    return Agreement(
        "xor_net",
        f"per cent of bits met, {outputs} outputs, density {density:g}, memory {memory}",
        theirs,
        "computed",
        "an earlier program of ours: another network, other masks",
        partial(met, *where),
        tolerance,
        note="" if tolerance else "elimination meets 92.0 and 91.7 on average (closed form)",
    )


AGREEMENTS = (
    *(_agreement(where, theirs, 0.6) for where, theirs in MET.items()),
    *(_agreement(where, theirs, None) for where, theirs in SEARCHED.items()),
)
