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

WITH_SETS = ("set_associative", "online")


@dataclass(frozen=True)
class Array:
    """P = pe_rows, T = token_columns, G = lanes; P·T PEs of G multipliers."""

    pe_rows: Annotated[int, msgspec.Meta(ge=1, le=65536)]
    token_columns: Annotated[int, msgspec.Meta(ge=1, le=65536)]
    lanes: Annotated[int, msgspec.Meta(ge=1, le=64)]
    accumulators_per_pe: Count
    pe_latency_cycles: CountOrZero
    packing: bool
    datatype: DatatypeName


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
    def group_tokens(self) -> int:
        return self.array.token_columns

    @property
    def sets(self) -> int:
        """Sets of PE rows that share units; every row its own where the policy has no sets."""
        return self.scheduler.sets if self.scheduler.policy in WITH_SETS else self.array.pe_rows

    @property
    def queues(self) -> int:
        """Queues of a column: one a PE row, or one a set whose PE rows serve it together."""
        return self.sets if self.scheduler.policy == "online" else self.array.pe_rows

    @property
    def controllers(self) -> int:
        """Zero-skip controllers: one a PE row, or one a PE with queues per column."""
        return self.pes if self.queue.per_column else self.array.pe_rows

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

    def check(self) -> None:
        """Values that must fit each other (docs/microarchitecture.md §2, §5)."""
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
        if self.matching.window_inputs < array.lanes:
            raise InputError(
                f"matching.window_inputs is {self.matching.window_inputs}, less than "
                f"array.lanes {array.lanes}: row mode could never match an entry"
            )
