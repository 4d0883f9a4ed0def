"""The dataflow of mixed-length vectors: docs/microarchitecture.md."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import LayerRun
from accel_sim.dataflows.abstract.causes import (
    COMPUTE,
    EMPTY_LANES,
    IMBALANCE,
    PIPELINE,
    WINDOW,
    Cause,
)
from accel_sim.dataflows.abstract.dataflow import Change, Multiplication, WireSides
from accel_sim.dataflows.mixed_vector.changes import CHANGES, run_changed
from accel_sim.dataflows.mixed_vector.choice import Chosen, Encodings, choose
from accel_sim.dataflows.mixed_vector.configuration import (
    PLACES,
    RECORD_BITS,
    WITH_SETS,
    Configuration,
)
from accel_sim.dataflows.mixed_vector.dense_baseline import DenseBaseline
from accel_sim.dataflows.mixed_vector.kept import store_of
from accel_sim.dataflows.mixed_vector.layer import with_product
from accel_sim.dataflows.mixed_vector.lines import lines_of
from accel_sim.dataflows.mixed_vector.product import machine_product
from accel_sim.dataflows.mixed_vector.recording import PassRecorder
from accel_sim.inputs.activations import Inputs, Layer
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.storage import bits_for

_ACCUMULATOR_BANKS = 2
_INDEX_BITS = 32
_DESCRIPTOR_BITS = 128


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
    stores_any_mask = True
    has_second_port = True
    is_stepped = True
    datatype_key = "array.datatype"

    def run(self, layer: Layer, inputs: Inputs, *, is_checked: bool = False) -> LayerRun:
        """In the mode, with the lane groups and the select width that take the fewest cycles."""
        chosen = self.chosen(layer, inputs)
        run = self.delivered(chosen.run, layer.matrix)
        if not is_checked:
            return run
        return with_product(run, layer, inputs, chosen.lines, chosen.tiles, self)

    def pass_recorder(self, layer: Layer, inputs: Inputs) -> PassRecorder:
        return PassRecorder(self.chosen(layer, inputs), inputs, self)

    def chosen(self, layer: Layer, inputs: Inputs) -> Chosen:
        """The layer in the way that takes the fewest cycles."""
        matrix, is_packed = layer.matrix, self.array.packing
        encodings = Encodings(
            self,
            matrix.name,
            lambda mode: lines_of(matrix, mode, is_packed),
            store_of(matrix, is_packed),
        )
        return choose(layer, inputs, encodings, self)

    def multiplication(
        self, matrix: MaskedMatrix, tokens: int, *, is_dense: bool = False
    ) -> Multiplication:
        layer, inputs = Layer(0, matrix, tokens), Inputs(tokens, None, None)
        choice = self.dense_baseline().chosen if is_dense else self.chosen
        chosen = choice(layer, inputs)
        tiles, lines = chosen.tiles, chosen.lines

        def multiply(
            weight: NDArray[Any], x: NDArray[Any], bias: NDArray[Any] | None = None
        ) -> NDArray[Any]:
            return machine_product(tiles, lines, weight, x, self, bias)

        return multiply

    def layer_bytes(self, matrix: MaskedMatrix) -> int:
        """What is made of a mask: its bits by row and by column, then the entries of a choice."""
        of_mask = matrix.size // 3 + 2 * matrix.written_bytes
        of_entry = 100 + 24 * bits_for(self.array.lane_select)
        return of_mask + of_entry * matrix.nnz + 32 * sum(matrix.shape)

    def dense_baseline(self) -> DenseBaseline:
        return DenseBaseline(self)

    def run_changed(
        self, layer: Layer, inputs: Inputs, changed: Mapping[str, Any]
    ) -> tuple[LayerRun, dict[str, LayerRun | None]]:
        base, runs = run_changed(layer, inputs, self, changed)
        return self.delivered(base, layer.matrix), {
            key: run and changed[key].delivered(run, layer.matrix) for key, run in runs.items()
        }

    def area_parts(self) -> dict[str, dict[str, float]]:
        """docs/microarchitecture.md §9; a "mux_bit" chooses one of two bits."""
        array, matching, pes, rows = self.array, self.matching, self.pes, self.array.pe_rows
        most, values, sums = self.most_groups, self.value_bits, 8 * self.accumulator_bytes
        items = values + bits_for(array.lane_select)  # a weight and its select
        further_select = array.lane_select - 1
        further, columns = array.lane_groups[:-1], array.token_columns
        fewest, slots = array.lanes // most, rows * most
        groups = sum(array.lane_groups) - array.lane_groups[0]
        taken = rows * (columns if self.queue.per_column else 1)  # queues, lane groups apart
        entry = array.lanes * items + most * _INDEX_BITS
        choices = -(-matching.window_inputs // fewest) - 1
        units = self.slots(1).strip_outputs("horizontal")
        place = _DESCRIPTOR_BITS + units * bits_for(self.slots(most).sets)
        shifter = 2 * self.word_bits * bits_for(self.word_bits)
        return {
            "mac": {
                f"mac_{self.numbers.name}": self.macs,
                "mux_bit": pes
                * (groups * sums + (len(further) + further_select) * array.lanes * values),
            },
            "accumulators": {
                "register_bit": pes * array.accumulators_per_pe * _ACCUMULATOR_BANKS * sums
            },
            "queues": {"register_bit": taken * self.queue.depth_entries * entry},
            "matching": {
                "register_bit": matching.window_inputs * columns * (values + 1),
                "mux_bit": slots * choices * fewest * columns * values,
                "compare_bit": 2 * slots * _INDEX_BITS,
            },
            "decompressor": {
                "register_bit": rows * self.decompressor.buffer_words * self.word_bits
                + PLACES * place
                + 2 * slots * RECORD_BITS,
                "mux_bit": rows
                * (len(array.lane_groups) * shifter + len(further) * array.lanes * items),
                "expander": rows * array.lanes / 16 * (items / values),
            },
            "zero_skip": {"zero_skip": self.controllers if self.skips_zeros else 0},
            "writeback": {self._adder: self.output.words_per_cycle * self.rows_per_set},
        }

    def wire_sides(self) -> WireSides:
        """An entry runs along its PE row, past all token columns (docs/microarchitecture.md §9).

        A token's inputs come from its window at the edge of its column; sums go back there.
        """
        return WireSides(weights=1.0, operands=0.5, sums=0.5)

    @property
    def _adder(self) -> str:
        """The row of the area table of what adds two accumulators."""
        return f"add_int{self.accumulator_bits}" if self.numbers.is_integer else "add_fp32"

    @property
    def resize_step(self) -> int:
        return self.scheduler.sets if self.scheduler.policy in WITH_SETS else 1

    def resized(self, pes: int) -> Self:
        """`pes`: PE rows; each has a bank of the weight buffer, which stays as large."""
        banks = max(pes, self.weight_buffer.banks * pes // self.array.pe_rows)
        return replace(
            self,
            array=replace(self.array, pe_rows=pes),
            weight_buffer=replace(self.weight_buffer, banks=banks),
        )
