"""Small machines and matrices that the simulator's tests share."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.mixed_vector.dataflow import MixedVector
from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Masks, Workload
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from accel_sim.reports.results import LayerResult
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import Orientation, VectorLayout

# 4 PE rows × 2 token columns × 4 lanes in one group; nothing but the array can be the bottleneck.
ROOMY = (
    "pe_rows=4",
    "token_columns=2",
    "lanes=4",
    "lane_groups=[1]",
    "accumulators_per_pe=16",
    "pe_latency_cycles=3",
    "sets=2",
    "window_inputs=64",
    "inputs_per_cycle=64",
    "words_per_cycle=64",
    "weight_buffer.bytes=65536",
)


def load_mixed_vector(name: str, settings: Iterable[str] = ()) -> MixedVector:
    """As `load_machine`, for a machine of mixed-length vectors."""
    machine = load_machine(name, settings)
    assert isinstance(machine, MixedVector)
    return machine


def roomy(*settings: str) -> MixedVector:
    """The roomy machine, with more settings on top."""
    return load_mixed_vector("tf_mvp", [*ROOMY, *settings])


def simulated(
    masks: Masks, machine: Machine, activations: Activations, **options: Any
) -> list[LayerResult]:
    """The layers of the report; options: as of `simulate`."""
    return list(simulate(Workload.of(masks, activations), machine, **options).layers)


def random_matrix(
    shape: tuple[int, int],
    density: float,
    seed: int = 0,
    name: str = "m",
    dtype: Any = np.float32,
) -> MaskedMatrix:
    """A Bernoulli mask with normal weights."""
    rng = np.random.default_rng(seed)
    keep = rng.random(shape) < density
    weight = np.where(keep, rng.standard_normal(shape), 0).astype(dtype)
    return MaskedMatrix(name, keep, weight)


def vector_matrix(
    shape: tuple[int, int],
    orientation: Orientation,
    length: int,
    density: float,
    seed: int = 0,
    name: str = "m",
) -> MaskedMatrix:
    """Aligned vectors of one length, each kept with probability `density`, normal weights."""
    rng = np.random.default_rng(seed)
    count, axis = shape if orientation == "horizontal" else shape[::-1]
    line, slot = np.nonzero(rng.random((count, -(-axis // length))) < density)
    layout = VectorLayout(
        orientation,
        line.astype(np.int32),
        (slot * length).astype(np.int32),
        np.full(len(line), length, np.int32),
    )
    keep: NDArray[np.bool_] = layout.keep(shape)
    weight = np.where(keep, rng.standard_normal(shape), 0).astype(np.float32)
    return MaskedMatrix(name, keep, weight, "other", layout)
