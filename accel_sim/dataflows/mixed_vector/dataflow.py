"""The dataflow of mixed-length vectors: docs/microarchitecture.md."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from accel_sim.dataflows.abstract.account import LayerRun
from accel_sim.dataflows.abstract.causes import (
    COMPUTE,
    EMPTY_LANES,
    IMBALANCE,
    PIPELINE,
    WINDOW,
    Cause,
)
from accel_sim.dataflows.abstract.dataflow import Change
from accel_sim.dataflows.mixed_vector.changes import CHANGES, run_changed
from accel_sim.dataflows.mixed_vector.configuration import WITH_SETS, Configuration
from accel_sim.dataflows.mixed_vector.dense_baseline import DenseBaseline
from accel_sim.dataflows.mixed_vector.layer import run_layer
from accel_sim.inputs.activations import Inputs, Layer
from sparse_formats.masks.matrix import MaskedMatrix

_ACCUMULATOR_BANKS = 2
_INDEX_BITS = 32


@dataclass(frozen=True, kw_only=True)
class MixedVector(Configuration):
    """PE rows that take whole vectors, or pieces of them, as entries."""

    dataflow = "mixed_vector"
    causes: ClassVar[Mapping[str, Cause]] = {
        "compute": COMPUTE,
        "empty_lanes": EMPTY_LANES,
        "lockstep": Cause(
            "PEs gated while their row serves other tokens, whose activations are not zero",
            "#882255",
        ),
        "imbalance": IMBALANCE,
        "zero_skip": Cause("looking for entries whose activations are not all zero", "#CC79A7"),
        "window": WINDOW,
        "decompressor": Cause("PE rows waiting for weights to be decoded", "#009E73"),
        "pipeline": PIPELINE,
    }
    waits_as: ClassVar[Mapping[str, str]] = {
        "lane": "pe",
        "zero_skip": "idle",
        "decompressor": "idle",
        "matching": "idle",
    }
    changes: ClassVar[Mapping[str, Change]] = CHANGES
    computes_product = True
    stores_any_mask = True
    datatype_key = "array.datatype"

    def run(self, layer: Layer, inputs: Inputs, *, is_checked: bool = False) -> LayerRun:
        return run_layer(layer, inputs, self, is_checked)

    def layer_bytes(self, matrix: MaskedMatrix) -> int:
        """What is made of a mask: its bits by row and by column, then what its vectors take."""
        of_mask = matrix.size // 3 + 2 * matrix.written_bytes
        return of_mask + 60 * matrix.nnz + 32 * sum(matrix.shape)

    def dense_baseline(self) -> DenseBaseline:
        return DenseBaseline(self)

    def run_changed(
        self, layer: Layer, inputs: Inputs, changed: Mapping[str, Any]
    ) -> tuple[LayerRun, dict[str, LayerRun | None]]:
        return run_changed(layer, inputs, self, changed)

    def area_parts(self) -> dict[str, dict[str, float]]:
        """Accumulators are double; an entry in a queue has an index beside its values."""
        array, words = self.array, self.pes * self.array.accumulators_per_pe
        entry_bits = array.lanes * self.value_bits + _INDEX_BITS
        window = self.matching.window_inputs * array.token_columns
        sums = words * _ACCUMULATOR_BANKS * 8 * self.accumulator_bytes
        return {
            "mac": {f"mac_{self.numbers.name}": self.macs},
            "accumulators": {"register_bit": sums},
            "queues": {"register_bit": self.controllers * self.queue.depth_entries * entry_bits},
            "matching": {
                "matcher": self.controllers,
                "register_bit": window * self.value_bits,
            },
            "decompressor": {
                "expander": self.decompressor.entries_per_cycle,
                "register_bit": 3 * 8 * self.decompressor.bytes_per_cycle,
            },
            "zero_skip": {"zero_skip": self.controllers},
        }

    @property
    def resize_step(self) -> int:
        return self.scheduler.sets if self.scheduler.policy in WITH_SETS else 1

    def resized(self, pes: int) -> Self:
        """`pes`: PE rows; the decompressor's rates grow with them."""
        rows, rates = self.array.pe_rows, self.decompressor
        return replace(
            self,
            array=replace(self.array, pe_rows=pes),
            decompressor=replace(
                rates,
                bytes_per_cycle=max(1, rates.bytes_per_cycle * pes // rows),
                entries_per_cycle=max(1, rates.entries_per_cycle * pes // rows),
            ),
        )
