"""The dual-side tensor core's published speed-ups, and Sparseloop's counts for tensor cores."""

from collections.abc import Iterator
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import total_cycles
from accel_sim.dataflows.dual_side import DualSideArray, run_dual_side
from accel_sim.dataflows.tensor_core.array import TensorCoreArray
from accel_sim.dataflows.tensor_core.dataflow import run_tensor_core
from accel_sim.validation.agreement import Agreement

SIZE = 4096
LATENCY = {
    (1.0, 1.0): 4600,
    (0.9, 1.0): 4160,
    (0.7, 1.0): 3300,
    (0.5, 1.0): 2690,
    (0.3, 1.0): 1930,
    (1.0, 0.4): 2500,
    (0.9, 0.4): 2300,
    (0.7, 0.4): 1820,
    (0.5, 0.4): 1480,
    (0.3, 0.4): 1100,
}
"""By density of A and of B, M = N = K = 4096, in a unit that is not said."""


@cache
def speed_up(density_a: float, density_b: float) -> float:
    """Cycles of a core for the dense product over those for random masks; no DRAM, no latency."""
    machine = DualSideArray(core_rows=1, core_columns=1, pe_latency_cycles=0)
    a, b = _mask(density_a, 0), _mask(density_b, 1)
    tiles, sizes = run_dual_side(a, b, SIZE, machine)
    # A 32 × 32 tile takes 4 · 2 cycles an input.
    return (SIZE // 32) ** 2 * SIZE * 8 / total_cycles(tiles, len(sizes))


def errors() -> tuple[float, ...]:
    """Of the speed-ups over dense, relative, point by point."""
    dense = LATENCY[1.0, 1.0]
    return tuple(
        abs(speed_up(*densities) * latency / dense - 1) for densities, latency in LATENCY.items()
    )


@cache
def _mask(density: float, seed: int) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random((SIZE, SIZE)) < density


WORKLOADS = (
    (128, 1152, 1024, 147_456),
    (512, 1024, 256, 131_072),
    (512, 128, 1024, 65_536),
    (512, 256, 1024, 131_072),
)
"""Tokens, inputs, outputs, and the cycles of the dense tensor core."""
DENSITIES = (0.25, 0.3333, 0.5, 1.0)
"""Of the weights; with at most half of them the 2:4 core takes half the cycles."""


def differing(has_two_of_four: bool) -> float:
    """Workloads, of 16, that take other cycles on our tensor core of 1,024 MACs."""
    machine = TensorCoreArray(
        outputs=16,
        tokens=4,
        slots=16,
        modes=((2, 4),) if has_two_of_four else (),
        pe_latency_cycles=0,
    )
    found = 0
    for tokens, inputs, outputs, cycles in WORKLOADS:
        for density in DENSITIES:
            ranks = np.random.default_rng(0).random((outputs, inputs // 4, 4)).argsort(axis=2)
            keep = ranks < (4 if density == 1 else 2)
            keep &= np.random.default_rng(1).random(keep.shape) < min(2 * density, 1)
            tiles, sizes = run_tensor_core(keep.reshape(outputs, inputs), tokens, machine)
            theirs = cycles // (2 if has_two_of_four and density <= 0.5 else 1)
            found += total_cycles(tiles, len(sizes)) != theirs
    return float(found)


_POINTS = "Wang et al., ISCA 2021, digitised in Sparseloop's artifact (fig13)"
_COUNTS = "Sparseloop (MICRO 2022), artifact, fig15: its counts at 1,024 MACs"


def _rows() -> Iterator[Agreement]:
    for column, has_two_of_four in (("TC", False), ("STC", True)):
        yield Agreement(
            "dual_side",
            f"{'2:4' if has_two_of_four else 'dense'} tensor core, 1,024 MACs: workloads, of 16, "
            f"that take other cycles than {column}",
            0,
            "published",
            _COUNTS,
            partial(differing, has_two_of_four),
            tolerance=0,
            from_program=True,
        )
    yield Agreement(
        "dual_side",
        "ten densities, 4096 × 4096 × 4096: mean error of the speed-up over dense",
        0,
        "secondary",
        _POINTS,
        lambda: float(np.mean(errors())),
        tolerance=0.06,
        note="the step of 8 × 16 is the best of four that were tried, and partly a fit",
    )
    yield Agreement(
        "dual_side",
        "the same: largest error",
        0,
        "secondary",
        _POINTS,
        lambda: max(errors()),
        tolerance=0.12,
    )
    for (a, b), latency in list(LATENCY.items())[1:]:
        yield Agreement(
            "dual_side",
            f"speed-up over dense, densities {a:g} and {b:g}",
            LATENCY[1.0, 1.0] / latency,
            "secondary",
            _POINTS,
            partial(speed_up, a, b),
        )


AGREEMENTS = tuple(_rows())
