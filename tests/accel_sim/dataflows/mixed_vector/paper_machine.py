"""A machine whose cycles are counted on paper, for the simulator and for its reference."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from accel_sim.inputs.activations import Activations, Layer
from accel_sim.reports.results import LayerResult
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.dataflows.mixed_vector.drawn_workloads import layer_inputs
from tests.accel_sim.dataflows.mixed_vector.reference.layers import ReferenceLayer, reference
from tests.accel_sim.dataflows.mixed_vector.reference.machine import Machine
from tests.accel_sim.workloads import load_mixed_vector, simulated

# One PE of one lane, so that row and column mode are the same; words that hold a whole sub-stream;
# DRAM of one byte per cycle behind a latency of 5; one word written back per cycle.
#
# A tile has a descriptor of 16 bytes, a record of 4, and with one set its table has no bits. With
# one lane every entry is full: it has no bitmap, only d + t bits and its value. Of a tile of N
# bytes on one slot, line 0 (the record) is there after 20 cycles, line 1 after N; so with words
# that hold a whole sub-stream the first pass starts N − 1 cycles after the first byte: in N + 4.
#
# In the pass: 0: the record is read. 1: the word. 2: e0 is delivered. 3: e0 is issued.

PAPER = (
    "pe_rows=1",
    "token_columns=1",
    "array.lanes=1",
    "lane_groups=[1]",
    "accumulators_per_pe=1",
    "pe_latency_cycles=2",
    "policy=interleaved",
    "sets=1",
    "depth_entries=8",
    "per_column=false",
    "word_bytes=100",
    "buffer_words=8",
    "zero_skip.entries_per_cycle=0",
    "window_inputs=4",
    "inputs_per_cycle=4",
    "words_per_cycle=1",
    "weight_buffer.port_bytes=100",
    "activation_buffer.port_bytes=1000",
    "dram.bytes_per_cycle=1",
    "burst_bytes=1",
    "first_latency_cycles=5",
    "efficiency_run_bytes=[1]",
    "efficiency_permille=[1000]",
)
# Every load takes a cycle behind the latency: the first pass starts in cycle 6, if each PE row has
# one word in a line.
FAST = ("dram.bytes_per_cycle=1000",)

# Three weights of one output, six inputs from the first.
FAR = [[0, 0, 0, 0, 0, 0, 1, 1, 1]]
FAR_WINDOW = ("window_inputs=3", "inputs_per_cycle=3")

WIDE_WINDOW = ("window_inputs=8", "inputs_per_cycle=8")

Mask = Sequence[Sequence[int]] | MaskedMatrix


def given(*tokens: Sequence[float]) -> Activations:
    """These inputs, token by token, for a matrix called m0."""
    return Activations(len(tokens), recorded={"m0": np.array(tokens, np.float32)})


def matrices_of(masks: Sequence[Mask]) -> list[MaskedMatrix]:
    return [
        mask if isinstance(mask, MaskedMatrix) else MaskedMatrix(f"m{i}", np.array(mask, np.bool_))
        for i, mask in enumerate(masks)
    ]


def inputs_of(
    matrices: Sequence[MaskedMatrix], activations: Activations, datatype: str
) -> list[Any]:
    return [
        layer_inputs(activations, Layer(i, matrix), datatype) for i, matrix in enumerate(matrices)
    ]


def both(
    masks: Sequence[Mask], settings: Sequence[str] = (), activations: Activations | None = None
) -> Iterator[Sequence[ReferenceLayer] | list[LayerResult]]:
    """The layers of the reference, then those of the simulator; one token unless told."""
    simulator = load_mixed_vector("tf_mvp", [*PAPER, *settings])
    machine, matrices = Machine.of(simulator), matrices_of(masks)
    some = activations or Activations(1)
    inputs = inputs_of(matrices, some, machine.array.datatype)
    recorded = some.recorded or {}
    pairs = zip(matrices, inputs, strict=True)
    given: list[Any] = [recorded.get(matrix.name, x) for matrix, x in pairs]
    yield reference(matrices, inputs, machine, given).layers
    yield simulated(matrices, simulator, some, threads=1)


def causes(layer: ReferenceLayer | LayerResult) -> dict[str, int]:
    """Causes that took any cycles."""
    return {cause: cycles for cause, cycles in layer.cycles_by_cause.items() if cycles}
