"""What a machine may know about itself: its sections, their values, and the mark of each."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

import msgspec

from accel_sim.dataflows.parameters import (
    CambriconX,
    Eie,
    Parameters,
    Rcsc,
    Systolic,
    TensorCore,
)
from accel_sim.machines.datatypes import DATATYPES, Datatype

Mark = Literal[
    "published",
    "secondary",
    "remembered",
    "inferred",
    "chosen",
    "calibrated",
    "computed",
    "set",
]
MARKS: tuple[Mark, ...] = get_args(Mark)

Count = Annotated[int, msgspec.Meta(ge=1, le=2**40)]
CountOrZero = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e18)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=1e18)]
Bandwidth = Count | Annotated[float, msgspec.Meta(ge=0.001, le=2**40)]


@dataclass(frozen=True)
class Clock:
    clock_hz: Positive


@dataclass(frozen=True)
class Array:
    """P = pe_rows, T = token_columns, G = lanes; P·T PEs of G multipliers."""

    pe_rows: Annotated[int, msgspec.Meta(ge=1, le=65536)]
    token_columns: Annotated[int, msgspec.Meta(ge=1, le=65536)]
    lanes: Annotated[int, msgspec.Meta(ge=1, le=64)]
    accumulators_per_pe: Count
    pe_latency_cycles: CountOrZero
    packing: bool
    datatype: Literal["fp16", "int8", "int16"]


@dataclass(frozen=True)
class Scheduler:
    policy: Literal["interleaved", "snake", "lpt", "set_associative", "online"]
    sets: Count


@dataclass(frozen=True)
class Queue:
    """per_column: every column of a PE row has a queue and a zero-skip controller of its own."""

    depth_entries: Count
    per_column: bool


@dataclass(frozen=True)
class Decompressor:
    bytes_per_cycle: Count
    entries_per_cycle: Count


@dataclass(frozen=True)
class ZeroSkip:
    entries_per_cycle: CountOrZero


@dataclass(frozen=True)
class Matching:
    window_inputs: Count
    inputs_per_cycle: Count


@dataclass(frozen=True)
class Buffer:
    bytes: Count
    banks: Count


@dataclass(frozen=True)
class Output:
    words_per_cycle: Count


@dataclass(frozen=True)
class Dram:
    """memory: the data sheet of `memories/` that the values are from; None where stated one by one.

    bytes_per_cycle has at most three digits after the point, so that cycles are counted exactly.
    """

    bytes_per_cycle: Bandwidth
    burst_bytes: Count
    first_latency_cycles: CountOrZero
    efficiency_run_bytes: Annotated[tuple[Count, ...], msgspec.Meta(min_length=1)]
    efficiency_permille: Annotated[
        tuple[Annotated[int, msgspec.Meta(ge=1, le=1000)], ...], msgspec.Meta(min_length=1)
    ]
    prefetch_across_layers: bool
    row_bytes: Count
    energy: Literal["lpddr4", "hbm2", "ddr4"]
    memory: str | None = None

    @property
    def bytes_per_1000_cycles(self) -> int:
        return round(1000 * self.bytes_per_cycle)


@dataclass(frozen=True)
class Energy:
    table: Literal["28nm"]
    case: Literal["low", "nominal", "high"]
    scale: Positive
    leakage_w: NotNegative


@dataclass(frozen=True)
class Published:
    """What the machine's authors report; shown beside our figures, never asserted."""

    gops_per_watt: Positive | None = None


@dataclass(frozen=True)
class Origin:
    """Where a value comes from."""

    mark: Mark
    source: str


@dataclass(frozen=True)
class Operands:
    """datatype: of a rival's multipliers and adders; its widths are those of its [array]."""

    datatype: Literal["fp16", "int8", "int16"]


