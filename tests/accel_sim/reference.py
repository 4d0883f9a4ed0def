"""The machine of docs/microarchitecture.md a second time: plain Python, one small object a unit.

Written from the contract alone, for clarity and not for speed: exact integers, every cycle
stepped, nothing shared with the simulator but its configuration, its inputs and the layout of a
mask that came without one. A cycle has two halves. In the first each unit reads what the last
cycle left and proposes what comes next; in the second all swap. So the order in which the units
are asked cannot matter, and `run_pass` can ask them backwards to show it.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accel_sim.accelerator import Accelerator
from accel_sim.workload import Activations
from sparse_formats.decompose import decompose
from sparse_formats.masks import MaskedMatrix
from sparse_formats.vectors import VectorLayout

Mode = Literal["row", "column"]
MENU = (1, 4, 8, 16, 32, 64)

Inputs = NDArray[np.float16]
"""(tokens, inputs)"""


class DoesNotFit(Exception):
    """A tile is too large for half the weight buffer even at width 1."""


def ceil_div(number: int, divisor: int) -> int:
    return -(-number // divisor)


def ceil_log2(number: int) -> int:
    """⌈log2 number⌉ by counting doublings."""
    bits = 0
    while 2**bits < number:
        bits += 1
    return bits


# --- §2, §3: vectors, tiles, entries ------------------------------------------------------------


@dataclass(frozen=True)
class Vector:
    """Kept entries [start, end) of one line; `length` is nominal, `end` stops at the matrix."""

    line: int
    start: int
    end: int
    length: int


def vectors_of(layout: VectorLayout, shape: tuple[int, int]) -> list[Vector]:
    """The layout's vectors as objects."""
    axis = shape[1] if layout.orientation == "horizontal" else shape[0]
    found: list[Vector] = []
    for line, start, length in zip(
        layout.lines.tolist(), layout.starts.tolist(), layout.lengths.tolist(), strict=True
    ):
        found.append(Vector(line, start, min(start + length, axis), length))
    return found


def cut(vector: Vector, first: int, end: int, lengths: Iterable[int]) -> list[Vector]:
    """What is left of a vector in the axis range [first, end): whole, or cut anew."""
    if first <= vector.start and vector.end <= end:
        return [vector]
    at, stop = max(vector.start, first), min(vector.end, end)
    parts: list[Vector] = []
    while at < stop:
        length = max(n for n in lengths if at % n == 0 and at + n <= stop)
        parts.append(Vector(vector.line, at, at + length, length))
        at += length
    return parts


@dataclass(frozen=True)
class Entry:
    """What a PE row issues in one cycle."""

    position: int
    unit: int
    lo: int
    hi: int
    bits: int
    cells: tuple[tuple[int, int], ...]
    """The kept weights it holds: (output, input)."""


@dataclass(frozen=True, eq=False)
class Tile:
    """A strip × a range of inputs, as it is stored; compared by identity."""

    mode: Mode
    strip: range
    inputs: range
    units: int
    entries: tuple[Entry, ...]
    header_bits: int
    index_bits: int
    """n·(i + k)."""
    value_bits: int

    @property
    def bits(self) -> int:
        return self.value_bits + self.index_bits + self.header_bits

    @property
    def bytes(self) -> int:
        return ceil_div(self.bits, 8)


@dataclass(frozen=True)
class Place:
    """Where a weight sits in a tile: position, unit and lane; and which inputs the position has."""

    position: int
    unit: int
    lane: int
    lo: int
    hi: int


