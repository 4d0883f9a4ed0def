"""SNAP: pairs on real positions, mean utilisation, power and area of the chip."""

from functools import cache, partial

import numpy as np

from accel_sim.dataflows.abstract.account import summed, total_cycles
from accel_sim.dataflows.index_matching import IndexMatchingArray, run_index_matching
from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from accel_sim.reports.report import Report
from accel_sim.validation.agreement import Agreement
from accel_sim.validation.power import FACTOR, watt
from sparse_formats.masks.matrix import MaskedMatrix

DENSITIES = (0.1, 0.3, 0.5, 0.7, 0.9)
OUTPUTS, INPUTS, TOKENS = 512, 512, 196
"""A layer of 14 × 14 positions."""
CHIP = (
    "energy.table=16nm",
    f"weight_buffer.bytes={140 * 1024}",
    f"activation_buffer.bytes={140 * 1024}",
)
"""280 KB of SRAM on the chip (remembered), half of it for either operand (chosen)."""


def counts(weight_density: float, activation_density: float) -> tuple[int, int, int]:
    """Executed MACs, cycles, and pairs with the same input, of random masks (seed 0)."""
    rng = np.random.default_rng(0)
    keep = rng.random((OUTPUTS, INPUTS)) < weight_density
    nonzero = rng.random((TOKENS, INPUTS)) < activation_density
    tiles, sizes = run_index_matching(keep, nonzero, TOKENS, IndexMatchingArray())
    executed = sum(summed(tile.executed, len(sizes)) for tile in tiles)
    pairs = int(np.count_nonzero(keep, axis=0) @ np.count_nonzero(nonzero, axis=0))
    return executed, total_cycles(tiles, len(sizes)), pairs


@cache
def found() -> tuple[tuple[int, int, int], ...]:
    """`counts` of each pair of densities."""
    return tuple(counts(weights, activations) for weights in DENSITIES for activations in DENSITIES)


def differing() -> int:
    """Products that executed another number of MACs than there are pairs."""
    return sum(executed != pairs for executed, _, pairs in found())


def mean_utilisation() -> float:
    macs = IndexMatchingArray().macs
    return float(np.mean([executed / (macs * cycles) for executed, cycles, _ in found()]))


@cache
def chip(weight_density: float, activation_density: float) -> Report:
    """Weights and activations that fit the chip, two full groups of tokens."""
    keep = np.random.default_rng(0).random((192, 512)) < weight_density
    workload = Workload.of([MaskedMatrix("m", keep)], Activations(56, activation_density))
    return simulate(workload, load_machine("snap", CHIP), is_checked=False)


def gops_per_watt(basis: str) -> float:
    return chip(0.1, 0.1).total.gops_per_watt[f"{basis}_core"] or 0.0


_VLSI = "SNAP (VLSI 2019, JSSC 2021), abstracts"

AGREEMENTS = (
    Agreement(
        "index_matching",
        "products, of 25, that execute other MACs than Σ nnz(W[:, c])·nnz(A[c, :])",
        0,
        "computed",
        "counted in the masks; eight layers of Eyeriss v2's PE follow it (Sparseloop's artifact)",
        differing,
        tolerance=0,
    ),
    Agreement(
        "index_matching",
        "mean utilisation of SNAP's multipliers",
        0.75,
        "published",
        _VLSI,
        mean_utilisation,
        note="theirs: networks; ours: random masks, both densities .1 to .9, 512 × 512, 196 tokens",
    ),
    Agreement(
        "index_matching",
        "SNAP's power at 16 nm and 480 MHz, mW",
        348,
        "published",
        f"{_VLSI}: a pruned ResNet-50 at 0.80 V",
        lambda: 1e3 * watt(chip(0.3, 0.5)),
        relation="within a factor",
        note="less than half; ours: a product of random masks, .3 of the weights and .5 of the "
        "activations, without control, priority encoders, network on chip and what else a chip has",
    ),
    Agreement(
        "index_matching",
        "SNAP's area at 16 nm, mm²",
        2.3,
        "published",
        _VLSI,
        lambda: sum(chip(0.3, 0.5).area_mm2.values()),
        tolerance=FACTOR,
        relation="within a factor",
        note="buffers as remembered",
    ),
    *(
        Agreement(
            "index_matching",
            f"SNAP's GOPS/W of {basis} operations, a tenth of weights and of activations, core",
            21_550,
            "published",
            f"{_VLSI}: effectual, at 0.55 V and 260 MHz",
            partial(gops_per_watt, basis.replace("-", "_")),
            relation="within a factor",
            note="theirs: the peak, and what counts as effectual is not said; ours: tables of "
            "0.9 V, at which energy is 2.7 times as large",
        )
        for basis in ("executed", "dense-equivalent")
    ),
)
