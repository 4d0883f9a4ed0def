"""§1: the numbers of a machine, those of the default one, and what a machine is refused for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from typing import Any, Self

OPERAND_BITS = {"fp16": 16, "bf16": 16, "fp8": 8, "int4": 4, "int8": 8, "int16": 16}
ACCUMULATOR_BYTES = {"fp16": 4, "bf16": 4, "fp8": 4, "int4": 4, "int8": 4, "int16": 6}


def ceil_div(number: int, divisor: int) -> int:
    return -(-number // divisor)


def ceil_log2(number: int) -> int:
    """⌈log2 number⌉ by counting doublings."""
    bits = 0
    while 2**bits < number:
        bits += 1
    return bits


@dataclass(frozen=True)
class Clock:
    clock_hz: float = 500e6
    most_hz: float = 667e6


@dataclass(frozen=True)
class Array:
    pe_rows: int = 16
    token_columns: int = 16
    lanes: int = 16
    lane_groups: Sequence[int] = (1, 2, 4, 8)
    lane_select: int = 1
    accumulators_per_pe: int = 128
    pe_latency_cycles: int = 4
    packing: bool = True
    datatype: str = "fp16"


@dataclass(frozen=True)
class Scheduler:
    policy: str = "set_associative"
    sets: int = 4


@dataclass(frozen=True)
class Queue:
    depth_entries: int = 4
    per_column: bool = False


@dataclass(frozen=True)
class Decompressor:
    word_bytes: int = 40
    buffer_words: int = 16


@dataclass(frozen=True)
class ZeroSkip:
    entries_per_cycle: int = 1


@dataclass(frozen=True)
class Matching:
    window_inputs: int = 32
    inputs_per_cycle: int = 8


@dataclass(frozen=True)
class Buffer:
    bytes: int
    banks: int
    port_bytes: int


@dataclass(frozen=True)
class Output:
    words_per_cycle: int = 128


@dataclass(frozen=True)
class Dram:
    bytes_per_cycle: float = 64
    burst_bytes: int = 64
    first_latency_cycles: int = 50
    efficiency_run_bytes: Sequence[int] = (64, 256, 1024)
    efficiency_permille: Sequence[int] = (800, 900, 950)
    prefetch_across_layers: bool = True
    resident: bool = False
    row_bytes: int = 2048
    energy: str = "lpddr4"

    @property
    def rate(self) -> Fraction:
        """Bytes per cycle, the decimal fraction that was written down."""
        return Fraction(str(self.bytes_per_cycle))


@dataclass(frozen=True)
class Energy:
    case: str = "nominal"
    scale: float = 1
    leakage_w: float = 0.02


@dataclass(frozen=True)
class Machine:
    """Sections and keys as in §1."""

    clock: Clock = field(default_factory=Clock)
    array: Array = field(default_factory=Array)
    scheduler: Scheduler = field(default_factory=Scheduler)
    queue: Queue = field(default_factory=Queue)
    decompressor: Decompressor = field(default_factory=Decompressor)
    zero_skip: ZeroSkip = field(default_factory=ZeroSkip)
    matching: Matching = field(default_factory=Matching)
    weight_buffer: Buffer = Buffer(655360, 16, 40)
    activation_buffer: Buffer = Buffer(1310720, 64, 32)
    output: Output = field(default_factory=Output)
    dram: Dram = field(default_factory=Dram)
    energy: Energy = field(default_factory=Energy)

    def having(self, settings: Mapping[str, Any]) -> Self:
        """The machine with other values of some `section.key`."""
        sections: dict[str, dict[str, Any]] = {}
        for key, value in settings.items():
            section, _, leaf = key.partition(".")
            sections.setdefault(section, {})[leaf] = value
        changed = {name: replace(getattr(self, name), **some) for name, some in sections.items()}
        return replace(self, **changed)

    @classmethod
    def of(cls, other: Any) -> Self:
        """The same values, taken from an object with the same sections and keys."""
        return cls().having(
            {
                f"{section.name}.{key.name}": getattr(getattr(other, section.name), key.name)
                for section in fields(cls)
                for key in fields(getattr(cls(), section.name))
            }
        )

    # --- what follows from them ---

    @property
    def value_bits(self) -> int:
        return OPERAND_BITS[self.array.datatype]

    @property
    def operand_bytes(self) -> int:
        return ceil_div(self.value_bits, 8)

    @property
    def accumulator_bytes(self) -> int:
        return ACCUMULATOR_BYTES[self.array.datatype]

    @property
    def word_bits(self) -> int:
        return 8 * self.decompressor.word_bytes

    @property
    def most_groups(self) -> int:
        """m: the most groups of lanes of a PE."""
        return max(self.array.lane_groups)

    @property
    def select_widths(self) -> tuple[int, ...]:
        """Among how many inputs a lane may choose."""
        return (1, self.array.lane_select) if self.array.lane_select > 1 else (1,)

    @property
    def most_select_bits(self) -> int:
        """log2 k."""
        return ceil_log2(self.array.lane_select)

    @property
    def multipliers(self) -> int:
        return self.array.pe_rows * self.array.token_columns * self.array.lanes


def refusals(machine: Machine) -> set[str]:
    """For which rules of §1 a machine is refused, named by the key that they are about."""
    array, broken = machine.array, set[str]()
    rows, lanes, words = array.pe_rows, array.lanes, array.accumulators_per_pe
    most = machine.most_groups
    if any(lanes % n or words % n or most % n for n in array.lane_groups):
        broken.add("array.lane_groups")
    if machine.scheduler.policy == "set_associative" and rows % machine.scheduler.sets:
        broken.add("scheduler.sets")
    has_selects = array.lane_select > 1
    if array.lane_select not in (1, 2, 4, 8, 16) or (has_selects and not array.packing):
        broken.add("array.lane_select")
    if machine.matching.window_inputs < lanes * array.lane_select:
        broken.add("matching.window_inputs")
    if words < lanes:
        broken.add("array.accumulators_per_pe")
    if machine.weight_buffer.banks < rows:
        broken.add("weight_buffer.banks")
    if machine.weight_buffer.port_bytes < machine.decompressor.word_bytes:
        broken.add("weight_buffer.port_bytes")
    read = machine.matching.inputs_per_cycle * array.token_columns * machine.operand_bytes
    written = machine.output.words_per_cycle * 2 * machine.accumulator_bytes
    if read + written > machine.activation_buffer.banks * machine.activation_buffer.port_bytes:
        broken.add("activation_buffer")
    for n in array.lane_groups:
        held = machine.word_bits * (machine.decompressor.buffer_words // n)
        if held < machine.word_bits + longest_entry(machine, n):
            broken.add("decompressor.buffer_words")
    if machine.clock.clock_hz > machine.clock.most_hz:
        broken.add("clock.clock_hz")
    return broken


def longest_entry(machine: Machine, n: int) -> int:
    """Bits that an entry can have: g lanes with an item and a bit each, t, d of 20, and a flag."""
    array = machine.array
    most_units = max(array.accumulators_per_pe // n, array.accumulators_per_pe // array.lanes)
    lane = machine.value_bits + machine.most_select_bits + 1
    return array.lanes // n * lane + ceil_log2(most_units) + 21
