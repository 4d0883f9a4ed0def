"""What each dataflow can be told of its machine: the section [array] of the machine's file.

Meaning, defaults and marks: docs/rivals.md §2–§6. Ranges are checked where a file is read. Widths
are those of a weight (`value_bits`) and of a partial sum (`accumulator_bits`).
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

Size = Annotated[int, msgspec.Meta(ge=1, le=2**20)]
SizeOrZero = Annotated[int, msgspec.Meta(ge=0, le=2**20)]
Bits = Annotated[int, msgspec.Meta(ge=1, le=64)]

Stationary = Literal["weight", "output", "input"]
Policy = Literal["interleaved", "snake", "set_associative"]
Mode = tuple[Size, Size]
"""N slots for every M neighbouring inputs; (1, 1) is dense."""


@dataclass(frozen=True)
class Systolic:
    """rows × cols PEs of one MAC. accumulator_bits: of a partial sum on its way."""

    rows: Size
    cols: Size
    stationary: Stationary
    value_bits: Bits = 16
    accumulator_bits: Bits = 32

    @property
    def macs(self) -> int:
        return self.rows * self.cols


@dataclass(frozen=True)
class Rcsc:
    """pe_rows × token_columns PEs of one MAC; the PEs of a row take the same entry.

    sets: of PE rows that share outputs, under "set_associative"; every PE row is a set under the
    other two. outputs_per_set: accumulators that each PE of a set has for the set's outputs.
    """

    pe_rows: Size = 1024
    token_columns: Size = 1
    policy: Policy = "set_associative"
    sets: Size = 8
    window_inputs: Size = 128
    outputs_per_set: Size = 512
    pe_latency_cycles: SizeOrZero = 4
    value_bits: Bits = 16
    accumulator_bits: Bits = 32

    @property
    def macs(self) -> int:
        return self.pe_rows * self.token_columns

    @property
    def set_count(self) -> int:
        """Sets of `pe_rows` / `set_count` PE rows each."""
        return self.sets if self.policy == "set_associative" else self.pe_rows


@dataclass(frozen=True)
class Eie:
    """pes PEs; row r of a strip is of PE r mod pes. outputs_per_pe: accumulators of a PE.

    operand_bits: of an activation, wider than a weight, which is a code of a shared table.
    """

    pes: Size = 64
    queue_depth: Size = 8
    run_bits: Annotated[int, msgspec.Meta(ge=1, le=16)] = 4
    outputs_per_pe: Size = 64
    pe_latency_cycles: SizeOrZero = 4
    value_bits: Bits = 4
    operand_bits: Bits = 16
    accumulator_bits: Bits = 16

    @property
    def macs(self) -> int:
        return self.pes


@dataclass(frozen=True)
class CambriconX:
    """pes PEs of `multipliers`; output r of a strip is of PE r mod pes.

    window_inputs: inputs among which the indexing module picks in one step. input_words,
    output_words: of the two neuron buffers.
    """

    pes: Size = 16
    multipliers: Size = 16
    window_inputs: Size = 256
    input_words: Size = 4096
    output_words: Size = 4096
    pe_latency_cycles: SizeOrZero = 4
    value_bits: Bits = 16
    accumulator_bits: Bits = 32

    @property
    def macs(self) -> int:
        return self.pes * self.multipliers


@dataclass(frozen=True)
class TensorCore:
    """`outputs` × `tokens` × `slots` multipliers. strip_outputs: whose sums fit the accumulators.

    modes: what the machine can do, in any order; dense, (1, 1), is always possible.
    vector_length: L of vector-wise K of L, K being the most that any group of the matrix keeps; 0
    where the machine has no such mode.
    """

    outputs: Size = 16
    tokens: Size = 16
    slots: Size = 16
    strip_outputs: Size = 128
    modes: tuple[Mode, ...] = ((2, 4), (1, 4))
    vector_length: SizeOrZero = 0
    pe_latency_cycles: SizeOrZero = 4
    value_bits: Bits = 16
    accumulator_bits: Bits = 32

    @property
    def macs(self) -> int:
        return self.outputs * self.tokens * self.slots


Parameters = Systolic | Rcsc | Eie | CambriconX | TensorCore
