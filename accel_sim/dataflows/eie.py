"""EIE: columns of non-zero activations broadcast to PEs with queues (docs/rivals.md §3).

Two ways to the same cycles: the machine stepped cycle by cycle, and a recurrence in (max, +) that
takes one step per broadcast. `run_eie` uses the recurrence; `validate` compares the two.
Source: Han et al., ISCA 2016; recurrence: ours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from math import sqrt
from typing import Annotated, Any, ClassVar, Self

import msgspec
import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import Tile, Unit, ranges
from accel_sim.dataflows.abstract.causes import COMPUTE, IMBALANCE, PIPELINE, Cause
from accel_sim.dataflows.abstract.changes import AROUND_THE_ARRAY, scaled
from accel_sim.dataflows.abstract.dataflow import Change, WireSides
from accel_sim.dataflows.abstract.machine_sections import Bits, Size, SizeOrZero
from accel_sim.dataflows.abstract.mask_machine import Keep, MaskMachine, Tiles
from accel_sim.dataflows.abstract.product import Order
from accel_sim.inputs.activations import Inputs, group_tokens
from sparse_formats.formats.parts.zero_runs import MOST_RUN_BITS
from sparse_formats.formats.relative_csc import RelativeCSC
from sparse_formats.storage import Storage

INDEX_BITS = 16
"""Of a column's number, broadcast and queued beside its activation, and of a pointer."""
_WORD_BITS = 64
"""Of the word of entries that a PE reads from its SRAM."""


@dataclass(frozen=True)
class EieArray:
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


def _longer_runs(machine: "Eie") -> "Eie | None":
    bits = machine.array.run_bits + 1
    if bits > MOST_RUN_BITS:
        return None
    return replace(machine, array=replace(machine.array, run_bits=bits))


CHANGES = {
    **AROUND_THE_ARRAY,
    "queue": scaled("queues of activations twice as deep", "array", queue_depth=2),
    "run_bits": Change("runs of zeros of one bit more", _longer_runs),
    "outputs": scaled("twice as many accumulators in each PE", "array", outputs_per_pe=2),
    "more_pes": scaled(
        "twice as many PEs of half the accumulators", "array", pes=2, outputs_per_pe=0.5
    ),
    "fewer_pes": scaled(
        "half as many PEs of twice the accumulators", "array", pes=0.5, outputs_per_pe=2
    ),
}
"""What would help, by its short name, in the order in which ties are broken."""


@dataclass(frozen=True, kw_only=True)
class Eie(MaskMachine):
    """The columns of activations that are zero are not broadcast."""

    array: EieArray

    dataflow = "eie"
    weights_in_array = True
    causes: ClassVar[Mapping[str, Cause]] = {
        "compute": COMPUTE,
        "padding": Cause("padding zeros between weights too far apart for the index", "#DDAA33"),
        "imbalance": IMBALANCE,
        "empty_column": Cause("columns in which a PE has no kept weight", "#BBCC33"),
        "queue_full": Cause(
            "PEs waiting while the full queue of another blocks the broadcast", "#225522"
        ),
        "broadcast": Cause("PEs waiting for the next activation to be broadcast", "#EE8866"),
        "pipeline": PIPELINE,
    }
    changes: ClassVar[Mapping[str, Change]] = CHANGES

    @property
    def operand_bits(self) -> int:
        return self.array.operand_bits

    @property
    def skips_zeros(self) -> bool:
        return True

    def tiles(self, keep: Keep, inputs: Inputs) -> Tiles:
        return run_eie(keep, inputs.nonzero, inputs.tokens, self.array)

    def orders(self, keep: Keep, weight: NDArray[Any]) -> Iterator[Order]:
        for rows in strips(keep, self.array):
            yield stored_order(keep[rows], weight[rows], rows.start, self.array)

    def format_of(self, keep: Keep) -> str:
        return "relative_csc"

    def area_parts(self) -> dict[str, dict[str, float]]:
        array = self.array
        sums = array.pes * array.outputs_per_pe * array.accumulator_bits
        queued = array.pes * array.queue_depth * (array.operand_bits + INDEX_BITS)
        return {
            "mac": {f"mac_{self.numbers.name}": array.macs},
            "accumulators": {"register_bit": sums},
            "queues": {"register_bit": queued},
            "zero_skip": {"zero_skip": array.pes},
        }

    def wire_sides(self) -> WireSides:
        """An activation runs along one edge and from there along each row of PEs.

        Entries cross half their PE; outputs go back to the edge.
        """
        rows = sqrt(self.array.pes)
        return WireSides(weights=0.5 / rows, operands=1 + rows, sums=0.5)

    @property
    def clocked_bits(self) -> int:
        """Decoded weights are as wide as activations; a word of entries and two pointers stand
        before them."""
        array = self.array
        pipeline = 4 * array.operand_bits + array.accumulator_bits
        return array.pes * (pipeline + _WORD_BITS + 2 * INDEX_BITS)

    def resized(self, pes: int) -> Self:
        return replace(self, array=replace(self.array, pes=pes))


