"""What a mixed-vector machine can be told: its sections, and what follows from them.

Keys and their meaning: docs/microarchitecture.md §1.
"""

from abc import ABC
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.machine_sections import Count, CountOrZero, DatatypeName
from accel_sim.inputs.datatypes import DATATYPES, Datatype
from sparse_formats.errors import InputError
from sparse_formats.masks.vectors import Orientation
from sparse_formats.storage import bits_for

WITH_SETS = ("set_associative",)
RECORD_BITS = 32
"""Of a slot: its entries and its bytes, 16 bits each."""
PLACES = 4
"""Tiles whose descriptors and unit tables the tile memory holds."""
MOST_DIFFERENCE_BITS = 20
"""Of a position less the one before it."""


@dataclass(frozen=True)
class Array:
    """P = pe_rows, T = token_columns, G = lanes; P·T PEs of G multipliers.

    lane_groups: into how many groups of equal size the lanes of a PE can be divided. lane_select:
    among how many inputs each lane can choose by itself; 1: none.
    """

    pe_rows: Annotated[int, msgspec.Meta(ge=1, le=65536)]
    token_columns: Annotated[int, msgspec.Meta(ge=1, le=65536)]
    lanes: Annotated[int, msgspec.Meta(ge=1, le=64)]
    lane_groups: Annotated[
        tuple[Annotated[int, msgspec.Meta(ge=1, le=64)], ...], msgspec.Meta(min_length=1)
    ]
    accumulators_per_pe: Count
    pe_latency_cycles: CountOrZero
    packing: bool
    datatype: DatatypeName
    lane_select: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1


@dataclass(frozen=True)
class Scheduler:
    policy: Literal["interleaved", "snake", "lpt", "set_associative"]
    sets: Count


@dataclass(frozen=True)
class Queue:
    """per_column: every column of a slot has a queue and a zero-skip controller of its own."""

    depth_entries: Count
    per_column: bool


@dataclass(frozen=True)
class Decompressor:
    """word_bytes: what a PE row reads in a cycle; buffer_words: what waits before its parsers."""

    word_bytes: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    buffer_words: Annotated[int, msgspec.Meta(ge=1, le=65536)]


@dataclass(frozen=True)
class ZeroSkip:
    entries_per_cycle: CountOrZero


@dataclass(frozen=True)
class Matching:
    window_inputs: Count
    inputs_per_cycle: Count


@dataclass(frozen=True)
class Slots:
    """The slots of a machine whose PEs work as `groups` lane groups each (§2).

    select: among how many inputs each lane chooses; count: P·groups; lanes: of a slot; words:
    accumulators of a slot in each bank of a PE; sets of set_size slots share units; buffer_bits:
    what may wait before a parser.
    """

    groups: int
    select: int
    count: int
    lanes: int
    words: int
    sets: int
    set_size: int
    buffer_bits: int

    @property
    def select_bits(self) -> int:
        """Of a weight."""
        return bits_for(self.select)

    def position_inputs(self, mode: Orientation) -> int:
        """Inputs of a position."""
        return self.select * (self.lanes if mode == "horizontal" else 1)

    def units_per_set(self, mode: Orientation) -> int:
        """Units whose accumulators a slot holds; any slot of a set may hold any unit of it."""
        return self.words if mode == "horizontal" else self.words // self.lanes

    def strip_outputs(self, mode: Orientation) -> int:
        """Outputs whose accumulators the slots hold at once."""
        outputs = 1 if mode == "horizontal" else self.lanes
        return self.sets * self.units_per_set(mode) * outputs


