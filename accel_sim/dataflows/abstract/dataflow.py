"""The abstract dataflow: what a machine of any dataflow is and does.

A dataflow is one file (or folder) with a frozen dataclass that inherits from `Machine`, a line in
`registry.DATAFLOWS`, and a TOML file that gives it values. Its fields are the sections of that
file; its methods say how a layer is run, stored, priced and changed.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Protocol, Self, get_type_hints

import msgspec
import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import Account, LayerRun, LayerTime, Tile, account_of
from accel_sim.dataflows.abstract.causes import Cause
from accel_sim.dataflows.abstract.machine_sections import (
    Buffer,
    Clock,
    Dram,
    Energy,
    Origin,
    Output,
    Published,
    Vector,
    XorDecoder,
)
from accel_sim.inputs.activations import Inputs, Layer
from accel_sim.inputs.datatypes import Datatype
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix import MaskedMatrix


@dataclass(frozen=True)
class Change:
    """A machine changed in one thing, to see what would help.

    words: what is changed and what is held; change: gives None where it cannot be changed so.
    is_bound: the machine is run as no setting can make it, to see what could be gained at most.
    """

    words: str
    change: Callable[[Any], Any]
    is_bound: bool = False


class Multiplication(Protocol):
    """Multiplies in the order in which a machine adds."""

    def __call__(
        self, weight: NDArray[Any], x: NDArray[Any], bias: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """The sums (rows, tokens) in the accumulators' type; integers wrap as they do.

        weight: operands (rows, cols) in the accumulators' type, 0 where not kept; x: operands
        (tokens, cols); bias: (rows,), what sums start with in place of zero.
        """
        ...


@dataclass(frozen=True)
class WireSides:
    """How far a bit of each kind travels, in sides of the array (`costs.area.array_side_mm`)."""

    weights: float
    operands: float
    sums: float


@dataclass(frozen=True, kw_only=True)
class Machine(ABC):
    """What every machine has, whatever its dataflow.

    note: what every run says about the machine; source: where it is described.

    Of the dataflow: causes: of a pass's cycles, in the order in which ties are broken.
    waits_as: units that count the time between passes as one state of theirs, not as waiting for
    DRAM and for write-back. changes: for advice, none if the dataflow has not named any. Whether
    any mask is stored as it is, whether its report numbers the array's last cycle as SCALE-Sim
    does, whether a bank of its weight buffer is read and written in one cycle, whether these banks
    stand in the PEs instead of beside the array, the
    key that sets its datatype, if any, whether it runs convolutions as what they are, and whether
    its passes can be stepped unit by unit.
    """

    name: str
    description: str
    source: Annotated[str, msgspec.Meta(min_length=1)]
    note: str
    clock: Clock
    weight_buffer: Buffer
    activation_buffer: Buffer
    output: Output
    vector: Vector
    xor_decoder: XorDecoder
    dram: Dram
    energy: Energy
    published: Published
    origins: Mapping[str, Origin]

    dataflow: ClassVar[str]
    causes: ClassVar[Mapping[str, Cause]]
    waits_as: ClassVar[Mapping[str, str]] = {}
    changes: ClassVar[Mapping[str, Change]] = {}
    stores_any_mask: ClassVar[bool] = False
    numbers_last_cycle: ClassVar[bool] = False
    has_second_port: ClassVar[bool] = False
    weights_in_array: ClassVar[bool] = False
    datatype_key: ClassVar[str | None] = None
    runs_convolutions: ClassVar[bool] = False
    is_stepped: ClassVar[bool] = False

    @classmethod
    def own_sections(cls) -> dict[str, Any]:
        """Section → its dataclass: those that only machines of this dataflow have."""
        hints = get_type_hints(cls)
        shared = {field.name for field in fields(Machine)}
        return {f.name: hints[f.name] for f in fields(cls) if f.name not in shared}

    @property
    def values_set(self) -> int:
        """How many values were changed for this run."""
        return sum(origin.mark == "set" for origin in self.origins.values())

    @property
    def title(self) -> str:
        """The name, and whether it is that machine with some values set."""
        count = self.values_set
        if not count:
            return self.name
        return f"{self.name} with {count} {'value' if count == 1 else 'values'} set"

    @property
    @abstractmethod
    def macs(self) -> int:
        """Multipliers in all."""

    @property
    @abstractmethod
    def numbers(self) -> Datatype:
        """What the multipliers see."""

    @property
    @abstractmethod
    def value_bits(self) -> int:
        """Bits of a weight."""

    @property
    def operand_bits(self) -> int:
        """Bits of an activation."""
        return self.value_bits

    @property
    @abstractmethod
    def accumulator_bits(self) -> int:
        """Bits of a partial sum."""

    @property
    def skips_zeros(self) -> bool:
        """Whether a zero activation can save the multiplication."""
        return False

    @property
    def group_tokens(self) -> int:
        """Tokens that share one pass, where zeros make passes differ."""
        return 1

    @property
    def tokens_at_once(self) -> int:
        """Columns of the array that take one token each."""
        return 1

    @property
    def operand_bytes(self) -> int:
        return -(-self.operand_bits // 8)

    @property
    def accumulator_bytes(self) -> int:
        return -(-self.accumulator_bits // 8)

    def check(self) -> None:
        """Refuse values that do not fit each other (docs/microarchitecture.md §6).

        Raises:
            InputError: naming the keys; a dataflow may check more.
        """
        dram = self.dram
        if len(dram.efficiency_run_bytes) != len(dram.efficiency_permille):
            raise InputError(
                f"dram.efficiency_run_bytes has {len(dram.efficiency_run_bytes)} items, "
                f"dram.efficiency_permille {len(dram.efficiency_permille)}; give as many of both"
            )
        if dram.bytes_per_cycle != dram.bytes_per_1000_cycles / 1000:
            raise InputError(
                f"dram.bytes_per_cycle is {dram.bytes_per_cycle}; give at most three digits after "
                "the point"
            )
        if list(dram.efficiency_run_bytes) != sorted(set(dram.efficiency_run_bytes)):
            raise InputError("dram.efficiency_run_bytes must rise from item to item")

    @abstractmethod
    def run(self, layer: Layer, inputs: Inputs, *, is_checked: bool = False) -> LayerRun:
        """The passes of one layer.

        is_checked: compute its product too, where weights and activations are known.

        Raises:
            InputError: the matrix does not fit the machine.
        """

    def layer_bytes(self, matrix: MaskedMatrix) -> int:
        """Memory to run one layer and its dense baseline, as measured on masks of any density."""
        return 6 * matrix.size + 32 * sum(matrix.shape)

    @abstractmethod
    def dense_baseline(self) -> Callable[[Layer, Inputs], LayerRun]:
        """What runs a layer as if nothing were pruned; it may remember what shapes share."""

    @abstractmethod
    def multiplication(
        self, matrix: MaskedMatrix, tokens: int, *, is_dense: bool = False
    ) -> Multiplication:
        """How `tokens` tokens are multiplied by `matrix`, of which only `keep` matters.

        is_dense: as `dense_baseline` does it.

        Raises:
            InputError: the matrix does not fit the machine.
        """

    def run_changed(
        self, layer: Layer, inputs: Inputs, changed: Mapping[str, Any]
    ) -> tuple[LayerRun, dict[str, LayerRun | None]]:
        """One layer on this machine and on each changed one of `changes`; None if it does not fit.

        A dataflow may take over what a change does not touch.
        """
        runs: dict[str, LayerRun | None] = {}
        for key, machine in changed.items():
            try:
                runs[key] = machine.run(layer, inputs)
            except InputError:
                runs[key] = None
        return self.run(layer, inputs), runs

    def pass_recorder(self, layer: Layer, inputs: Inputs) -> Any:
        """What steps the passes of a layer unit by unit, where `is_stepped`.

        A `PassRecorder` of mixed_vector/recording.py, the one dataflow that can.
        """
        raise NotImplementedError(f"{self.name} is not stepped unit by unit")

    def account(self, run: LayerRun, time: LayerTime) -> Account:
        """What the passes of one layer came to in their place in time."""
        resident, decoders = self.dram.resident, self.xor_decoder.decoders
        return account_of(run, time, self._any_tile, self.waits_as, resident, decoders > 0)

    def delivered(self, run: LayerRun, matrix: MaskedMatrix) -> LayerRun:
        """The run with its tiles as they come through the XOR decoders, if there are some.

        Every `run` of a dataflow ends with it; what is as if nothing were pruned needs none.
        """
        if not self.xor_decoder.decoders or self.dram.resident:
            return run
        from accel_sim.dataflows.abstract.delivery import deliveries

        found = deliveries(run, matrix, self.value_bits, self.numbers, self.xor_decoder)
        pairs = zip(run.tiles, found, strict=True)
        tiles = tuple(replace(tile, delivery=delivery) for tile, delivery in pairs)
        return replace(run, tiles=tiles)

    @abstractmethod
    def area_parts(self) -> dict[str, dict[str, float]]:
        """Rows of the area table and how many of each, by component.

        The two buffers and the XOR decoders are not among them.
        """

    @abstractmethod
    def wire_sides(self) -> WireSides:
        """How far bits travel through the array, from its geometry."""

    @property
    def clocked_bits(self) -> int:
        """Flip-flops that a cycle of a pass clocks: those without an enable of their own.

        Of each multiplier its two operands, its product, as wide as both, and its sum. Words of
        queues, windows and accumulators have an enable each, and are charged when written.
        """
        return self.macs * (2 * (self.value_bits + self.operand_bits) + self.accumulator_bits)

    @property
    def resize_step(self) -> int:
        """PEs come in multiples of it."""
        return 1

    @abstractmethod
    def resized(self, pes: int) -> Self:
        """The machine with `pes` of what its dataflow multiplies to be larger; buffers stay."""

    @cached_property
    def _any_tile(self) -> Tile:
        """A tile of one weight, for the names of everything that is counted."""
        roomy = replace(self, weight_buffer=replace(self.weight_buffer, bytes=2**40))
        matrix = MaskedMatrix("one", np.ones((1, 1), np.bool_))
        return roomy.run(Layer(0, matrix), Inputs(1, None, None)).tiles[0]
