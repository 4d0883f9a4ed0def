"""SIGMA: STONNE's cycles of a dense product, and what the paper's abstract says of the chip."""

from functools import cache

import numpy as np

from accel_sim.dataflows.abstract.account import total_cycles
from accel_sim.dataflows.sigma import SigmaArray, run_sigma
from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from accel_sim.reports.report import Report
from accel_sim.validation.agreement import Agreement
from accel_sim.validation.power import FACTOR, watt
from sparse_formats.masks.matrix import MaskedMatrix


def stonne_cycles() -> int:
    """64 × 768 by 768 × 64 on 256 multipliers, two of which share a port of the memory."""
    machine = SigmaArray(dpes=2, dpe_multipliers=128, dpe_words=64, fill_words=128)
    tiles, sizes = run_sigma(np.ones((64, 768), np.bool_), None, 64, machine)
    return total_cycles(tiles, len(sizes))


@cache
def chip() -> Report:
    """Half of the weights at random, 1024 tokens; the matrix is on the chip."""
    keep = np.random.default_rng(0).random((1024, 1024)) < 0.5
    workload = Workload.of([MaskedMatrix("m", keep)], Activations(1024))
    settings = ("dram.resident=true", "activation_buffer.bytes=16777216")
    return simulate(workload, load_machine("sigma", settings), is_checked=False)


def tflops() -> float:
    total = chip().total
    return 2 * total.macs_executed / total.latency_s / 1e12


_ABSTRACT = "Qin et al., HPCA 2020, abstract"

AGREEMENTS = (
    Agreement(
        "sigma",
        "cycles of 64 × 64 × 768, dense, 256 multipliers, 128 values a cycle",
        27_503,
        "computed",
        "STONNE, run earlier",
        stonne_cycles,
        tolerance=138,
        note="192 fills of 143 cycles; 47 cycles, 0.17 %, are not explained",
        from_program=True,
    ),
    Agreement(
        "sigma",
        "TFLOPS of executed operations",
        10.8,
        "published",
        _ABSTRACT,
        tflops,
        note="theirs: effectual, a mean of products; ours: 1024 × 1024, half kept, 1,024 tokens",
    ),
    Agreement(
        "sigma",
        "power at 28 nm, W",
        22.33,
        "published",
        _ABSTRACT,
        lambda: watt(chip()),
        tolerance=FACTOR,
        relation="within a factor",
        note="ours: core, on the product of the row above",
    ),
    Agreement(
        "sigma",
        "area at 28 nm, mm²",
        65.10,
        "published",
        _ABSTRACT,
        lambda: sum(chip().area_mm2.values()) - chip().area_mm2["activation_buffer"],
        tolerance=FACTOR,
        relation="within a factor",
        note="ours: with a buffer of 8 MB for weights, none for activations; theirs are unknown",
    ),
)
