"""The sections of a machine file that machines of every dataflow have, and the mark of a value."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

import msgspec

from accel_sim.inputs.datatypes import DATATYPES

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
Frequency = Annotated[float, msgspec.Meta(ge=1e-3, le=1e18)]
"""In hertz; the time that any run takes at it is a number."""
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=1e18)]
Bandwidth = Count | Annotated[float, msgspec.Meta(ge=0.001, le=2**40)]
Size = Annotated[int, msgspec.Meta(ge=1, le=2**20)]
SizeOrZero = Annotated[int, msgspec.Meta(ge=0, le=2**20)]
Bits = Annotated[int, msgspec.Meta(ge=1, le=64)]
DatatypeName = Literal["fp16", "int8", "int16", "bf16", "fp8", "int4"]
assert get_args(DatatypeName) == tuple(DATATYPES)


@dataclass(frozen=True)
class Clock:
    """most_hz: up to which the longest path fits into a cycle; None where nobody says."""

    clock_hz: Frequency
    most_hz: Frequency | None = None


@dataclass(frozen=True)
class Buffer:
    """port_bytes: what a bank reads or writes in a cycle; None where the dataflow has no port."""

    bytes: Count
    banks: Count
    port_bytes: Count | None = None


@dataclass(frozen=True)
class Output:
    words_per_cycle: Count


@dataclass(frozen=True)
class Dram:
    """memory: the data sheet of `memories/` that the values are from; None where stated one by one.

    bytes_per_cycle has at most three digits after the point, so that cycles are counted exactly.
    resident: weights stay on the chip if those of the whole workload fit.
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
    resident: bool = False

    @property
    def bytes_per_1000_cycles(self) -> int:
        return round(1000 * self.bytes_per_cycle)


@dataclass(frozen=True)
class Estimate:
    """A price in pJ or an area in µm² at the machine's node, in place of what our tables say."""

    kind: Literal["price", "area"]
    row: str
    value: NotNegative
    unit: str
    source: str


@dataclass(frozen=True)
class Energy:
    """table: the node of the cost tables; others than 28 nm are scaled (tables/nodes.csv).

    ert: what stands in place of the tables, from files of Accelergy (`costs.accelergy`).
    """

    table: Literal["65nm", "45nm", "40nm", "32nm", "28nm", "22nm", "16nm", "14nm", "7nm"]
    case: Literal["low", "nominal", "high"]
    scale: Positive
    leakage_w: NotNegative
    ert: tuple[Estimate, ...] = ()

    def estimated(self, kind: Literal["price", "area"]) -> dict[str, float]:
        """Row → pJ or µm² of what stands in place of the tables."""
        return {each.row: each.value for each in self.ert if each.kind == kind}


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
class Vector:
    """The unit beside the array that does what no product is (docs/whole_models.md §3).

    elements_per_cycle: its lanes. …_cycles: that a lane is busy with one element; …_operations:
    what that costs, in operations.
    overlaps: softmax of one block of scores runs while the array multiplies others.
    """

    elements_per_cycle: Size = 64
    latency_cycles: SizeOrZero = 8
    exp_cycles: Size = 1
    exp_operations: Size = 8
    divide_cycles: Size = 1
    divide_operations: Size = 4
    root_cycles: Size = 1
    root_operations: Size = 4
    overlaps: bool = True


@dataclass(frozen=True)
class XorDecoder:
    """XOR decoders between the DRAM and the weight buffer (docs/rivals.md §16); 0 decoders: none.

    decoder_outputs: bits that a decoder makes of a word of 8 bits; decoder_memory: earlier words
    that it combines with it. patches_per_cycle: by all decoders together.
    """

    decoders: SizeOrZero = 0
    decoder_outputs: Annotated[int, msgspec.Meta(ge=1, le=255)] = 40
    decoder_memory: Annotated[int, msgspec.Meta(ge=0, le=2)] = 1
    patches_per_cycle: Size = 1


@dataclass(frozen=True)
class Operands:
    """datatype: of the multipliers and adders; its widths are those of the section [array]."""

    datatype: DatatypeName


SHARED: dict[str, Any] = {
    "weight_buffer": Buffer,
    "activation_buffer": Buffer,
    "output": Output,
    "vector": Vector,
    "xor_decoder": XorDecoder,
    "dram": Dram,
    "energy": Energy,
    "published": Published,
}
"""The sections that machines of every dataflow have, and take over from each other."""
