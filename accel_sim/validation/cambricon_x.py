"""Cambricon-X: peak, and the sparsity from which time falls."""

from functools import cache

import numpy as np

from accel_sim.dataflows.cambricon_x import CambriconXArray, run_cambricon_x
from accel_sim.validation.agreement import Agreement

CLOCK_HZ = 1e9
SIDE = 768


@cache
def saved(sparsity: float) -> float:
    """Share of the dense time that a random mask of this sparsity saves (seed 0)."""
    keep = np.random.default_rng(0).random((SIDE, SIDE)) >= sparsity
    times = [
        int(run_cambricon_x(mask, 1, CambriconXArray())[0][0].cycles[0])
        for mask in (keep, np.ones_like(keep))
    ]
    return 1 - times[0] / times[1]


def gains_from() -> float:
    """The least whole per cent of sparsity that saves a per cent of the time."""
    return next(percent for percent in range(1, 100) if saved(percent / 100) >= 0.01) / 100


def peak_gops() -> float:
    """Two operations a multiplier and cycle."""
    machine = CambriconXArray()
    return 2 * machine.pes * machine.multipliers * CLOCK_HZ / 1e9


AGREEMENTS = (
    Agreement(
        "cambricon_x",
        "sparsity from which time falls (by 1 %)",
        0.05,
        "secondary",
        "Dave et al., survey: gains from about 5 % sparsity",
        gains_from,
        tolerance=0.015,
        note="a window of 256 takes one cycle less once it keeps no more than 240",
    ),
    Agreement(
        "cambricon_x",
        "peak GOP/s",
        544,
        "published",
        "Zhang et al., MICRO 2016, abstract",
        peak_gops,
        note="ours: 256 multipliers at 1 GHz (remembered); theirs counts other units too",
    ),
)