@dataclass(frozen=True, kw_only=True)
class Machine(ABC):
    """What every machine has, whatever its dataflow.

    note: what every run says about the machine; source: where it is described.
    """

    name: str
    description: str
    source: Annotated[str, msgspec.Meta(min_length=1)]
    dataflow: str
    note: str
    clock: Clock
    weight_buffer: Buffer
    activation_buffer: Buffer
    output: Output
    dram: Dram
    energy: Energy
    published: Published
    origins: Mapping[str, Origin]

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
    @abstractmethod
    def operand_bits(self) -> int:
        """Bits of an activation."""

    @property
    @abstractmethod
    def accumulator_bits(self) -> int:
        """Bits of a partial sum."""

    @property
    @abstractmethod
    def skips_zeros(self) -> bool:
        """Whether a zero activation can save the multiplication."""

    @property
    def operand_bytes(self) -> int:
        return -(-self.operand_bits // 8)

    @property
    def accumulator_bytes(self) -> int:
        return -(-self.accumulator_bits // 8)


@dataclass(frozen=True, kw_only=True)
class Accelerator(Machine):
    """A machine of mixed-length vectors. Keys and their meaning: docs/microarchitecture.md §1."""

    array: Array
    scheduler: Scheduler
    queue: Queue
    decompressor: Decompressor
    zero_skip: ZeroSkip
    matching: Matching

    @property
    def macs(self) -> int:
        """P·T·G."""
        return self.array.pe_rows * self.array.token_columns * self.array.lanes

    @property
    def sets(self) -> int:
        """Sets of PE rows that share units; every row its own where the policy has no sets."""
        return self.scheduler.sets if self.scheduler.policy in WITH_SETS else self.array.pe_rows

    @property
    def queues(self) -> int:
        """Queues of a column: one a PE row, or one a set whose PE rows serve it together."""
        return self.sets if self.scheduler.policy == "online" else self.array.pe_rows

    @property
    def numbers(self) -> Datatype:
        return DATATYPES[self.array.datatype]

    @property
    def value_bits(self) -> int:
        return self.numbers.operand_bits

    @property
    def operand_bits(self) -> int:
        return self.numbers.operand_bits

    @property
    def accumulator_bits(self) -> int:
        return self.numbers.accumulator_bits

    @property
    def skips_zeros(self) -> bool:
        return self.zero_skip.entries_per_cycle > 0


@dataclass(frozen=True, kw_only=True)
class Rival(Machine):
    """A machine of one of the other dataflows: docs/rivals.md."""

    array: Parameters
    operands: Operands

    @property
    def macs(self) -> int:
        return self.array.macs

    @property
    def numbers(self) -> Datatype:
        return DATATYPES[self.operands.datatype]

    @property
    def value_bits(self) -> int:
        return self.array.value_bits

    @property
    def operand_bits(self) -> int:
        array = self.array
        return array.operand_bits if isinstance(array, Eie) else array.value_bits

    @property
    def accumulator_bits(self) -> int:
        return self.array.accumulator_bits

    @property
    def skips_zeros(self) -> bool:
        return isinstance(self.array, Eie)


WITH_SETS = ("set_associative", "online")

_MIXED_VECTOR = {
    "array": Array,
    "scheduler": Scheduler,
    "queue": Queue,
    "decompressor": Decompressor,
    "zero_skip": ZeroSkip,
    "matching": Matching,
}
DATAFLOWS: dict[str, Mapping[str, Any]] = {
    "mixed_vector": _MIXED_VECTOR,
    "systolic": {"array": Systolic, "operands": Operands},
    "rcsc": {"array": Rcsc, "operands": Operands},
    "eie": {"array": Eie, "operands": Operands},
    "cambricon_x": {"array": CambriconX, "operands": Operands},
    "tensor_core": {"array": TensorCore, "operands": Operands},
}
"""Dataflow → the sections that only its machines have."""

SHARED: dict[str, Any] = {
    "weight_buffer": Buffer,
    "activation_buffer": Buffer,
    "output": Output,
    "dram": Dram,
    "energy": Energy,
    "published": Published,
}
"""The sections that machines of every dataflow have, and take over from each other."""


def sections_of(dataflow: str) -> dict[str, Any]:
    """Section → its dataclass, in the order in which a machine's file has them."""
    return {"clock": Clock, **DATAFLOWS[dataflow], **SHARED}
