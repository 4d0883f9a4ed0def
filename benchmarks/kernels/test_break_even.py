"""From which sparsity on are we faster than torch's dense product, at 128 tokens, one thread?

Along a row of sparsities, the first from which on every one is faster, with a straight line
between the last slower one and it.
"""

from typing import Any

import pytest

from kernels.benchmark.cells import Cell
from kernels.benchmark.timing import measure

SPARSITIES = (0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.65, 0.7)
ASKED = {
    ("vertical", 16): (0.30, 0.25),
    ("horizontal", 16): (0.40, 0.35),
    ("blocks", 32): (0.30, 0.21),
    ("fine-grained", 1): (0.65, 0.58),
}


@pytest.mark.parametrize("pattern", ASKED, ids=lambda pattern: pattern[0])
def test_break_even(benchmark: Any, pattern: tuple[str, int]) -> None:
    pytest.importorskip("torch")
    at_most, aim = ASKED[pattern]
    speedups = {}
    for sparsity in SPARSITIES:
        cell = Cell(*pattern, 3072, 768, 128, sparsity)
        speedups[sparsity] = measure(cell, ["torch dense"], 0.7).ratios["torch dense"]
    found = break_even(speedups)
    benchmark.extra_info |= {
        "at_most": at_most,
        "aim": aim,
        "break_even": found,
        "speedups": {str(sparsity): speedup for sparsity, speedup in speedups.items()},
    }
    benchmark.pedantic(lambda: None, rounds=1)
    assert found <= at_most, f"faster than dense from {found:.2f} on, asked {at_most}"


def break_even(speedups: dict[float, float]) -> float:
    """Where the speed-up over ascending sparsities passes 1 for good; 1.0 if it never does."""
    slower = [sparsity for sparsity, speedup in speedups.items() if speedup < 1]
    faster = [s for s in speedups if not slower or s > slower[-1]]
    if not faster:
        return 1.0
    if not slower:
        return faster[0]
    low, high = speedups[slower[-1]], speedups[faster[0]]
    return slower[-1] + (faster[0] - slower[-1]) * (1 - low) / (high - low)