class Count(IntEnum):
    """What a pass counts, without its latency. Cycles of PEs are summed over the PEs."""

    CYCLES = 0
    ENTRY = 1
    EMPTY_COLUMN = 2
    QUEUE_FULL = 3
    BROADCAST = 4
    IDLE = 5
    BLOCKED = 6
    CRITICAL_ENTRY = 7
    CRITICAL_EMPTY_COLUMN = 8
    CRITICAL_QUEUE_FULL = 9
    CRITICAL_BROADCAST = 10


COUNTS = len(Count)


def recurrence(work: NDArray[np.int64], queue_depth: int) -> NDArray[np.int64]:
    """Counters (`Count`, int64) of broadcasting columns in order.

    work: int64 (columns, PEs), entries of each broadcast column in each PE, padding included.
    B_j = max(B_{j-1} + 1, max_p F_p[j-D]);  F_p[j] = max(F_p[j-1], B_j) + max(1, n_p[j]).
    """
    counts = np.zeros(COUNTS, np.int64)
    _recur(np.ascontiguousarray(work), queue_depth, counts)
    return counts


def stepped(work: NDArray[np.int64], queue_depth: int) -> NDArray[np.int64]:
    """The same counters from stepping every cycle."""
    counts = np.zeros(COUNTS, np.int64)
    _step(np.ascontiguousarray(work), queue_depth, counts)
    return counts


def entries_per_column(keep: Keep, machine: EieArray) -> tuple[Any, Any, Storage]:
    """Entries with padding, entries without (int64, inputs × PEs each), and what is stored."""
    encoded = RelativeCSC.encode(keep, run_bits=machine.run_bits, pes=machine.pes)
    work = np.diff(encoded.pointers, axis=1).T
    kept = np.zeros_like(work)
    for pe in range(machine.pes):
        kept[:, pe] = np.count_nonzero(keep[pe :: machine.pes], axis=0)
    return np.ascontiguousarray(work), kept, encoded.storage(machine.value_bits)


def run_eie(keep: Keep, nonzero: Keep | None, tokens: int, machine: EieArray) -> Tiles:
    """Tiles of bool mask `keep` (outputs × inputs), and the tokens of each group: one each.

    nonzero: bool (tokens, inputs); None where no activation is zero.
    """
    tiles = [
        _tile(strip, (rows.start, rows.stop), keep[rows], nonzero, machine)
        for strip, rows in enumerate(strips(keep, machine))
    ]
    return tuple(tiles), group_tokens(tokens, 1)


def strips(keep: Keep, machine: EieArray) -> list[slice]:
    """The outputs of each tile."""
    outputs, inputs = keep.shape
    strip = machine.pes * machine.outputs_per_pe
    return [slice(*rows) for rows in ranges(outputs, strip)] if inputs else []


