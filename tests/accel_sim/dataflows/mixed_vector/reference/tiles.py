"""§2, §3: choices, vectors, entries and tiles."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparse_formats.masks.vectors import VectorLayout
from tests.accel_sim.dataflows.mixed_vector.reference.machine import Machine, ceil_div, ceil_log2
from tests.accel_sim.dataflows.mixed_vector.reference.schedule import Plan, plan

Mode = Literal["row", "column"]
MENU = (64, 32, 16, 8, 4, 1)
DESCRIPTOR_BYTES = 16
RECORD_BITS = 32


class DoesNotFit(Exception):
    """A tile is too large for the machine even at width 1."""


def parts_of(length: int, width: int) -> list[range]:
    """0 … length − 1 in consecutive ranges of `width`, the last may be shorter."""
    return [range(at, min(at + width, length)) for at in range(0, length, width)]


@dataclass(frozen=True)
class Choice:
    """Mode, lane groups and select width of a matrix."""

    mode: Mode
    n: int
    s: int = 1

    def lanes(self, machine: Machine) -> int:
        """g: the lanes of a group."""
        return machine.array.lanes // self.n

    @property
    def select_bits(self) -> int:
        """Of a weight."""
        return ceil_log2(self.s)

    def position_inputs(self, machine: Machine) -> int:
        """Consecutive inputs of a position."""
        return self.s * (self.lanes(machine) if self.mode == "row" else 1)

    def slots(self, machine: Machine) -> int:
        return machine.array.pe_rows * self.n

    def sets(self, machine: Machine) -> list[list[int]]:
        """The slots of each set."""
        if machine.scheduler.policy != "set_associative":
            return [[slot] for slot in range(self.slots(machine))]
        size = machine.array.pe_rows // machine.scheduler.sets
        return [
            [row * self.n + j for row in range(i * size, (i + 1) * size)]
            for i in range(machine.scheduler.sets)
            for j in range(self.n)
        ]

    def units_per_set(self, machine: Machine) -> int:
        words = machine.array.accumulators_per_pe
        return words // self.n if self.mode == "row" else words // machine.array.lanes

    def unit_outputs(self, machine: Machine) -> int:
        return 1 if self.mode == "row" else self.lanes(machine)

    def strip_outputs(self, machine: Machine) -> int:
        units = self.units_per_set(machine) * len(self.sets(machine))
        return units * self.unit_outputs(machine)


# --- vectors --------------------------------------------------------------------------------------


def vectors_of(
    keep: NDArray[np.bool_], layout: VectorLayout | None, mode: Mode
) -> list[tuple[int, int, int]]:
    """(line, start, end) of the vectors along the lanes, in ascending order."""
    orientation = "horizontal" if mode == "row" else "vertical"
    lines: list[list[bool]] = (keep if mode == "row" else keep.T).tolist()
    axis = keep.shape[1] if mode == "row" else keep.shape[0]
    if layout is not None and layout.orientation == orientation:
        triples = zip(layout.lines, layout.starts, layout.lengths, strict=True)
        return [(int(i), int(at), min(int(at + n), axis)) for i, at, n in triples]
    found: list[tuple[int, int, int]] = []
    for number, line in enumerate(lines):
        at = 0
        while at < axis:
            end = at + 1
            if line[at]:
                # What would run over the end counts as kept where its part on the line is.
                length = next(n for n in MENU if at % n == 0 and all(line[at : at + n]))
                end = min(at + length, axis)
                found.append((number, at, end))
            at = end
    return found


# --- entries --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """What a slot issues in one cycle: weights of one (position, unit), at most one a lane.

    lo, hi: the inputs that it needs. lanes: ascending, one a weight; selects and cells, which are
    (output, input), are theirs.
    """

    position: int
    unit: int
    lo: int
    hi: int
    lanes: Sequence[int]
    selects: Sequence[int]
    cells: Sequence[tuple[int, int]]

    @property
    def weights(self) -> int:
        return len(self.lanes)

    def multiplied(self, not_zero: Sequence[bool]) -> int:
        """Weights that are live for a token with these inputs; 0: the entry is dead."""
        return sum(not_zero[col] for _, col in self.cells)


@dataclass(frozen=True)
class Fields:
    """The fields of the entries of a tile: `d` and `t` bits, and which of the patterns."""

    d: int
    t: int
    pattern: int


@dataclass(frozen=True, eq=False)
class Tile:
    """A strip × a range of inputs, scheduled; compared by identity.

    entries: in stream order. is_dense: of the dense stream, whose entries are values only.
    """

    choice: Choice
    strip: range
    inputs: range
    entries: Sequence[Entry]
    is_dense: bool
    machine: Machine

    @property
    def lanes(self) -> int:
        return self.choice.lanes(self.machine)

    @property
    def units(self) -> int:
        return ceil_div(len(self.strip), self.choice.unit_outputs(self.machine))

    @cached_property
    def plan(self) -> Plan:
        """Where units and entries go (§4)."""
        return plan(
            [entry.unit for entry in self.entries],
            self.units,
            self.choice.sets(self.machine),
            self.choice.units_per_set(self.machine),
            self.machine.scheduler.policy,
        )

    @cached_property
    def entries_of_slot(self) -> list[list[int]]:
        """Numbers of the entries of each slot, in stream order."""
        found: list[list[int]] = [[] for _ in range(self.choice.slots(self.machine))]
        for number, slot in enumerate(self.plan.slot_of_entry):
            found[slot].append(number)
        return found

    # --- the fields of an entry ---

    @cached_property
    def differences(self) -> list[int]:
        """Of each entry: its position less that of its slot's entry before it."""
        found = [0] * len(self.entries)
        for numbers in self.entries_of_slot:
            before = 0
            for number in numbers:
                found[number] = self.entries[number].position - before
                before = self.entries[number].position
        return found

    @cached_property
    def fields(self) -> Fields:
        d = max((difference.bit_length() for difference in self.differences), default=0)
        t = ceil_log2(self.plan.most_units)
        patterns = (0, 1, 2) if all(e.weights == self.lanes for e in self.entries) else (1, 2)
        sizes = [
            (sum(self.pattern_bits(entry, pattern) for entry in self.entries), pattern)
            for pattern in patterns
        ]
        return Fields(d, t, min(sizes)[1])

    def pattern_bits(self, entry: Entry, pattern: int) -> int:
        """Flag and bitmap of an entry."""
        is_full = entry.weights == self.lanes
        return {0: 0, 1: self.lanes, 2: 1 if is_full else 1 + self.lanes}[pattern]

    @cached_property
    def entry_bits(self) -> list[int]:
        """Of each entry."""
        v = self.machine.value_bits
        if self.is_dense:
            return [v * entry.weights for entry in self.entries]
        f, item = self.fields, self.choice.select_bits + v
        return [
            f.d + f.t + self.pattern_bits(entry, f.pattern) + item * entry.weights
            for entry in self.entries
        ]

    # --- bytes and words ---

    @cached_property
    def table_bytes(self) -> int:
        sets = len(self.choice.sets(self.machine))
        return 0 if self.is_dense else ceil_div(self.units * ceil_log2(sets), 8)

    @property
    def record_bytes(self) -> int:
        return RECORD_BITS // 8 * self.choice.slots(self.machine)

    @property
    def header_words(self) -> int:
        """H: words of records of a PE row."""
        return ceil_div(RECORD_BITS * self.choice.n, self.machine.word_bits)

    @cached_property
    def stream_bytes(self) -> list[int]:
        """Of each slot's sub-stream."""
        return [
            ceil_div(sum(self.entry_bits[number] for number in numbers), 8)
            for numbers in self.entries_of_slot
        ]

    @property
    def stream_words(self) -> list[int]:
        return [ceil_div(size, self.machine.decompressor.word_bytes) for size in self.stream_bytes]

    @cached_property
    def bytes(self) -> int:
        tables = DESCRIPTOR_BYTES + self.table_bytes + self.record_bytes
        return tables + sum(self.stream_bytes)

    @cached_property
    def row_words(self) -> list[int]:
        """Words that each PE row reads in a pass."""
        n = self.choice.n
        return [
            self.header_words + sum(self.stream_words[row * n : (row + 1) * n])
            for row in range(self.machine.array.pe_rows)
        ]

    @cached_property
    def room(self) -> int:
        word = self.machine.decompressor.word_bytes
        return self.machine.array.pe_rows * word * max(self.row_words)

    @property
    def fits(self) -> bool:
        buffer = self.machine.weight_buffer.bytes
        is_small = self.room <= (buffer if self.machine.dram.resident else buffer // 4)
        fullest = max(max(map(len, self.entries_of_slot)), max(self.stream_bytes))
        return is_small and fullest <= 65535 and (self.is_dense or self.fields.d <= 20)

    def bytes_up_to_line(self, line: int) -> int:
        """Bytes of the tile that stand before the end of a line (§6)."""
        word = self.machine.decompressor.word_bytes
        words = max(0, line - self.header_words + 1)
        tables = DESCRIPTOR_BYTES + self.table_bytes + self.record_bytes
        return tables + sum(min(size, words * word) for size in self.stream_bytes)

    def words_up_to_line(self, line: int) -> int:
        """The most words that a PE row has up to the end of a line (§6)."""
        header = min(line + 1, self.header_words)
        of_slot = max(0, line - self.header_words + 1)
        n, words = self.choice.n, self.stream_words
        return header + max(
            sum(min(size, of_slot) for size in words[row * n : (row + 1) * n])
            for row in range(self.machine.array.pe_rows)
        )

    @property
    def lines(self) -> int:
        return self.header_words + max(self.stream_words)


# --- the matrix in tiles --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Matrix:
    """Kept weights as the tiles of one mode see them.

    owner: of each kept weight without packing, where its vector starts; None where an entry is all
    of its (position, unit).
    """

    keep: Sequence[Sequence[bool]]
    owner: Sequence[Sequence[int]] | None
    is_dense: bool

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.keep), len(self.keep[0])

    @classmethod
    def pruned(
        cls, keep: NDArray[np.bool_], layout: VectorLayout | None, mode: Mode, machine: Machine
    ) -> "Matrix":
        if machine.array.packing:
            return cls(keep.tolist(), None, False)
        owner = np.full(keep.shape, -1)
        for line, start, end in vectors_of(keep, layout, mode):
            if mode == "row":
                owner[line, start:end] = start
            else:
                owner[start:end, line] = start
        return cls(keep.tolist(), owner.tolist(), False)

    @classmethod
    def dense(cls, shape: tuple[int, int]) -> "Matrix":
        return cls(np.ones(shape, np.bool_).tolist(), None, True)


