"""SCNN: its speed over the dense twin on GoogLeNet's inception modules, at equal densities."""

from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from accel_sim.costs.area import machine_area
from accel_sim.dataflows.abstract.account import total_cycles
from accel_sim.dataflows.scnn import ScnnArray, run_convolution, run_tokens
from accel_sim.inputs.convolutions import Convolution
from accel_sim.machines.load import load_machine
from accel_sim.validation.agreement import Agreement
from accel_sim.validation.power import FACTOR

MACHINE = ScnnArray(pe_latency_cycles=0)
CHIP = (
    "energy.table=16nm",
    f"weight_buffer.bytes={32 * 1024}",
    "weight_buffer.banks=1",
)
"""Weights stream from the DRAM through one buffer (chosen); activations have their 20 KB a PE."""
DENSITIES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1)


class Module(NamedTuple):
    """An inception module: size of its plane, channels, and outputs of its six convolutions."""

    side: int
    channels: int
    outputs_1: int
    reduced_3: int
    outputs_3: int
    reduced_5: int
    outputs_5: int
    pooled: int


MODULES = (
    Module(28, 192, 64, 96, 128, 16, 32, 32),
    Module(28, 256, 128, 128, 192, 32, 96, 64),
    Module(14, 480, 192, 96, 208, 16, 48, 64),
    Module(14, 512, 160, 112, 224, 24, 64, 64),
    Module(14, 512, 128, 128, 256, 24, 64, 64),
    Module(14, 512, 112, 144, 288, 32, 64, 64),
    Module(14, 528, 256, 160, 320, 32, 128, 128),
    Module(7, 832, 256, 160, 320, 32, 128, 128),
    Module(7, 832, 384, 192, 384, 48, 128, 128),
)
"""3a, 3b, 4a to 4e, 5a, 5b of GoogLeNet (Szegedy et al., CVPR 2015)."""


def convolutions() -> list[Convolution]:
    """All 54 of them."""
    found = []
    for m in MODULES:
        for channels, outputs, kernel in (
            (m.channels, m.outputs_1, 1),
            (m.channels, m.reduced_3, 1),
            (m.reduced_3, m.outputs_3, 3),
            (m.channels, m.reduced_5, 1),
            (m.reduced_5, m.outputs_5, 5),
            (m.channels, m.pooled, 1),
        ):
            size, around = (m.side, m.side), (kernel // 2, kernel // 2)
            found.append(Convolution(outputs, channels, (kernel, kernel), size, (1, 1), around))
    return found


@cache
def cycles(density: float) -> int:
    """Of all convolutions, with random weights and activations of this density (seed 0)."""
    rng, total = np.random.default_rng(0), 0
    for shape in convolutions():
        assert shape.size is not None
        keep = rng.random((shape.outputs, shape.columns)) < density
        planes = rng.random((shape.inputs, *shape.size)) < density
        tiles, sizes = run_convolution(keep, planes, shape, MACHINE)
        total += total_cycles(tiles, len(sizes))
    return total


def dense_cycles() -> int:
    """Of DCNN: as many PEs, each with a dot product of 16."""
    total = 0
    for shape in convolutions():
        assert shape.size is not None
        part = -(-shape.size[0] // 8) * -(-shape.size[1] // 8)
        total += part * shape.outputs * -(-shape.columns // 16)
    return total


def speed(density: float) -> float:
    return dense_cycles() / cycles(density)


def crossover() -> float:
    """The density at which both are as fast, between two of the curve's points."""
    for denser, sparser in pairwise(DENSITIES):
        slow, fast = speed(denser), speed(sparser)
        if slow < 1 <= fast:
            return denser - (denser - sparser) * (1 - slow) / (fast - slow)
    return float("nan")


def rises() -> int:
    """Steps of the curve at which a lower density is not faster."""
    return sum(speed(sparser) <= speed(denser) for denser, sparser in pairwise(DENSITIES))


def fully_connected() -> float:
    """Utilisation in a dense product of one token for each PE."""
    tiles, sizes = run_tokens(np.ones((768, 768), np.bool_), None, MACHINE.pes, MACHINE)
    taken = total_cycles(tiles, len(sizes))
    return 768 * 768 * MACHINE.pes / (taken * MACHINE.macs)


def area() -> float:
    return sum(machine_area(load_machine("scnn", CHIP)).values())


_CURVE = "Parashar et al., ISCA 2017, read in two notes: GoogLeNet, equal densities"
_MASKS = "ours: the convolutions of its nine inception modules, random masks"

AGREEMENTS = (
    Agreement(
        "scnn",
        "cycles with nothing zero, GoogLeNet's 54 inception convolutions",
        1_875_008,
        "computed",
        "an earlier program of ours with the same rule",
        lambda: cycles(1.0),
        tolerance=0,
    ),
    Agreement(
        "scnn",
        "speed over the dense twin, density 1",
        0.79,
        "secondary",
        _CURVE,
        lambda: speed(1.0),
        tolerance=0.06,
        note=_MASKS,
    ),
    Agreement(
        "scnn",
        "density at which it is as fast as the dense twin",
        0.85,
        "secondary",
        _CURVE,
        crossover,
        tolerance=0.06,
        note=_MASKS,
    ),
    Agreement(
        "scnn",
        "speed over the dense twin, density 0.1",
        24,
        "secondary",
        _CURVE,
        lambda: speed(0.1),
        tolerance=3,
        note=_MASKS,
    ),
    Agreement(
        "scnn",
        "steps, of 10, at which a lower density is not faster",
        0,
        "inferred",
        _CURVE,
        rises,
        tolerance=0,
    ),
    Agreement(
        "scnn",
        "utilisation in a fully connected layer",
        0.25,
        "secondary",
        "Parashar et al., ISCA 2017, read in two notes: a quarter of the peak",
        fully_connected,
        tolerance=0,
        note="ours: one token in each PE",
    ),
    Agreement(
        "scnn",
        "area at 16 nm, mm²",
        7.9,
        "secondary",
        "Parashar et al., ISCA 2017, read in two notes",
        area,
        tolerance=FACTOR,
        relation="within a factor",
        note="buffers of activations as in the notes",
    ),
)
