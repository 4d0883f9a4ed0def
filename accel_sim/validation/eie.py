"""EIE: efficiency against queue depth, on random masks of AlexNet's fully connected layers."""

from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.eie import Count, EieArray, entries_per_column, recurrence, stepped
from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from accel_sim.reports.report import Report
from accel_sim.validation.agreement import Agreement
from sparse_formats.masks.matrix import MaskedMatrix

CLOCK_HZ = 800e6


@dataclass(frozen=True)
class FullyConnected:
    """Densities of weights and activations as remembered from EIE's table III."""

    outputs: int
    inputs: int
    weight_density: float
    activation_density: float


LAYERS = {
    "Alex-6": FullyConnected(4096, 9216, 0.09, 0.351),
    "Alex-7": FullyConnected(4096, 4096, 0.09, 0.353),
    "Alex-8": FullyConnected(1000, 4096, 0.25, 0.375),
}


@cache
def work(name: str) -> NDArray[np.int64]:
    """Entries of each broadcast column in each PE of a random mask (seed 0)."""
    layer, rng = LAYERS[name], np.random.default_rng(0)
    keep = rng.random((layer.outputs, layer.inputs)) < layer.weight_density
    live = rng.random(layer.inputs) < layer.activation_density
    return entries_per_column(keep, EieArray())[0][live]


def theoretical_us(name: str) -> float:
    """Time if every PE took an entry in every cycle."""
    return float(work(name).sum()) / EieArray().pes / CLOCK_HZ * 1e6


def resident_run(name: str) -> Report:
    """The layer on the built-in machine, whose weights stay on the chip; random mask, one token."""
    layer, rng = LAYERS[name], np.random.default_rng(0)
    keep = rng.random((layer.outputs, layer.inputs)) < layer.weight_density
    work = Workload.of([MaskedMatrix(name, keep)], Activations(1, layer.activation_density))
    return simulate(work, load_machine("eie"), threads=1)


def resident_us(name: str) -> float:
    """Time of the whole layer: broadcast, queues, pipeline and the outputs on their way out."""
    return 1e6 * resident_run(name).total.latency_s


def efficiency(name: str, queue_depth: int) -> float:
    """Theoretical over actual time."""
    cycles = int(recurrence(work(name), queue_depth)[Count.CYCLES])
    return float(work(name).sum()) / EieArray().pes / cycles


def differing_counters() -> float:
    """Counters in which the recurrence and the stepped machine differ, over random queues."""
    rng = np.random.default_rng(1)
    differing = 0
    for _ in range(200):
        columns, pes, depth = rng.integers(1, 60), rng.integers(1, 17), int(rng.integers(1, 10))
        entries = rng.poisson(4 * rng.random(), (columns, pes)).astype(np.int64)
        differing += int((recurrence(entries, depth) != stepped(entries, depth)).sum())
    return float(differing)


# Queue depth: efficiency that another program of ours had reached with masks of its own.
_MODEL = {
    "Alex-7": {1: 0.57, 2: 0.85, 4: 0.93, 8: 0.97, 16: 0.98, 256: 0.985},
    "Alex-8": {1: 0.47, 2: 0.74, 4: 0.87, 8: 0.93, 16: 0.96, 256: 0.97},
}
# Theoretical µs, actual over theoretical, actual µs.
_PAPER = {
    "Alex-6": (28.1, 0.93, 30.3),
    "Alex-7": (11.7, 0.96, 12.2),
    "Alex-8": (8.9, 0.90, 9.9),
}
_TABLE = "EIE (ISCA 2016), tables of its evaluation"

AGREEMENTS = (
    Agreement(
        "eie",
        "recurrence and stepped machine, 200 random queues: counters that differ",
        0,
        "computed",
        "docs/rivals.md §3",
        differing_counters,
        tolerance=0,
    ),
    *(
        Agreement(
            "eie",
            f"{name}, queue of {depth}: efficiency",
            figure,
            "computed",
            "an earlier, unpublished program of ours with other random masks",
            partial(efficiency, name, depth),
            tolerance=0.05,
        )
        for name, figures in _MODEL.items()
        for depth, figure in figures.items()
    ),
    *(
        Agreement(
            "eie",
            f"{name}, queue of 8: efficiency",
            figure,
            "remembered",
            _TABLE,
            partial(efficiency, name, 8),
            note="theirs: the trained masks; ours: random ones",
        )
        for name, (_, figure, _) in _PAPER.items()
    ),
    *(
        Agreement(
            "eie",
            f"{name}: theoretical µs",
            figure,
            "remembered",
            _TABLE,
            partial(theoretical_us, name),
            note="ours: random masks of the densities told, padding zeros included",
        )
        for name, (figure, _, _) in _PAPER.items()
    ),
    *(
        Agreement(
            "eie",
            f"{name}, weights on the chip: µs of the whole layer",
            figure,
            "remembered",
            _TABLE,
            partial(resident_us, name),
            note="ours: random mask and activations of the densities told",
        )
        for name, (_, _, figure) in _PAPER.items()
    ),
)