def entries_of(
    matrix: Matrix, strip: range, inputs: range, choice: Choice, machine: Machine
) -> list[Entry]:
    """The entries of a tile in stream order: by (position, unit, start of the piece, j)."""
    g, width = choice.lanes(machine), choice.position_inputs(machine)
    # Of each piece: the weights of each lane, in ascending order of their inputs.
    gathered: dict[tuple[int, int, int], dict[int, list[tuple[int, int]]]] = {}
    for out in strip:
        kept = matrix.keep[out]
        for col in inputs:
            if not kept[col]:
                continue
            y, x = out - strip.start, col - inputs.start
            unit, lane = (y, x % g) if choice.mode == "row" else divmod(y, g)
            start = matrix.owner[out][col] if matrix.owner else 0
            piece = gathered.setdefault((x // width, unit, start), {})
            piece.setdefault(lane, []).append((out, col))
    found: list[Entry] = []
    for (position, unit, _), piece in sorted(gathered.items()):
        lo = inputs.start + position * width
        hi = min(lo + width, inputs.stop)
        for j in range(max(map(len, piece.values()))):
            lanes = sorted(lane for lane, weights in piece.items() if len(weights) > j)
            cells = [piece[lane][j] for lane in lanes]
            step = g if choice.mode == "row" else 1
            selects = [(col - lo) // step for _, col in cells]
            found.append(Entry(position, unit, lo, hi, lanes, selects, cells))
    return found


def next_width(width: int) -> int:
    """The width that is tried where this one does not fit."""
    half = ceil_div(width, 2)
    return half if half <= 64 else 64 * ceil_div(half, 64)


def tiles_of(matrix: Matrix, choice: Choice, machine: Machine) -> list[Tile]:
    """The matrix in tiles, in execution order.

    Raises:
        DoesNotFit: a tile of one input does not fit.
    """
    rows, cols = matrix.shape
    strips = parts_of(rows, choice.strip_outputs(machine))
    width = cols
    while True:
        tiles: list[Tile] = []
        for strip in strips:
            for inputs in parts_of(cols, width):
                entries = entries_of(matrix, strip, inputs, choice, machine)
                tiles.append(Tile(choice, strip, inputs, entries, matrix.is_dense, machine))
                if not tiles[-1].fits:
                    break
            if not tiles[-1].fits:
                break
        else:
            return tiles
        if width == 1:
            raise DoesNotFit
        width = next_width(width)


def storage_bits(tiles: Sequence[Tile]) -> dict[str, Any]:
    """Bits of values, of other fields of entries, and of all else."""
    v = tiles[0].machine.value_bits
    values = sum(v * entry.weights for tile in tiles for entry in tile.entries)
    entries = sum(sum(tile.entry_bits) for tile in tiles)
    every = sum(8 * tile.bytes for tile in tiles)
    return {
        "values": values,
        "indices": entries - values,
        "pointers": every - entries,
        "padding": 0,
    }