@dataclass(frozen=True, kw_only=True)
class Configuration(Machine, ABC):
    """The values of a mixed-vector machine."""

    array: Array
    scheduler: Scheduler
    queue: Queue
    decompressor: Decompressor
    zero_skip: ZeroSkip
    matching: Matching

    @property
    def macs(self) -> int:
        """P·T·G."""
        return self.pes * self.array.lanes

    @property
    def pes(self) -> int:
        """P·T."""
        return self.array.pe_rows * self.array.token_columns

    @property
    def tokens_at_once(self) -> int:
        return self.array.token_columns

    @property
    def group_tokens(self) -> int:
        return self.array.token_columns

    @property
    def most_groups(self) -> int:
        """The largest of the numbers of lane groups."""
        return max(self.array.lane_groups)

    @property
    def select_widths(self) -> tuple[int, ...]:
        """Among how many inputs the lanes choose, in one matrix or another."""
        return tuple(sorted({1, self.array.lane_select}))

    @property
    def rows_per_set(self) -> int:
        """PE rows that have slots of one set."""
        if self.scheduler.policy in WITH_SETS:
            return self.array.pe_rows // self.scheduler.sets
        return 1

    @property
    def word_bits(self) -> int:
        return 8 * self.decompressor.word_bytes

    @property
    def controllers(self) -> int:
        """Zero-skip controllers: one a smallest slot, or one a column of it."""
        slots = self.array.pe_rows * self.most_groups
        return slots * (self.array.token_columns if self.queue.per_column else 1)

    @property
    def numbers(self) -> Datatype:
        return DATATYPES[self.array.datatype]

    @property
    def value_bits(self) -> int:
        return self.numbers.operand_bits

    @property
    def accumulator_bits(self) -> int:
        return self.numbers.accumulator_bits

    @property
    def skips_zeros(self) -> bool:
        return self.zero_skip.entries_per_cycle > 0

    @property
    def tile_room(self) -> int:
        """Bytes of the weight buffer that one tile may take."""
        return self.weight_buffer.bytes // (1 if self.dram.resident else 4)

    @property
    def activation_bytes_drawn(self) -> int:
        """Bytes that filling the window and writing back may draw in a cycle."""
        loaded = self.matching.inputs_per_cycle * self.array.token_columns * self.operand_bytes
        return loaded + 2 * self.output.words_per_cycle * self.accumulator_bytes

    def slots(self, groups: int, select: int = 1) -> Slots:
        """The slots where the lanes of each PE work as `groups` groups and choose of `select`."""
        array = self.array
        count = array.pe_rows * groups
        return Slots(
            groups=groups,
            select=select,
            count=count,
            lanes=array.lanes // groups,
            words=array.accumulators_per_pe // groups,
            sets=count // self.rows_per_set,
            set_size=self.rows_per_set,
            buffer_bits=self.word_bits * (self.decompressor.buffer_words // groups),
        )

    def record_words(self, groups: int) -> int:
        """H: words of records in front of the sub-streams of a PE row."""
        return -(-RECORD_BITS * groups // self.word_bits)

    def check(self) -> None:
        """Values that must fit each other (docs/microarchitecture.md §1).

        Raises:
            InputError: naming the keys.
        """
        super().check()
        array = self.array
        if self.scheduler.policy in WITH_SETS and array.pe_rows % self.scheduler.sets:
            raise InputError(
                f"scheduler.sets is {self.scheduler.sets}, which does not divide "
                f"array.pe_rows {array.pe_rows}; sets must be equal"
            )
        if array.accumulators_per_pe < array.lanes:
            raise InputError(
                f"array.accumulators_per_pe is {array.accumulators_per_pe}, less than "
                f"array.lanes {array.lanes}: column mode needs a word per lane"
            )
        self._check_lane_select()
        self._check_lane_groups()
        self._check_ports()
        self._check_clock()

    def _check_lane_select(self) -> None:
        array, select = self.array, self.array.lane_select
        if select & (select - 1):
            raise InputError(f"array.lane_select is {select}; it must be a power of two, or 1")
        if select > 1 and not array.packing:
            raise InputError(
                f"array.lane_select is {select}, but array.packing is false: a vector has no lanes "
                "that choose their inputs; set array.packing to true or array.lane_select to 1"
            )
        least, window = array.lanes * select, self.matching.window_inputs
        if window < least:
            needs = f"array.lanes {array.lanes}"
            if select > 1:
                needs += f" times array.lane_select {select}"
            raise InputError(
                f"matching.window_inputs is {window}, less than {needs}: row mode could never "
                f"match an entry; set it to {least} or more"
            )

    def _check_lane_groups(self) -> None:
        array, most = self.array, self.most_groups
        if list(array.lane_groups) != sorted(set(array.lane_groups)):
            raise InputError("array.lane_groups must rise from item to item")
        for groups in array.lane_groups:
            whole = {
                "array.lanes": array.lanes,
                "array.accumulators_per_pe": array.accumulators_per_pe,
                "the largest of array.lane_groups": most,
            }
            for key, value in whole.items():
                if value % groups:
                    raise InputError(
                        f"array.lane_groups has {groups}, which does not divide {key} ({value}); "
                        "leave it out or change the other"
                    )
            slots = self.slots(groups)
            lanes, words = slots.lanes, self.decompressor.buffer_words // groups
            number = bits_for(max(slots.words, 1))
            item = self.value_bits + bits_for(array.lane_select)
            entry = lanes * (item + 1) + number + MOST_DIFFERENCE_BITS + 1
            if slots.buffer_bits < self.word_bits + entry:
                needed = groups * -(-(self.word_bits + entry) // self.word_bits)
                raise InputError(
                    f"decompressor.buffer_words is {self.decompressor.buffer_words}, which leaves "
                    f"{words} words to each of {groups} lane groups: an entry could wait for ever; "
                    f"set it to {needed} or more"
                )

    def _check_ports(self) -> None:
        array, weights, activations = self.array, self.weight_buffer, self.activation_buffer
        if weights.port_bytes is None or activations.port_bytes is None:
            missing = "weight_buffer" if weights.port_bytes is None else "activation_buffer"
            raise InputError(f"{missing}.port_bytes is missing; say how wide a port a bank has")
        word = self.decompressor.word_bytes
        if weights.port_bytes < word:
            raise InputError(
                f"weight_buffer.port_bytes is {weights.port_bytes}, less than "
                f"decompressor.word_bytes {word}, which a PE row reads from one bank in a cycle"
            )
        if weights.banks < array.pe_rows:
            raise InputError(
                f"weight_buffer.banks is {weights.banks}, but array.pe_rows is {array.pe_rows} and "
                f"each PE row reads from a bank of its own; set it to {array.pe_rows}"
            )
        drawn = self.activation_bytes_drawn
        if drawn > activations.banks * activations.port_bytes:
            raise InputError(
                f"activation_buffer has {activations.banks} banks of {activations.port_bytes} B a "
                f"cycle, but matching.inputs_per_cycle and output.words_per_cycle draw {drawn} B; "
                "set activation_buffer.banks to "
                f"{-(-drawn // activations.port_bytes)} or lower one of the two"
            )

    def _check_clock(self) -> None:
        clock = self.clock
        if clock.most_hz is not None and clock.clock_hz > clock.most_hz:
            raise InputError(
                f"clock.clock_hz is {clock.clock_hz:g}, above clock.most_hz {clock.most_hz:g}, up "
                "to which the longest path fits into a cycle; raise clock.most_hz too if your "
                "circuit is faster"
            )
