"""What a layer's passes counted, and what they come to once they are laid out in time.

A pass is one tile of weights × one group of tokens. The words are the same for every dataflow
(docs/microarchitecture.md §7, docs/rivals.md §1), so that whoever lays passes out in time, charges
energy or prints a report needs to know no dataflow.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.storage import Storage

MOST_CYCLES = 2**59
"""What a layer may take, far enough from 2^63 for what is counted in units and words of it."""

Counted = Any
"""int64 array (groups,): of each group; (1,): of each group, all alike; int: of all groups."""

ACTIONS = (
    "weight_bits_read",
    "decoded_bits",
    "register_bits",
    "zero_compares",
    "compares",
    "window_bits",
    "activation_bits_read",
    "macs",
    "gated_lanes",
    "accumulator_bits",
    "adds",
    "activation_bits_written",
    "partial_bits_read",
    "weight_wire_bits",
    "operand_wire_bits",
    "sum_wire_bits",
)
"""Actions with an energy each (`costs.energy` says of which component).

What time adds: `weight_bits_written`, `xor_bits` (made by XOR decoders, where there are some),
`dram_bytes`, `dram_activations`, `clocked_cycles` (those of passes) and `leaking_cycles` (all).
Bits of the two buffers; bits that pass an expander; bits of queues, windows, operand registers and
accumulators, written or read; comparisons of the zero-skip and of the matching unit; partial sums
that come back from the activation buffer; bits of weights, operands and sums that go the way of
their kind through the array (`WireSides`), once for each wire or hop.
"""


@dataclass(frozen=True)
class Unit:
    """A kind of unit: how many there are, and in which state they spent count · cycles.

    states: "busy", "idle", and what they were stalled by.
    """

    count: int
    states: Mapping[str, Counted]

    @property
    def busy(self) -> Any:
        return self.states["busy"]

    @property
    def idle(self) -> Any:
        return self.states.get("idle", 0)

    @property
    def stalled(self) -> dict[str, Any]:
        return {name: n for name, n in self.states.items() if name not in ("busy", "idle")}

    def as_data(self) -> dict[str, Any]:
        """As it stands in report.json."""
        return {
            "count": self.count,
            "busy": self.busy,
            "stalled": self.stalled,
            "idle": self.idle,
        }


@dataclass(frozen=True)
class Delivery:
    """What the DRAM delivers to XOR decoders in place of an encoded tile (docs/rivals.md §16).

    cycles: that the decoders take at least; decoded_bits: that they make of `words`. is_sampled:
    `patches` are estimated.
    """

    bits: int
    words: int
    patches: int
    decoded_bits: int
    cycles: int
    is_sampled: bool

    @property
    def bytes(self) -> int:
        return -(-self.bits // 8)


@dataclass(frozen=True, eq=False)
class Tile:
    """One tile of outputs `rows` × inputs `cols`; tiles of one `strip` share their outputs.

    storage: of the encoded tile, which DRAM delivers once. cycles: of each pass; `causes` sum to
    it. executed: MACs; weights of the tile × tokens that were not executed are `skipped`; `padding`
    is what lanes did besides. units: their states sum to count · cycles. actions: of `ACTIONS`.

    room: bytes of the weight buffer, None for those of the tile; head_bytes: that stand beside it
    while the tile is in use. lines: int64 (2, lines), of the load up to each line that a pass may
    need in the cycle of its number: bytes, and cycles that writing them takes at least; None where
    a pass needs the whole tile.
    least_write_cycles: of a write-back. places: tiles that may be loaded and not written back at a
    time, None for any number. delivery: what is loaded in its place, None where it comes as it is.
    """

    strip: int
    rows: tuple[int, int]
    cols: tuple[int, int]
    storage: Storage
    cycles: NDArray[np.int64]
    causes: Mapping[str, Counted]
    executed: Counted
    skipped: Counted
    padding: Counted
    units: Mapping[str, Unit]
    actions: Mapping[str, Counted]
    room: int | None = None
    head_bytes: int = 0
    lines: NDArray[np.int64] | None = None
    least_write_cycles: int = 0
    places: int | None = None
    delivery: Delivery | None = None

    @property
    def outputs(self) -> int:
        return self.rows[1] - self.rows[0]

    @property
    def bytes(self) -> int:
        return -(-self.storage.bits // 8)


@dataclass(frozen=True)
class ProductCheck:
    """How far the machine's output is from the dense masked product.

    tokens: how many were multiplied. max_abs_error: largest difference; max_error_over_bound:
    largest ratio to the FP32 rounding bound of that element (≤ 1 means equal up to rounding);
    integers have no error to allow: 0 or infinite. note: why nothing was compared, or what the
    comparison does not see.
    """

    tokens: int
    max_abs_error: float | None
    max_error_over_bound: float | None
    note: str = ""

    @property
    def is_equal(self) -> bool | None:
        """None where nothing was compared."""
        ratio = self.max_error_over_bound
        return None if ratio is None else ratio <= 1.0


@dataclass(frozen=True, eq=False)
class LayerRun:
    """All passes of one layer, before time is laid out.

    group_sizes: tokens of each group, int64 (groups,). format: how the weights are stored;
    orientation: of what the lanes work on, "" where the format has none; lane_groups: groups that a
    PE's lanes work as, lane_select: among how many inputs each lane chooses, and entries: of all
    tiles, 0 where the dataflow has none. pe_load: entries of each PE row, () where the dataflow
    deals none out. product: None where it was not computed; outputs: (rows, tokens) of the tokens
    that were multiplied, in the accumulators' type. picture_inputs: of a convolution that
    runs as what it is, every tile over all of them; None elsewhere.
    """

    name: str
    kind: str
    shape: tuple[int, int]
    nnz: int
    tiles: tuple[Tile, ...]
    group_sizes: NDArray[np.int64]
    macs_effectual: int
    format: str
    orientation: str = ""
    lane_groups: int = 0
    lane_select: int = 0
    entries: int = 0
    pe_load: Sequence[int] = ()
    product: ProductCheck | None = None
    outputs: NDArray[Any] | None = None
    picture_inputs: int | None = None

    @property
    def inputs_held(self) -> int:
        """Inputs of a token that the activation buffer holds.

        Of a convolution that runs as what it is they are the picture's, shared by its positions.
        """
        if self.picture_inputs is None:
            return self.shape[1]
        return -(-self.picture_inputs // self.tokens)

    @property
    def tokens(self) -> int:
        return int(self.group_sizes.sum())

    @property
    def input_ranges(self) -> int:
        """Input ranges of each strip; 1 for a matrix without entries, which has no tile."""
        return max(sum(tile.strip == 0 for tile in self.tiles), 1)

    @property
    def pass_cycles(self) -> int:
        """Cycles of all passes, one right after the other."""
        return total_cycles(self.tiles, len(self.group_sizes))


@dataclass(frozen=True)
class LayerTime:
    """When a layer ran, in cycles.

    wait_dram, wait_writeback: cycles before passes, by what they waited for; tail: from the end
    of the last pass to the end of the layer. dram_busy, dram_latency: cycles of [start, end) in
    which the DRAM transferred or had yet to answer, whatever layer the bytes were for. Bytes and
    row activations are those of the layer's own loads. wait_decoder: cycles before passes, for
    loads that took longer because of XOR decoders.
    """

    start: int
    end: int
    wait_dram: int
    wait_writeback: int
    tail: int
    write_busy: int
    dram_busy: int
    dram_latency: int
    dram_read_bytes: int
    dram_write_bytes: int
    dram_activations: int
    wait_decoder: int = 0

    @property
    def cycles(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Account:
    """What a layer's passes came to, once laid out in time.

    causes: the critical path, in the order in which ties are broken; actions: of `ACTIONS`, and
    what time adds to them.
    """

    executed: int
    padding: int
    causes: Mapping[str, int]
    units: Mapping[str, Unit]
    actions: Mapping[str, int]


def account_of(
    run: LayerRun,
    time: LayerTime,
    empty: Tile,
    waits_as: Mapping[str, str],
    is_resident: bool,
    has_decoders: bool,
) -> Account:
    """The account of one layer from what its passes counted and its place in time.

    empty: any tile of the machine, for the names of what is counted where there is no tile.
    waits_as: units whose time between passes is one state; it is "dram" and "writeback" for others.
    is_resident: weights were written before the start. has_decoders: XOR decoders, that is.

    Raises:
        InputError: the machine's values are so large that cycles cannot be counted in 64 bits.
    """
    groups = len(run.group_sizes)

    def added(counted: Iterable[Counted]) -> int:
        return sum(summed(item, groups) for item in counted)

    decoders = {"decoder": time.wait_decoder} if has_decoders else {}
    between = {
        "dram": time.wait_dram,
        **decoders,
        "writeback": time.wait_writeback + time.tail,
    }
    units = {}
    for kind, unit in empty.units.items():
        states = {
            state: added(tile.units[kind].states[state] for tile in run.tiles)
            for state in unit.states
        }
        for cause, cycles in between.items():
            state = waits_as.get(kind, cause)
            states[state] = states.get(state, 0) + unit.count * cycles
        units[kind] = Unit(unit.count, states)
    causes = {cause: added(tile.causes[cause] for tile in run.tiles) for cause in empty.causes}
    causes |= between
    _check_sum(run.name, causes, time)
    return Account(
        executed=added(tile.executed for tile in run.tiles),
        padding=added(tile.padding for tile in run.tiles),
        causes=causes,
        units=units | _units_behind(time),
        actions={
            **{
                action: added(tile.actions[action] for tile in run.tiles)
                for action in empty.actions
            },
            "weight_bits_written": 0 if is_resident else 8 * sum(tile.bytes for tile in run.tiles),
            **({"xor_bits": _xor_bits(run)} if has_decoders else {}),
            "dram_bytes": time.dram_read_bytes + time.dram_write_bytes,
            "dram_activations": time.dram_activations,
            "clocked_cycles": run.pass_cycles,
            "leaking_cycles": time.cycles,
        },
    )


def _xor_bits(run: LayerRun) -> int:
    """Bits that XOR decoders make for one load of the layer."""
    return sum(tile.delivery.decoded_bits for tile in run.tiles if tile.delivery is not None)


def together(accounts: Sequence[Account]) -> Account:
    """All runs of one layer in one account."""
    first, *others = accounts
    if not others:
        return first

    def added(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
        return {key: sum(each[key] for each in counts) for key in counts[0]}

    return Account(
        executed=sum(each.executed for each in accounts),
        padding=sum(each.padding for each in accounts),
        causes=added([each.causes for each in accounts]),
        units={
            kind: Unit(unit.count, added([each.units[kind].states for each in accounts]))
            for kind, unit in first.units.items()
        },
        actions=added([each.actions for each in accounts]),
    )


def too_many_cycles(what: str) -> InputError:
    """The error of a machine on which `what` takes longer than can be counted."""
    return InputError(
        f"{what} takes more cycles than can be counted in 64 bits; the values of the machine "
        "multiply to too much, so choose smaller ones"
    )


def _check_sum(name: str, causes: Mapping[str, int], time: LayerTime) -> None:
    """Every cycle of a layer has one cause."""
    largest = max(map(abs, (*causes.values(), time.start, time.end, time.cycles)))
    if largest > MOST_CYCLES or min(*causes.values(), time.start) < 0:
        raise too_many_cycles(f"matrix {name}")
    if sum(causes.values()) != time.cycles:
        raise AssertionError(
            f"{name}: {time.cycles} cycles, but their causes sum to {sum(causes.values())}; "
            "this is a bug, please report it"
        )


def _units_behind(time: LayerTime) -> dict[str, Unit]:
    """The units behind every array."""
    return {
        "dram": Unit(
            1,
            {
                "busy": time.dram_busy,
                "first_latency": time.dram_latency,
                "idle": time.cycles - time.dram_busy - time.dram_latency,
            },
        ),
        "writeback": Unit(1, {"busy": time.write_busy, "idle": time.cycles - time.write_busy}),
    }


def total_cycles(tiles: Iterable[Tile], groups: int) -> int:
    """Cycles of all passes, one after the other."""
    return sum(summed(tile.cycles, groups) for tile in tiles)


def summed(counted: Counted, groups: int) -> int:
    """A count over all groups."""
    if isinstance(counted, int):
        return counted
    return int(counted.sum()) * (groups if len(counted) == 1 else 1)


def ranges(length: int, part: int) -> list[tuple[int, int]]:
    """[0, length) cut into parts of `part`, the last one shorter; [] if length is 0."""
    return [(first, min(first + part, length)) for first in range(0, length, part)]