def place(row: int, col: int, mode: Mode, strip: range, inputs: range, lanes: int) -> Place:
    """Position, unit and lane of one weight (§2)."""
    if mode == "column":
        inside = row - strip.start
        return Place(col - inputs.start, inside // lanes, inside % lanes, col, col + 1)
    inside = col - inputs.start
    lo = inputs.start + inside // lanes * lanes
    hi = min(lo + lanes, inputs.stop)
    return Place(inside // lanes, row - strip.start, inside % lanes, lo, hi)


def strip_outputs(machine: Accelerator, mode: Mode) -> int:
    """Consecutive outputs whose accumulators fit."""
    array = machine.array
    if mode == "row":
        return array.accumulators_per_pe * machine.sets
    return array.accumulators_per_pe // array.lanes * machine.sets * array.lanes


def units_in(strip: range, machine: Accelerator, mode: Mode) -> int:
    return len(strip) if mode == "row" else ceil_div(len(strip), machine.array.lanes)


def sparse_tile(
    vectors: Iterable[Vector], mode: Mode, strip: range, inputs: range, machine: Accelerator
) -> Tile:
    """The tile as a small mixed-vector matrix of its own."""
    vectors = list(vectors)
    lines, axis = (strip, inputs) if mode == "row" else (inputs, strip)
    on_offer = {*MENU, *(vector.length for vector in vectors)}
    inside: list[Vector] = []
    for vector in vectors:
        if vector.line in lines and vector.start < axis.stop and vector.end > axis.start:
            inside += cut(vector, axis.start, axis.stop, on_offer)

    index = code = 0
    if inside:
        present = {vector.length for vector in inside}
        shortest = min(present)
        index = ceil_log2(ceil_div(axis.stop, shortest) - axis.start // shortest)
        code = ceil_log2(len(present))
    header = (len(lines) + 1) * ceil_log2(len(inside) + 1) + 1

    # The pieces of every vector, gathered by the entry they go to.
    lanes, v = machine.array.lanes, machine.value_bits
    gathered: dict[tuple[int, ...], list[Piece]] = {}
    for vector in inside:
        for piece in pieces(vector, mode, strip, inputs, lanes):
            key = (piece.position, piece.unit)
            if not machine.array.packing:
                key += (piece.start,)
            gathered.setdefault(key, []).append(piece)
    entries: list[Entry] = []
    for key in sorted(gathered):
        cells = [cell for piece in gathered[key] for cell in piece.cells]
        firsts = sum(piece.is_first for piece in gathered[key])
        where = place(*cells[0], mode, strip, inputs, lanes)
        bits = len(cells) * v + firsts * (index + code)
        entries.append(Entry(key[0], key[1], where.lo, where.hi, bits, tuple(cells)))
    return Tile(
        mode,
        strip,
        inputs,
        units_in(strip, machine, mode),
        tuple(entries),
        header,
        len(inside) * (index + code),
        sum(len(entry.cells) for entry in entries) * v,
    )


@dataclass
class Piece:
    """The part of one vector in one (position, unit)."""

    position: int
    unit: int
    start: int
    is_first: bool
    cells: list[tuple[int, int]]


def pieces(vector: Vector, mode: Mode, strip: range, inputs: range, lanes: int) -> list[Piece]:
    """A vector's pieces, along its line."""
    found: list[Piece] = []
    for at in range(vector.start, vector.end):
        cell = (vector.line, at) if mode == "row" else (at, vector.line)
        where = place(*cell, mode, strip, inputs, lanes)
        is_new = not found or (found[-1].position, found[-1].unit) != (where.position, where.unit)
        if is_new:
            found.append(Piece(where.position, where.unit, at, not found, []))
        found[-1].cells.append(cell)
    return found


def dense_tile(mode: Mode, strip: range, inputs: range, machine: Accelerator) -> Tile:
    """Values only. There are no vectors, so an entry is all of one (position, unit)."""
    gathered: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row in strip:
        for col in inputs:
            where = place(row, col, mode, strip, inputs, machine.array.lanes)
            gathered.setdefault((where.position, where.unit), []).append((row, col))
    entries: list[Entry] = []
    for (position, unit), cells in sorted(gathered.items()):
        where = place(*cells[0], mode, strip, inputs, machine.array.lanes)
        bits = len(cells) * machine.value_bits
        entries.append(Entry(position, unit, where.lo, where.hi, bits, tuple(cells)))
    values = len(strip) * len(inputs) * machine.value_bits
    units = units_in(strip, machine, mode)
    return Tile(mode, strip, inputs, units, tuple(entries), 0, 0, values)


def parts_of(length: int, width: int) -> list[range]:
    """0 … length − 1 in consecutive ranges of `width`, the last may be shorter."""
    return [range(at, min(at + width, length)) for at in range(0, length, width)]


def tiles_of(
    vectors: Sequence[Vector] | None, shape: tuple[int, int], mode: Mode, machine: Accelerator
) -> list[Tile]:
    """The matrix in tiles, in execution order; `vectors` None is the dense stream.

    Raises:
        DoesNotFit: a tile of one input is larger than half the weight buffer.
    """
    rows, cols = shape
    strips = parts_of(rows, strip_outputs(machine, mode))
    width = cols
    while True:
        tiles = [
            dense_tile(mode, strip, inputs, machine)
            if vectors is None
            else sparse_tile(vectors, mode, strip, inputs, machine)
            for strip in strips
            for inputs in parts_of(cols, width)
        ]
        if all(2 * tile.bytes <= machine.weight_buffer.bytes for tile in tiles):
            return tiles
        if width == 1:
            raise DoesNotFit
        width = ceil_div(width, 2)
        if width > 64:
            width = ceil_div(width, 64) * 64


# --- §4: schedule ---------------------------------------------------------------------------------


def snake(loads: Sequence[int], bins: int) -> list[int]:
    """Bin of each item: descending load, back and forth over the bins."""
    order = sorted(range(len(loads)), key=lambda item: (-loads[item], item))
    chosen = [0] * len(loads)
    for j, item in enumerate(order):
        run, step = divmod(j, bins)
        chosen[item] = step if run % 2 == 0 else bins - 1 - step
    return chosen


def set_rows(machine: Accelerator, which: int) -> range:
    """PE rows of one set."""
    size = machine.array.pe_rows // machine.sets
    return range(which * size, (which + 1) * size)


def schedule(tile: Tile, machine: Accelerator) -> list[int]:
    """PE row of each entry."""
    rows = machine.array.pe_rows
    loads = [0] * tile.units
    for entry in tile.entries:
        loads[entry.unit] += 1
    if machine.scheduler.policy == "interleaved":
        return [entry.unit % rows for entry in tile.entries]
    if machine.scheduler.policy == "snake":
        row_of = snake(loads, rows)
        return [row_of[entry.unit] for entry in tile.entries]
    set_of = snake(loads, machine.sets)
    given = [0] * rows
    chosen: list[int] = []
    for entry in tile.entries:
        row = min(set_rows(machine, set_of[entry.unit]), key=lambda row: (given[row], row))
        given[row] += 1
        chosen.append(row)
    return chosen


# --- §5: one pass, cycle by cycle -----------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """An entry on its way through one pass."""

    entry: Entry
    row: int
    is_skippable: bool


class Decompressor:
    """Weight-buffer port and decompressor: fetches bits, consumes them, fills the queues."""

    def __init__(self, tile: Tile, jobs: Sequence[Job], machine: Accelerator) -> None:
        port = 8 * machine.decompressor.bytes_per_cycle
        self.port_bits = port
        self.capacity = 2 * port + max((entry.bits for entry in tile.entries), default=0)
        self.most_entries = machine.decompressor.entries_per_cycle
        self.depth = machine.queue.depth_entries
        self.jobs = jobs
        # State
        self.bits_to_fetch = tile.bits
        self.buffered = 0
        self.header_left = tile.header_bits
        self.delivered = 0
        # Counters
        self.busy = self.queue_full = self.weight_buffer = 0
        self._next = (self.bits_to_fetch, self.buffered, self.header_left, self.delivered)

    @property
    def next_job(self) -> Job | None:
        return self.jobs[self.delivered] if self.delivered < len(self.jobs) else None

    @property
    def is_done(self) -> bool:
        return self.header_left == 0 and self.next_job is None

    def propose(self, rows: "Sequence[PeRow]") -> None:
        fetched = min(self.port_bits, self.bits_to_fetch, self.capacity - self.buffered)
        if self.header_left > 0:
            consumed = min(self.header_left, self.buffered)
            header_left, delivered = self.header_left - consumed, self.delivered
            self.busy += consumed > 0
            self.weight_buffer += consumed == 0
        else:
            consumed, header_left, delivered = 0, 0, self.delivered
            arriving = [0] * len(rows)
            while delivered < len(self.jobs):
                job = self.jobs[delivered]
                if delivered - self.delivered == self.most_entries:
                    break
                if job.entry.bits > self.buffered - consumed:
                    self.weight_buffer += consumed == 0
                    break
                if len(rows[job.row].queue) + arriving[job.row] == self.depth:
                    self.queue_full += consumed == 0
                    break
                rows[job.row].arriving.append(job)
                arriving[job.row] += 1
                consumed += job.entry.bits
                delivered += 1
            self.busy += consumed > 0
        buffered = self.buffered + fetched - consumed
        self._next = (self.bits_to_fetch - fetched, buffered, header_left, delivered)

    def swap(self) -> None:
        self.bits_to_fetch, self.buffered, self.header_left, self.delivered = self._next


class Matching:
    """The window of inputs [base, loaded)."""

    def __init__(self, tile: Tile, machine: Accelerator) -> None:
        self.end = tile.inputs.stop
        self.window = machine.matching.window_inputs
        self.most_inputs = machine.matching.inputs_per_cycle
        self.base = self.loaded = tile.inputs.start
        self.busy = self.window_full = 0
        self._next = (self.base, self.loaded)

    def propose(self, rows: "Sequence[PeRow]", decompressor: Decompressor) -> None:
        wanted = [row.queue[0].entry.lo for row in rows if row.queue]
        if decompressor.next_job is not None:
            wanted.append(decompressor.next_job.entry.lo)
        base = min(wanted, default=self.end)
        loaded = min(self.loaded + self.most_inputs, self.base + self.window, self.end)
        self.busy += loaded > self.loaded
        self.window_full += loaded == self.loaded < self.end
        self._next = (base, loaded)

    def swap(self) -> None:
        self.base, self.loaded = self._next


class PeRow:
    """One queue, its zero-skip controller and the T PEs behind it."""

    def __init__(self, to_come: int, machine: Accelerator) -> None:
        self.most_drops = machine.zero_skip.entries_per_cycle
        # State
        self.queue: list[Job] = []
        self.to_come = to_come
        # Counters
        self.cycles: Counter[str] = Counter()
        self.cycles_dropping = 0
        self.dropped: list[Job] = []
        self.issued: list[Job] = []
        self.last_taken_in = -1
        # Wires: what the decompressor sends in this cycle, what is taken from the front.
        self.arriving: list[Job] = []
        self._taken = 0

    def propose(self, now: int, matching: Matching) -> None:
        drops = 0
        while drops < min(self.most_drops, len(self.queue)) and self.queue[drops].is_skippable:
            drops += 1
        self.dropped += self.queue[:drops]
        self.cycles_dropping += drops > 0
        front = self.queue[drops] if drops < len(self.queue) else None
        is_matched = front is not None and front.entry.hi <= matching.loaded
        is_issued = front is not None and not front.is_skippable and is_matched
        if front is not None and is_issued:
            self.issued.append(front)
            cause = "busy"
        elif drops or (front is not None and front.is_skippable):
            cause = "zero_skip"
        elif front is not None:
            cause = "window"
        elif self.to_come:
            cause = "decompressor"
        else:
            cause = "idle"
        self.cycles[cause] += 1
        self._taken = drops + is_issued
        if self._taken:
            self.last_taken_in = now

    def swap(self) -> None:
        self.queue = self.queue[self._taken :] + self.arriving
        self.to_come -= len(self.arriving)
        self.arriving = []


@dataclass(frozen=True)
class PassCount:
    """What one pass counts; independent of how many tokens its group has."""

    cycles: int
    row_cycles: tuple[Mapping[str, int], ...]
    rows_issued: tuple[tuple[Entry, ...], ...]
    """Issued entries of each PE row, in issue order."""
    critical: int | None
    """The PE row that takes its last entry last; None if nothing is taken."""
    executed: int
    skipped: int
    padding: int
    issued: int
    zero_skip_busy: int
    decompressor: Mapping[str, int]
    matching: Mapping[str, int]
    latency: int


def run_pass(
    tile: Tile,
    row_of: Sequence[int],
    is_skippable: Sequence[bool],
    machine: Accelerator,
    *,
    is_backwards: bool = False,
) -> PassCount:
    """Step one pass to its end; `is_backwards` asks the units in the opposite order."""
    jobs = [Job(*of) for of in zip(tile.entries, row_of, is_skippable, strict=True)]
    decompressor = Decompressor(tile, jobs, machine)
    matching = Matching(tile, machine)
    rows = [
        PeRow(sum(job.row == row for job in jobs), machine) for row in range(machine.array.pe_rows)
    ]
    now = 0
    while not decompressor.is_done or any(row.queue for row in rows):
        ask = [
            lambda: decompressor.propose(rows),
            lambda: matching.propose(rows, decompressor),
            *(lambda row=row, now=now: row.propose(now, matching) for row in rows),
        ]
        for propose in reversed(ask) if is_backwards else ask:
            propose()
        for unit in (decompressor, matching, *rows):
            unit.swap()
        now += 1

    last = max(row.last_taken_in for row in rows)
    issued = [job.entry for row in rows for job in row.issued]
    executed = sum(len(entry.cells) for entry in issued)
    return PassCount(
        cycles=now + machine.array.pe_latency_cycles,
        row_cycles=tuple(row.cycles for row in rows),
        rows_issued=tuple(tuple(job.entry for job in row.issued) for row in rows),
        critical=None if last < 0 else [row.last_taken_in for row in rows].index(last),
        executed=executed,
        skipped=sum(len(job.entry.cells) for row in rows for job in row.dropped),
        padding=len(issued) * machine.array.lanes - executed,
        issued=len(issued),
        zero_skip_busy=sum(row.cycles_dropping for row in rows),
        decompressor={
            "busy": decompressor.busy,
            "queue_full": decompressor.queue_full,
            "weight_buffer": decompressor.weight_buffer,
        },
        matching={"busy": matching.busy, "window_full": matching.window_full},
        latency=machine.array.pe_latency_cycles,
    )


# --- a layer's passes -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Pass:
    """One tile × one group."""

    tile: Tile
    row_of: Sequence[int]
    tokens: range
    count: PassCount


def skippable(tile: Tile, inputs: Inputs, group: range, machine: Accelerator) -> tuple[bool, ...]:
    """Of each entry: whether all its inputs are zero for all tokens of the group."""
    if machine.zero_skip.entries_per_cycle == 0:
        return (False,) * len(tile.entries)
    is_zero = {col: all(inputs[token, col] == 0 for token in group) for col in tile.inputs}
    return tuple(all(is_zero[col] for _, col in entry.cells) for entry in tile.entries)


def passes_of(tiles: Iterable[Tile], inputs: Inputs, machine: Accelerator) -> list[Pass]:
    """Every pass of a layer, in execution order."""
    found: list[Pass] = []
    for tile in tiles:
        row_of = schedule(tile, machine)

        @cache  # Groups that may drop the same entries run alike.
        def run(
            flags: tuple[bool, ...], tile: Tile = tile, row_of: Sequence[int] = tuple(row_of)
        ) -> PassCount:
            return run_pass(tile, row_of, flags, machine)

        for group in parts_of(len(inputs), machine.array.token_columns):
            flags = skippable(tile, inputs, group, machine)
            found.append(Pass(tile, row_of, group, run(flags)))
    return found


# --- §6: between passes ---------------------------------------------------------------------------


@dataclass
class Load:
    """One tile's way over the DRAM port, and how long it stays in the weight buffer."""

    start: int
    transfer: int
    end: int
    bytes_held: int
    dram_bytes: int
    released: int = 0


@dataclass
class PassTime:
    start: int
    end: int
    load_end: int
    bank_free: int
    """End of the write-back two passes before."""
    write_start: int = 0
    write_end: int = 0


@dataclass
class LayerTime:
    start: int
    end: int
    passes: list[PassTime]
    loads: list[Load]

    @property
    def cycles(self) -> int:
        return self.end - self.start


def round_up(number: int, multiple: int) -> int:
    return ceil_div(number, multiple) * multiple


def transfer_cycles(number_of_bytes: int, machine: Accelerator) -> int:
    """Cycles one run of that many bytes takes, without first latency."""
    dram = machine.dram
    permille = dram.efficiency_permille[0]
    for run, value in zip(dram.efficiency_run_bytes, dram.efficiency_permille, strict=True):
        if run <= number_of_bytes:
            permille = value
    return ceil_div(1000 * number_of_bytes, dram.bytes_per_cycle * permille)


@dataclass
class Clockwork:
    """Loads, passes and write-backs of layer after layer on one time axis."""

    machine: Accelerator
    loads: list[Load] = field(default_factory=list)
    pass_end: int = 0
    write_ends: list[int] = field(default_factory=list)
    layer_end: int = 0

    def load(self, tile: Tile, extra_bytes: int, earliest: int) -> Load:
        """Start the tile's load as soon as it may, and not before `earliest`."""
        dram = self.machine.dram
        start = max(earliest, self.loads[-1].end if self.loads else 0)
        # Each release is a moment at which there may be room.
        while True:
            held = [load for load in self.loads if load.released > start]
            used = sum(load.bytes_held for load in held)
            if used + tile.bytes <= self.machine.weight_buffer.bytes:
                break
            start = min(load.released for load in held)
        dram_bytes = round_up(tile.bytes, dram.burst_bytes) + extra_bytes
        follows = bool(self.loads) and self.loads[-1].end == start
        transfer = start if follows else start + dram.first_latency_cycles
        end = transfer + transfer_cycles(dram_bytes, self.machine)
        self.loads.append(Load(start, transfer, end, tile.bytes, dram_bytes))
        return self.loads[-1]

    def layer(
        self, tiles: Sequence[Tile], passes: Sequence[Pass], shape: tuple[int, int]
    ) -> LayerTime:
        """Run one layer; it starts when the one before has ended."""
        machine, begin = self.machine, self.layer_end
        tokens = sum(len(run.tokens) for run in passes if run.tile is tiles[0])
        ranges = sum(tile.strip == tiles[0].strip for tile in tiles)
        on_chip = 2 * tokens * (shape[0] + shape[1])
        if ranges > 1:
            on_chip += 4 * tokens * len(tiles[0].strip)
        is_spilled = on_chip > machine.activation_buffer.bytes
        earliest = begin if is_spilled or not machine.dram.prefetch_across_layers else 0

        times: list[PassTime] = []
        loads: list[Load] = []
        for tile in tiles:
            extra = 0
            if is_spilled:
                extra += round_up(2 * tokens * len(tile.inputs), machine.dram.burst_bytes)
                if tile.inputs.stop == shape[1]:
                    extra += round_up(2 * tokens * len(tile.strip), machine.dram.burst_bytes)
            load = self.load(tile, extra, earliest)
            loads.append(load)
            for run in passes:
                if run.tile is tile:
                    times.append(self.one_pass(run, load, begin))
            load.released = self.pass_end
        self.layer_end = self.write_ends[-1]
        return LayerTime(begin, self.layer_end, times, loads)

    def one_pass(self, run: Pass, load: Load, layer_start: int) -> PassTime:
        bank_free = self.write_ends[-2] if len(self.write_ends) > 1 else 0
        start = max(self.pass_end, load.end, bank_free, layer_start)
        end = self.pass_end = start + run.count.cycles
        words = len(run.tile.strip) * len(run.tokens)
        write_start = max(end, self.write_ends[-1] if self.write_ends else 0)
        write_end = write_start + ceil_div(words, self.machine.output.words_per_cycle)
        self.write_ends.append(write_end)
        return PassTime(start, end, load.end, bank_free, write_start, write_end)


# --- §7: where the cycles went --------------------------------------------------------------------

CAUSES = (
    "compute",
    "empty_lanes",
    "imbalance",
    "zero_skip",
    "window",
    "decompressor",
    "pipeline",
    "dram",
    "writeback",
)


PE_STALLS = ("zero_skip", "window", "decompressor", "pipeline", "dram", "writeback")


@dataclass(frozen=True)
class Wait:
    """Cycles between passes, and why."""

    cause: str
    cycles: int


def waits(time: LayerTime) -> Iterator[Wait]:
    """The gaps of a layer: before each pass and after the last."""
    last_end = time.start
    for one in time.passes:
        yield Wait("dram" if one.load_end >= one.bank_free else "writeback", one.start - last_end)
        last_end = one.end
    yield Wait("writeback", time.end - last_end)


def cycles_by_cause(
    passes: Sequence[Pass], time: LayerTime, machine: Accelerator
) -> dict[str, int]:
    """The critical path."""
    total: dict[str, int] = dict.fromkeys(CAUSES, 0)
    rows, lanes = machine.array.pe_rows, machine.array.lanes
    for count in (run.count for run in passes):
        total["pipeline"] += count.latency
        if count.critical is None:
            total["decompressor"] += count.cycles - count.latency
            continue
        critical = count.row_cycles[count.critical]
        busy = critical["busy"]
        compute = min(busy, ceil_div(count.executed, rows * lanes))
        with_empty_lanes = min(busy, ceil_div(count.issued, rows))
        total["compute"] += compute
        total["empty_lanes"] += with_empty_lanes - compute
        total["imbalance"] += busy - with_empty_lanes
        for cause in ("zero_skip", "window", "decompressor"):
            total[cause] += critical[cause]
    for wait in waits(time):
        total[wait.cause] += wait.cycles
    assert sum(total.values()) == time.cycles
    return total


@dataclass(frozen=True)
class Unit:
    count: int
    busy: int
    stalled: Mapping[str, int]
    idle: int


def overlap(first: int, end: int, time: LayerTime) -> int:
    """Cycles of [first, end) that lie in the layer."""
    return max(0, min(end, time.end) - max(first, time.start))


def units_of(
    passes: Sequence[Pass], time: LayerTime, all_loads: Sequence[Load], machine: Accelerator
) -> dict[str, Unit]:
    """Busy, stalled and idle cycles of each kind of unit."""
    array, cycles = machine.array, time.cycles
    rows, columns, lanes = array.pe_rows, array.token_columns, array.lanes

    pe: Counter[str] = Counter()
    executed = padding = 0
    for run in passes:
        tokens = len(run.tokens)
        for row in run.count.row_cycles:
            for cause, number in row.items():
                pe[cause] += number * tokens
        pe["pipeline"] += run.count.latency * rows * tokens
        pe["idle"] += run.count.cycles * rows * (columns - tokens)
        executed += run.count.executed * tokens
        padding += run.count.padding * tokens
    for wait in waits(time):
        pe[wait.cause] += wait.cycles * rows * columns
    not_issuing = rows * columns * cycles - pe["busy"]

    def single(busy: int, **stalled: int) -> Unit:
        return Unit(1, busy, stalled, cycles - busy - sum(stalled.values()))

    def summed(which: Literal["decompressor", "matching"], what: str) -> int:
        return sum(getattr(run.count, which)[what] for run in passes)

    dropping = sum(run.count.zero_skip_busy for run in passes)
    return {
        "pe": Unit(
            rows * columns, pe["busy"], {cause: pe[cause] for cause in PE_STALLS}, pe["idle"]
        ),
        "lane": Unit(
            rows * columns * lanes,
            executed,
            {"empty_lanes": padding, "pe": not_issuing * lanes},
            0,
        ),
        "zero_skip": Unit(rows, dropping, {}, rows * cycles - dropping),
        "decompressor": single(
            summed("decompressor", "busy"),
            queue_full=summed("decompressor", "queue_full"),
            weight_buffer=summed("decompressor", "weight_buffer"),
        ),
        "matching": single(
            summed("matching", "busy"), window_full=summed("matching", "window_full")
        ),
        "dram": single(
            sum(overlap(load.transfer, load.end, time) for load in all_loads),
            first_latency=sum(overlap(load.start, load.transfer, time) for load in all_loads),
        ),
        "writeback": single(sum(one.write_end - one.write_start for one in time.passes)),
    }


# --- §8: the product ------------------------------------------------------------------------------


def tree_sum(terms: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Neighbours first, in FP32; an odd one out meets a missing lane, which is 0."""
    while len(terms) > 1:
        if len(terms) % 2:
            terms = [*terms, np.zeros_like(terms[0])]
        terms = [terms[k] + terms[k + 1] for k in range(0, len(terms), 2)]
    return terms[0]


def ordered_product(
    weight: NDArray[np.float16], inputs: Inputs, passes: Sequence[Pass], machine: Accelerator
) -> NDArray[np.float32]:
    """(tokens, outputs) as the machine would compute it; tokens side by side, sums in order."""
    x = inputs.astype(np.float32)
    w = weight.astype(np.float32)
    output = np.zeros((len(inputs), len(weight)), np.float32)
    rows, lanes = machine.array.pe_rows, machine.array.lanes
    for run in passes:
        tile, tokens = run.tile, run.tokens
        nothing = np.zeros(len(tokens), np.float32)
        # One accumulator per PE row and output, all tokens of the group.
        held = {(row, out): nothing for row in range(rows) for out in tile.strip}
        for row, entries in enumerate(run.count.rows_issued):
            for entry in entries:
                products = {
                    cell: w[cell] * x[tokens.start : tokens.stop, cell[1]] for cell in entry.cells
                }
                if tile.mode == "column":
                    for (out, _), product in products.items():
                        held[row, out] = held[row, out] + product
                else:
                    out = entry.cells[0][0]
                    summands = [nothing] * lanes
                    for cell, product in products.items():
                        where = place(*cell, tile.mode, tile.strip, tile.inputs, lanes)
                        summands[where.lane] = product
                    held[row, out] = held[row, out] + tree_sum(summands)
        for out in tile.strip:
            # Rows outside the unit's set hold 0 and change nothing.
            total = nothing
            for row in range(rows):
                total = total + held[row, out]
            output[tokens.start : tokens.stop, out] += total
    return output


def product_error(
    matrix: MaskedMatrix, inputs: Inputs, passes: Sequence[Pass], machine: Accelerator
) -> tuple[float, float]:
    """Largest |machine − exact| and largest share of the bound that an element's error takes."""
    assert matrix.weight is not None
    weight = matrix.weight.astype(np.float16)
    found = ordered_product(weight, inputs, passes, machine)
    ranges = len({run.tile.inputs for run in passes})
    unit = 2.0**-24
    largest = share = 0.0
    for out in range(len(weight)):
        kept = [int(col) for col in range(weight.shape[1]) if matrix.keep[out, col]]
        n = len(kept) + machine.array.pe_rows + ceil_log2(machine.array.lanes) + ranges
        gamma = n * unit / (1 - n * unit)
        for token in range(len(inputs)):
            # A product of two FP16 numbers is exact in FP64.
            terms = [float(weight[out, col]) * float(inputs[token, col]) for col in kept]
            error = abs(float(found[token, out]) - math.fsum(terms))
            bound = gamma * math.fsum(abs(term) for term in terms)
            largest = max(largest, error)
            if error > 0:
                share = max(share, error / bound if bound else math.inf)
    return largest, share


# --- all together ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReferenceLayer:
    """Figures of one layer, under the names of `accel_sim.report.LayerResult`."""

    name: str
    rows: int
    cols: int
    nnz: int
    density: float
    tokens: int
    orientation: str
    vectors: int
    mean_vector_length: float | None
    storage_bits: Mapping[str, int]
    tiles: int
    cycles: int
    latency_s: float
    ideal_cycles: int
    ideal_compute_cycles: int
    ideal_dram_cycles: int
    dense_cycles: int
    speedup_vs_dense: float
    utilization: float
    bound_by: str
    macs_dense: int
    macs_executed: int
    macs_skipped: int
    macs_padding: int
    macs_effectual: int
    dram_bytes: int
    cycles_by_cause: Mapping[str, int]
    units: Mapping[str, Unit]
    pe_load: Sequence[int]
    imbalance: float | None


@dataclass(frozen=True)
class Run:
    """A layer before it has a place in time."""

    shape: tuple[int, int]
    inputs: Inputs
    tiles: Sequence[Tile]
    passes: Sequence[Pass]


def dense_run(shape: tuple[int, int], inputs: Inputs, machine: Accelerator) -> Run:
    """All true, dense stream, in the mode whose passes take fewer cycles; ties: row mode."""
    runs: list[Run] = []
    modes: tuple[Mode, ...] = ("row", "column")
    for mode in modes:
        tiles = tiles_of(None, shape, mode, machine)
        runs.append(Run(shape, inputs, tiles, passes_of(tiles, inputs, machine)))
    return min(runs, key=lambda run: sum(one.count.cycles for one in run.passes))


def issued_by_row(passes: Sequence[Pass], machine: Accelerator) -> list[int]:
    """Entries each PE row issues in the layer: once a pass, however many tokens it has."""
    rows = range(machine.array.pe_rows)
    return [sum(len(one.count.rows_issued[row]) for one in passes) for row in rows]


def effectual_macs(matrix: MaskedMatrix, inputs: Inputs) -> int:
    """Products of a kept weight and an input that is not zero."""
    kept_in_column = [int(column.sum()) for column in matrix.keep.T]
    return sum(
        kept
        for token in inputs.tolist()
        for kept, value in zip(kept_in_column, token, strict=True)
        if value != 0
    )


def on_one_clock(runs: Iterable[Run], machine: Accelerator) -> tuple[list[LayerTime], list[Load]]:
    """The layers in time, and all their loads."""
    clock = Clockwork(machine)
    times = [clock.layer(run.tiles, run.passes, run.shape) for run in runs]
    return times, clock.loads


def reference(
    matrices: Sequence[MaskedMatrix], machine: Accelerator, activations: Activations
) -> tuple[list[ReferenceLayer], list[Run]]:
    """What the contract says of the matrices one after the other; also the runs behind it.

    Raises:
        DoesNotFit: a tile does not fit the machine.
    """
    runs: list[Run] = []
    dense_runs: list[Run] = []
    layouts: list[VectorLayout] = []
    for index, matrix in enumerate(matrices):
        inputs = activations.draw(matrix.shape[1], index)
        layout = decompose(matrix.keep) if matrix.vectors is None else matrix.vectors
        mode: Mode = "row" if layout.orientation == "horizontal" else "column"
        tiles = tiles_of(vectors_of(layout, matrix.shape), matrix.shape, mode, machine)
        layouts.append(layout)
        runs.append(Run(matrix.shape, inputs, tiles, passes_of(tiles, inputs, machine)))
        dense_runs.append(dense_run(matrix.shape, inputs, machine))
    times, loads = on_one_clock(runs, machine)
    dense_times, _ = on_one_clock(dense_runs, machine)

    layers: list[ReferenceLayer] = []
    for index, (matrix, layout, run, time, dense) in enumerate(
        zip(matrices, layouts, runs, times, dense_times, strict=True)
    ):
        rows, cols = matrix.shape
        tokens = activations.tokens
        executed = sum(one.count.executed * len(one.tokens) for one in run.passes)
        dram_bytes = sum(load.dram_bytes for load in time.loads)
        causes = cycles_by_cause(run.passes, time, machine)
        load_of_rows = issued_by_row(run.passes, machine)
        mean_load = sum(load_of_rows) / machine.array.pe_rows
        effectual = effectual_macs(matrix, activations.draw(cols, index))
        if activations.is_dense:
            effectual = matrix.nnz * tokens
        needed = effectual if machine.zero_skip.entries_per_cycle else matrix.nnz * tokens
        ideal_compute = ceil_div(needed, machine.macs)
        ideal_dram = ceil_div(dram_bytes, machine.dram.bytes_per_cycle)
        layers.append(
            ReferenceLayer(
                name=matrix.name,
                rows=rows,
                cols=cols,
                nnz=matrix.nnz,
                density=matrix.nnz / (rows * cols),
                tokens=tokens,
                orientation=layout.orientation,
                vectors=len(layout),
                mean_vector_length=matrix.nnz / len(layout) if len(layout) else None,
                # The one bit that says which orientation counts as index, as in MixedVectors.
                storage_bits={
                    "values": sum(tile.value_bits for tile in run.tiles),
                    "indices": sum(tile.index_bits + 1 for tile in run.tiles),
                    "pointers": sum(tile.header_bits - 1 for tile in run.tiles),
                    "padding": 0,
                },
                tiles=len(run.tiles),
                cycles=time.cycles,
                latency_s=time.cycles / machine.clock.clock_hz,
                ideal_cycles=max(ideal_compute, ideal_dram),
                ideal_compute_cycles=ideal_compute,
                ideal_dram_cycles=ideal_dram,
                dense_cycles=dense.cycles,
                speedup_vs_dense=dense.cycles / time.cycles,
                utilization=executed / (machine.macs * time.cycles),
                bound_by=max(causes, key=lambda cause: causes[cause]),
                macs_dense=rows * cols * tokens,
                macs_executed=executed,
                macs_skipped=sum(one.count.skipped * len(one.tokens) for one in run.passes),
                macs_padding=sum(one.count.padding * len(one.tokens) for one in run.passes),
                macs_effectual=effectual,
                dram_bytes=dram_bytes,
                cycles_by_cause=causes,
                units=units_of(run.passes, time, loads, machine),
                pe_load=load_of_rows,
                imbalance=max(load_of_rows) / mean_load if mean_load else None,
            )
        )
    return layers, runs