def stored_order(keep: Keep, weight: NDArray[Any], first_output: int, machine: EieArray) -> Order:
    """The entries of one tile, PE by PE and column by column, as the PEs decode and add them.

    A column is broadcast only to tokens in which it is not zero, and adds 0 to the others.
    """
    encoded = RelativeCSC.encode(keep, weight, machine.run_bits, machine.pes)
    assert encoded.data is not None
    entries, inputs = encoded.entries, keep.shape[1]
    # Of the columns of the PEs, one PE after the other.
    line = np.repeat(np.arange(machine.pes * inputs), np.diff(entries.pointers))
    steps = np.append(0, np.cumsum(entries.runs.astype(np.int64) + 1))
    # Each run counts from the entry before it in the same column.
    local = steps[1:] - 1 - steps[entries.pointers[line]]
    is_kept = ~entries.is_padding
    pe, column = np.divmod(line[is_kept], inputs)
    return Order(first_output + local[is_kept] * machine.pes + pe, column, encoded.data[is_kept])


def _tile(
    strip: int,
    rows: tuple[int, int],
    keep: Keep,
    nonzero: Keep | None,
    machine: EieArray,
) -> Tile:
    work, kept, storage = entries_per_column(keep, machine)
    inputs = len(work)
    live = np.ones((1, inputs), np.bool_) if nonzero is None else nonzero
    counts = np.zeros((len(live), COUNTS), np.int64)
    _recur_each(work, live, machine.queue_depth, counts)
    of = {count: counts[:, count].copy() for count in Count}
    columns = np.count_nonzero(live, axis=1).astype(np.int64)
    executed = live.astype(np.int64) @ kept.sum(axis=1)
    latency = np.full_like(columns, machine.pe_latency_cycles)
    cycles = of[Count.CYCLES] + latency
    busy = of[Count.CRITICAL_ENTRY]
    balanced = np.minimum(-(-of[Count.ENTRY] // machine.pes), busy)
    compute = np.minimum(-(-executed // machine.pes), balanced)
    padding = of[Count.ENTRY] - executed
    v, operand, a = machine.value_bits, machine.operand_bits, machine.accumulator_bits
    entry_bits = of[Count.ENTRY] * (v + machine.run_bits)
    pointer_bits = columns * 2 * machine.pes * INDEX_BITS
    return Tile(
        strip=strip,
        rows=rows,
        cols=(0, inputs),
        storage=storage,
        cycles=cycles,
        causes={
            "compute": compute,
            "padding": balanced - compute,
            "imbalance": busy - balanced,
            "empty_column": of[Count.CRITICAL_EMPTY_COLUMN],
            "queue_full": of[Count.CRITICAL_QUEUE_FULL],
            "broadcast": of[Count.CRITICAL_BROADCAST],
            "pipeline": latency,
        },
        executed=executed,
        skipped=int(kept.sum()) - executed,
        padding=padding,
        units={
            "pe": Unit(
                machine.pes,
                {
                    "busy": executed,
                    "padding": padding,
                    "empty_column": of[Count.EMPTY_COLUMN],
                    "queue_full": of[Count.QUEUE_FULL],
                    "broadcast": of[Count.BROADCAST],
                    "idle": of[Count.IDLE],
                    "pipeline": machine.pes * latency,
                },
            ),
            "broadcast": Unit(
                1,
                {
                    "busy": columns,
                    "queue_full": of[Count.BLOCKED],
                    "idle": cycles - columns - of[Count.BLOCKED],
                },
            ),
        },
        actions={
            "weight_bits_read": entry_bits + pointer_bits,
            "activation_bits_read": np.full_like(columns, inputs * operand),
            "activation_bits_written": np.full_like(columns, len(keep) * operand),
            "decoded_bits": entry_bits,
            "register_bits": 2 * columns * machine.pes * operand,
            "compares": np.full_like(columns, inputs),
            "macs": executed,
            "gated_lanes": padding,
            "accumulator_bits": 2 * a * executed,
            "weight_wire_bits": entry_bits + pointer_bits,
            "operand_wire_bits": columns * (operand + INDEX_BITS),
            "sum_wire_bits": np.full_like(columns, len(keep) * operand),
        },
    )


@njit(cache=True, nogil=True)
def _recur_each(work: Any, live: Any, queue_depth: int, counts: Any) -> None:
    """`counts` (tokens, COUNTS) of the columns that are live for each token."""
    chosen = np.empty_like(work)
    for token in range(len(live)):
        columns = 0
        for c in range(len(work)):
            if live[token, c]:
                chosen[columns] = work[c]
                columns += 1
        _recur(chosen[:columns], queue_depth, counts[token])


@njit(cache=True, nogil=True)
def _recur(work: Any, queue_depth: int, counts: Any) -> None:
    columns, pes = work.shape
    free = np.zeros(pes, np.int64)  # F_p of the last column: the first cycle in which p is free
    last_free = np.zeros(max(columns, 1), np.int64)  # max_p F_p[j]
    spent = np.zeros((pes, 4), np.int64)
    visible = 0
    for j in range(columns):
        earliest = visible + 1
        if j >= queue_depth:
            earliest = max(earliest, last_free[j - queue_depth])
        counts[Count.BLOCKED] += earliest - visible - 1
        visible = earliest
        for p in range(pes):
            if visible > free[p]:
                # The broadcast itself takes the last cycle of the wait, being blocked the others
                # (before the first column there is no other).
                spent[p, 2] += visible - 1 - free[p]
                spent[p, 3] += 1
                free[p] = visible
            n = work[j, p]
            spent[p, 0] += n
            spent[p, 1] += n == 0
            free[p] += max(n, 1)
            last_free[j] = max(last_free[j], free[p])
    _count(free, spent, counts)


@njit(cache=True, nogil=True)
def _step(work: Any, queue_depth: int, counts: Any) -> None:
    columns, pes = work.shape
    sent = 0
    front = np.zeros(pes, np.int64)  # column that p works on
    left = np.zeros(pes, np.int64)  # its cycles still to come
    finish = np.zeros(pes, np.int64)
    spent = np.zeros((pes, 4), np.int64)
    if columns > 0:
        for p in range(pes):
            left[p] = max(work[0, p], 1)
    cycle = 0
    working = pes if columns > 0 else 0
    while working > 0:
        # The broadcast looks at every queue as the last cycle left it: a place is free where there
        # are fewer than D columns, or where the front column is in its last cycle.
        is_blocked = False
        if sent < columns:
            for p in range(pes):
                held = sent - front[p]
                if held == queue_depth and left[p] > 1:
                    is_blocked = True
        for p in range(pes):
            if front[p] == columns:
                continue
            if front[p] == sent:
                spent[p, 2 if is_blocked else 3] += 1
                continue
            spent[p, 1 if work[front[p], p] == 0 else 0] += 1
            left[p] -= 1
            if left[p] == 0:
                front[p] += 1
                if front[p] < columns:
                    left[p] = max(work[front[p], p], 1)
                else:
                    finish[p] = cycle + 1
                    working -= 1
        if is_blocked:
            counts[Count.BLOCKED] += 1
        elif sent < columns:
            sent += 1
        cycle += 1
    _count(finish, spent, counts)


@njit(cache=True, nogil=True)
def _count(finish: Any, spent: Any, counts: Any) -> None:
    """From each PE's last cycle and its entry, empty-column, blocked and broadcast cycles."""
    critical = 0
    for p in range(len(finish)):
        if finish[p] > finish[critical]:
            critical = p
    counts[Count.CYCLES] = finish[critical]
    for c in range(4):
        counts[Count.CRITICAL_ENTRY + c] = spent[critical, c]
        for p in range(len(finish)):
            counts[Count.ENTRY + c] += spent[p, c]
    for p in range(len(finish)):
        counts[Count.IDLE] += finish[critical] - finish[p]
