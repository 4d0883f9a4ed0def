"""Scalar entries in column order on sets of PEs: OPTIMUS-style (docs/rivals.md §6).

Source: Park et al., MLSys 2020 (abstract); assignment and window: a public behavioural model of
SA-RCSC. One kept weight is one entry; a PE takes one a cycle while its input is in the window.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from math import sqrt
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import Tile, Unit, ranges
from accel_sim.dataflows.abstract.causes import COMPUTE, IMBALANCE, PIPELINE, WINDOW, Cause
from accel_sim.dataflows.abstract.changes import AROUND_THE_ARRAY, scaled, set_to
from accel_sim.dataflows.abstract.dataflow import Change, WireSides
from accel_sim.dataflows.abstract.machine_sections import Bits, Size, SizeOrZero
from accel_sim.dataflows.abstract.mask_machine import Keep, MaskMachine, Tiles
from accel_sim.dataflows.abstract.product import Order
from accel_sim.inputs.activations import Inputs, group_tokens
from sparse_formats.errors import InputError
from sparse_formats.formats.sa_rcsc import SARCSC

Policy = Literal["interleaved", "snake", "set_associative"]
POLICIES: tuple[Policy, ...] = get_args(Policy)


@dataclass(frozen=True)
class RcscArray:
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


CHANGES = {
    **AROUND_THE_ARRAY,
    "window": scaled("window of twice as many inputs", "array", window_inputs=2),
    "more_sets": scaled("twice as many sets of half the PE rows", "array", sets=2),
    "fewer_sets": scaled("half as many sets of twice the PE rows", "array", sets=0.5),
    "outputs": scaled("twice as many accumulators in each PE", "array", outputs_per_set=2),
    "tokens": scaled(
        "half the PE rows for twice as many tokens at once, with as many MACs",
        "array",
        pe_rows=0.5,
        token_columns=2,
    ),
    "rows": scaled(
        "twice the PE rows for half as many tokens at once, with as many MACs",
        "array",
        pe_rows=2,
        token_columns=0.5,
    ),
    **{policy: set_to(f"policy {policy}", "array", policy=policy) for policy in POLICIES},
}
"""What would help, by its short name, in the order in which ties are broken."""


@dataclass(frozen=True, kw_only=True)
class Rcsc(MaskMachine):
    """Every kept weight is an entry of its own; no activation is skipped."""

    array: RcscArray

    dataflow = "rcsc"
    causes: ClassVar[Mapping[str, Cause]] = {
        "compute": COMPUTE,
        "imbalance": IMBALANCE,
        "window": WINDOW,
        "pipeline": PIPELINE,
    }
    changes: ClassVar[Mapping[str, Change]] = CHANGES

    def check(self) -> None:
        super().check()
        array = self.array
        if array.pe_rows % array.set_count:
            raise InputError(
                f"array.sets is {array.sets}, which does not divide array.pe_rows "
                f"{array.pe_rows}; sets must be equal"
            )

    def tiles(self, keep: Keep, inputs: Inputs) -> Tiles:
        return run_rcsc(keep, inputs.tokens, self.array)

    def orders(self, keep: Keep, weight: NDArray[Any]) -> Iterator[Order]:
        for rows in strips(keep, self.array):
            yield issue_order(schedule(keep[rows], self.array), weight[rows], rows.start)

    def format_of(self, keep: Keep) -> str:
        return "sa_rcsc" if self.array.policy == "set_associative" else "rcsc"

    @property
    def tokens_at_once(self) -> int:
        return self.array.token_columns

    def area_parts(self) -> dict[str, dict[str, float]]:
        array = self.array
        window = array.window_inputs * array.token_columns
        sums = array.macs * array.outputs_per_set * array.accumulator_bits
        return {
            "mac": {f"mac_{self.numbers.name}": array.macs},
            "accumulators": {"register_bit": sums},
            # Every PE row picks its input out of the window of each token.
            "matching": {"pick_of_16": array.pe_rows * window / 16},
            "queues": {"register_bit": window * array.value_bits},
        }

    def wire_sides(self) -> WireSides:
        """An entry goes from the edge to its PE row, and along the PEs of the row.

        An operand comes from the window at the edge; sums go back to it.
        """
        array = self.array
        along = sqrt(array.token_columns / array.pe_rows) if array.token_columns > 1 else 0.0
        return WireSides(weights=0.5 + along, operands=0.5, sums=0.5)

    @property
    def resize_step(self) -> int:
        return self.array.sets if self.array.policy == "set_associative" else 1

    def resized(self, pes: int) -> Self:
        """`pes`: PE rows."""
        return replace(self, array=replace(self.array, pe_rows=pes))


class Count(IntEnum):
    """What a pass counts, without its latency. Cycles of PE rows are summed over the rows."""

    CYCLES = 0
    BUSY = 1
    WINDOW = 2
    IDLE = 3
    CRITICAL_BUSY = 4
    CRITICAL_WINDOW = 5
    INPUTS_READ = 6


COUNTS = len(Count)


@dataclass(frozen=True, eq=False)
class Schedule:
    """Inputs of PE row p's entries in issue order: inputs[first[p]:first[p + 1]].

    first: int64 (pe_rows + 1,); inputs, outputs: int32 (entries,); input_count: of the matrix.
    """

    first: NDArray[np.int64]
    inputs: NDArray[np.int32]
    outputs: NDArray[np.int32]
    input_count: int

    @property
    def loads(self) -> NDArray[np.int64]:
        """Entries of each PE row."""
        return np.diff(self.first)


def schedule(keep: Keep, machine: RcscArray) -> Schedule:
    """Hand the entries of bool mask `keep` (outputs × inputs) to the PE rows, offline."""
    outputs, inputs = keep.shape
    order = np.arange(outputs)
    run, place = np.divmod(order, machine.set_count)
    if machine.policy != "interleaved":
        order = np.argsort(-np.count_nonzero(keep, axis=1), kind="stable")
        place = np.where(run % 2, machine.set_count - 1 - place, place)
    first = np.zeros(machine.pe_rows + 1, np.int64)
    taken = np.empty(int(np.count_nonzero(keep)), np.int32)
    of_output = np.empty_like(taken)
    set_size = machine.pe_rows // machine.set_count
    _assign(keep[order], order, place, set_size, first, taken, of_output)
    return Schedule(first, taken, of_output, inputs)


def issue_order(entries: Schedule, weight: NDArray[Any], first_output: int) -> Order:
    """Each PE adds its entries of an output as it issues them; then the PEs of a set are added.

    In ascending order: the others of an output's set come to it with a sum of theirs.
    """
    pe = np.repeat(np.arange(len(entries.loads)), entries.loads)
    # Entries of other outputs in between change no sum of this one.
    by_output = np.lexsort((np.arange(len(pe)), entries.outputs, pe))
    output, input_ = entries.outputs[by_output], entries.inputs[by_output]
    return Order(first_output + output, input_, weight[output, input_], part=pe[by_output])


def pass_counts(entries: Schedule, window_inputs: int) -> NDArray[np.int64]:
    """Counters (`Count`, int64) of one pass."""
    counts = np.zeros(COUNTS, np.int64)
    _step(entries.first, entries.inputs, window_inputs, entries.input_count, counts)
    return counts


def run_rcsc(keep: Keep, tokens: int, machine: RcscArray) -> Tiles:
    """Tiles of bool mask `keep` (outputs × inputs), and the tokens of each group.

    No activation is skipped.
    """
    sizes = group_tokens(tokens, machine.token_columns)
    tiles = [
        _tile(strip, (rows.start, rows.stop), keep[rows], sizes, machine)
        for strip, rows in enumerate(strips(keep, machine))
    ]
    return tuple(tiles), sizes


def strips(keep: Keep, machine: RcscArray) -> list[slice]:
    """The outputs of each tile."""
    outputs, inputs = keep.shape
    strip = machine.set_count * machine.outputs_per_set
    return [slice(*rows) for rows in ranges(outputs, strip)] if inputs else []


def _tile(
    strip: int,
    rows: tuple[int, int],
    keep: Keep,
    sizes: NDArray[np.int64],
    machine: RcscArray,
) -> Tile:
    outputs, inputs = keep.shape
    counts = pass_counts(schedule(keep, machine), machine.window_inputs)
    of = {count: int(counts[count]) for count in Count}
    nnz, pes = of[Count.BUSY], machine.pe_rows * machine.token_columns
    window = min(machine.window_inputs, max(inputs, 1))
    storage = SARCSC.encode(keep, sets=machine.set_count, window=window).storage(machine.value_bits)
    executed = nnz * sizes
    cycles = np.full_like(sizes, of[Count.CYCLES] + machine.pe_latency_cycles)
    latency = np.full_like(sizes, machine.pe_latency_cycles)
    compute = np.full_like(sizes, min(-(-nnz // machine.pe_rows), of[Count.CRITICAL_BUSY]))
    v, a = machine.value_bits, machine.accumulator_bits
    # Each PE of a set may hold a part of each of the set's sums: they are added at the end.
    adds = outputs * (machine.pe_rows // machine.set_count - 1) * sizes
    return Tile(
        strip=strip,
        rows=rows,
        cols=(0, inputs),
        storage=storage,
        cycles=cycles,
        causes={
            "compute": compute,
            "imbalance": of[Count.CRITICAL_BUSY] - compute,
            "window": np.full_like(sizes, of[Count.CRITICAL_WINDOW]),
            "pipeline": latency,
        },
        executed=executed,
        skipped=np.zeros_like(sizes),
        padding=np.zeros_like(sizes),
        units={
            "pe": Unit(
                pes,
                {
                    "busy": executed,
                    "window": of[Count.WINDOW] * sizes,
                    "idle": of[Count.IDLE] * sizes,
                    "no_token": machine.pe_rows
                    * of[Count.CYCLES]
                    * (machine.token_columns - sizes),
                    "pipeline": pes * latency,
                },
            )
        },
        actions={
            "weight_bits_read": np.full_like(sizes, storage.bits),
            "activation_bits_read": of[Count.INPUTS_READ] * sizes * v,
            "activation_bits_written": outputs * sizes * a,
            "decoded_bits": np.full_like(sizes, storage.bits),
            # Inputs enter the window once and are read by every MAC.
            "register_bits": (of[Count.INPUTS_READ] * sizes + executed) * v,
            "compares": np.full_like(sizes, nnz),
            "macs": executed,
            "accumulator_bits": 2 * a * executed,
            "adds": adds,
            "weight_wire_bits": np.full_like(sizes, storage.bits),
            "operand_wire_bits": executed * v,
            # A part of the sum from each PE of the set.
            "sum_wire_bits": (adds + outputs * sizes) * a,
        },
    )


@njit(cache=True, nogil=True)
def _assign(
    keep: Any,
    output_of_row: Any,
    set_of_row: Any,
    set_size: int,
    first: Any,
    inputs: Any,
    outputs: Any,
) -> None:
    """Walk `keep` column by column; each entry goes to the set's least-loaded PE row, ties lowest.

    Entries weigh the same, so the least-loaded is the next in turn: a set's entry i goes to its PE
    row i mod set_size.
    """
    rows, cols = keep.shape
    pe_rows = len(first) - 1
    in_set = np.zeros(pe_rows // set_size, np.int64)
    for row in range(rows):
        for col in range(cols):
            in_set[set_of_row[row]] += keep[row, col]
    for p in range(pe_rows):
        held = in_set[p // set_size]
        first[p + 1] = first[p] + (held + set_size - 1 - p % set_size) // set_size
    in_set[:] = 0
    by_input = np.ascontiguousarray(keep.T)
    for col in range(cols):
        for row in range(rows):
            if by_input[col, row]:
                turn, place = divmod(in_set[set_of_row[row]], set_size)
                entry = first[set_of_row[row] * set_size + place] + turn
                inputs[entry] = col
                outputs[entry] = output_of_row[row]
                in_set[set_of_row[row]] += 1


@njit(cache=True, nogil=True)
def _step(first: Any, inputs: Any, window: int, input_count: int, counts: Any) -> None:
    pe_rows = len(first) - 1
    taken = first[:-1].copy()
    last = np.full(pe_rows, -1, np.int64)
    stalled = np.zeros(pe_rows, np.int64)
    left = len(inputs)
    read = 0  # inputs that have entered the window: [0, read), but for those jumped over
    cycle = 0
    while left > 0:
        base = input_count
        for p in range(pe_rows):
            if taken[p] < first[p + 1]:
                base = min(base, inputs[taken[p]])
        end = min(base + window, input_count)
        counts[Count.INPUTS_READ] += end - max(read, base)
        read = end
        for p in range(pe_rows):
            if taken[p] == first[p + 1]:
                continue
            if inputs[taken[p]] < end:
                taken[p] += 1
                left -= 1
                last[p] = cycle
            else:
                stalled[p] += 1
        cycle += 1
    critical = 0
    for p in range(pe_rows):
        if last[p] > last[critical]:
            critical = p
        counts[Count.BUSY] += first[p + 1] - first[p]
        counts[Count.WINDOW] += stalled[p]
        counts[Count.IDLE] += cycle - 1 - last[p]
    counts[Count.CYCLES] = cycle
    counts[Count.CRITICAL_BUSY] = first[critical + 1] - first[critical]
    counts[Count.CRITICAL_WINDOW] = stalled[critical]
