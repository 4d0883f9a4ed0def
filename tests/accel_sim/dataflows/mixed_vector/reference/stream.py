"""§2, §3: vectors, tiles and the entries they are stored as."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from accel_sim.dataflows.mixed_vector.dataflow import MixedVector
from sparse_formats.masks.vectors import VectorLayout

Mode = Literal["row", "column"]
MENU = (1, 4, 8, 16, 32, 64)
OPERAND_BITS = {"fp16": 16, "int8": 8, "int16": 16}


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


def parts_of(length: int, width: int) -> list[range]:
    """0 … length − 1 in consecutive ranges of `width`, the last may be shorter."""
    return [range(at, min(at + width, length)) for at in range(0, length, width)]


def set_count(machine: MixedVector) -> int:
    """Sets of PE rows that share units; every row its own unless the policy shares."""
    is_shared = machine.scheduler.policy in ("set_associative", "online")
    return machine.scheduler.sets if is_shared else machine.array.pe_rows


def units_per_set(machine: MixedVector, mode: Mode) -> int:
    """Units whose accumulators fit a PE."""
    words, lanes = machine.array.accumulators_per_pe, machine.array.lanes
    return words if mode == "row" else words // lanes


# --- vectors --------------------------------------------------------------------------------------


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
    triples = zip(
        layout.lines.tolist(), layout.starts.tolist(), layout.lengths.tolist(), strict=True
    )
    return [Vector(line, start, min(start + n, axis), n) for line, start, n in triples]


def cut(vector: Vector, inside: range, lengths: Iterable[int]) -> list[Vector]:
    """A vector as a tile of that range stores it: as it is, or anew. Starts count from the tile."""
    first = inside.start
    is_whole = first <= vector.start and vector.end <= inside.stop
    if is_whole and (vector.start - first) % vector.length == 0:
        return [vector]
    at, stop = max(vector.start, first), min(vector.end, inside.stop)
    parts: list[Vector] = []
    while at < stop:
        length = max(n for n in lengths if (at - first) % n == 0 and at + n <= stop)
        parts.append(Vector(vector.line, at, at + length, length))
        at += length
    return parts


# --- tiles and entries ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Piece:
    """The part of one vector in one (position, unit): [start, end) along the vector's line."""

    position: int
    unit: int
    start: int
    end: int


@dataclass(frozen=True)
class Entry:
    """What a PE row issues in one cycle: weights of `outputs` × `inputs`, one of them single."""

    position: int
    unit: int
    lo: int
    hi: int
    bits: int
    outputs: Sequence[int]
    pieces: Sequence[Sequence[int]]
    """The inputs of each piece; in column mode all pieces have the one."""

    @property
    def inputs(self) -> list[int]:
        return [col for piece in self.pieces for col in piece]

    def multiplied(self, not_zero: Sequence[bool]) -> int:
        """Weights of the pieces that are live for a token with these inputs; 0: it is dead."""
        live = sum(len(piece) for piece in self.pieces if any(not_zero[col] for col in piece))
        return len(self.outputs) * live

    @property
    def weights(self) -> int:
        return len(self.outputs) * sum(len(piece) for piece in self.pieces)


@dataclass(frozen=True, eq=False)
class Tile:
    """A strip × a range of inputs, as it is stored; compared by identity.

    vectors: cut to the tile; None in the dense stream, which has values only.
    """

    mode: Mode
    strip: range
    inputs: range
    lanes: int
    is_packed: bool
    operand_bits: int
    vectors: Sequence[Vector] | None

    @property
    def lines(self) -> range:
        return self.strip if self.mode == "row" else self.inputs

    @property
    def axis(self) -> range:
        """The tile's range along its lines."""
        return self.inputs if self.mode == "row" else self.strip

    @property
    def units(self) -> int:
        return len(self.strip) if self.mode == "row" else ceil_div(len(self.strip), self.lanes)

    # --- what it takes in bits ---

    @cached_property
    def vector_bits(self) -> int:
        """i + k: index and code of one vector."""
        if not self.vectors:
            return 0
        present = {vector.length for vector in self.vectors}
        return ceil_log2(ceil_div(len(self.axis), min(present))) + ceil_log2(len(present))

    @cached_property
    def header_bits(self) -> int:
        if self.vectors is None:
            return 0
        return (len(self.lines) + 1) * ceil_log2(len(self.vectors) + 1) + 1

    @property
    def index_bits(self) -> int:
        return len(self.vectors or ()) * self.vector_bits

    @cached_property
    def value_bits(self) -> int:
        if self.vectors is None:
            return len(self.strip) * len(self.inputs) * self.operand_bits
        return sum(vector.end - vector.start for vector in self.vectors) * self.operand_bits

    @property
    def bits(self) -> int:
        return self.value_bits + self.index_bits + self.header_bits

    @property
    def bytes(self) -> int:
        return ceil_div(self.bits, 8)

    # --- what it says ---

    def needs(self, position: int) -> range:
        """The inputs [lo, hi) of a position."""
        if self.mode == "column":
            lo = self.inputs.start + position
            return range(lo, lo + 1)
        lo = self.inputs.start + position * self.lanes
        return range(lo, min(lo + self.lanes, self.inputs.stop))

    def pieces(self, vector: Vector) -> Iterator[Piece]:
        """A vector's pieces: the axis is cut every G entries from the tile's first."""
        line = vector.line - self.lines.start
        at = vector.start
        while at < vector.end:
            slot = (at - self.axis.start) // self.lanes
            end = min(vector.end, self.axis.start + (slot + 1) * self.lanes)
            where = (slot, line) if self.mode == "row" else (line, slot)
            yield Piece(*where, at, end)
            at = end

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """In stream order: by (position, unit), without packing also by start."""
        if self.vectors is None:
            return tuple(self._dense_entries())
        gathered: dict[tuple[int, ...], list[Piece]] = {}
        ends: list[tuple[int, ...]] = []  # Where each vector's last piece goes.
        for vector in self.vectors:
            pieces = list(self.pieces(vector))
            for piece in pieces:
                gathered.setdefault(self._place(piece), []).append(piece)
            ends.append(self._place(pieces[-1]))
        order = sorted(gathered)
        # A line's first index and code are read where its first (position, unit) is passed, any
        # other right behind the last weight of the vector before it.
        read_in: Counter[tuple[int, ...]] = Counter()
        for number, vector in enumerate(self.vectors):
            if number and self.vectors[number - 1].line == vector.line:
                read_in[ends[number - 1]] += 1
            else:
                line = vector.line - self.lines.start
                slot = (0, line) if self.mode == "row" else (line, 0)
                read_in[order[bisect_left(order, slot)]] += 1
        return tuple(self._entry(gathered[key], read_in[key]) for key in order)

    def _place(self, piece: Piece) -> tuple[int, ...]:
        """Of a piece's entry in the stream."""
        where = (piece.position, piece.unit)
        return where if self.is_packed else (*where, piece.start)

    def _entry(self, pieces: Sequence[Piece], indices: int) -> Entry:
        position, unit = pieces[0].position, pieces[0].unit
        need = self.needs(position)
        along = [range(piece.start, piece.end) for piece in pieces]
        bits = sum(len(some) for some in along) * self.operand_bits + indices * self.vector_bits
        if self.mode == "row":
            outputs: Sequence[int] = [self.strip.start + unit]
            return Entry(position, unit, need.start, need.stop, bits, outputs, along)
        outputs = [out for some in along for out in some]
        return Entry(position, unit, need.start, need.stop, bits, outputs, [need])

    def _dense_entries(self) -> Iterator[Entry]:
        width = self.lanes if self.mode == "row" else 1
        height = 1 if self.mode == "row" else self.lanes
        for position in range(ceil_div(len(self.inputs), width)):
            need = self.needs(position)
            for unit in range(self.units):
                first = self.strip.start + unit * height
                outputs = range(first, min(first + height, self.strip.stop))
                bits = len(outputs) * len(need) * self.operand_bits
                yield Entry(position, unit, need.start, need.stop, bits, outputs, [need])


def tiles_of(
    vectors: Sequence[Vector] | None, shape: tuple[int, int], mode: Mode, machine: MixedVector
) -> list[Tile]:
    """The matrix in tiles, in execution order; `vectors` None is the dense stream.

    Raises:
        DoesNotFit: a tile of one input is larger than half the weight buffer.
    """
    array = machine.array
    rows, cols = shape
    unit_outputs = 1 if mode == "row" else array.lanes
    strips = parts_of(rows, units_per_set(machine, mode) * set_count(machine) * unit_outputs)
    own = {vector.length for vector in vectors or ()}
    on_offer = own | {n for n in MENU if all(n % m == 0 or m % n == 0 for m in own)}

    def tile(strip: range, inputs: range) -> Tile:
        lines, axis = (strip, inputs) if mode == "row" else (inputs, strip)
        inside = None if vectors is None else [
            part
            for vector in vectors
            if vector.line in lines and vector.start < axis.stop and vector.end > axis.start
            for part in cut(vector, axis, on_offer)
        ]  # fmt: skip
        operand_bits = OPERAND_BITS[array.datatype]
        return Tile(mode, strip, inputs, array.lanes, array.packing, operand_bits, inside)

    width = cols
    while True:
        tiles: list[Tile] = []
        for strip, inputs in (
            (strip, inputs) for strip in strips for inputs in parts_of(cols, width)
        ):
            tiles.append(tile(strip, inputs))
            if 2 * tiles[-1].bytes > machine.weight_buffer.bytes:
                break
        else:
            return tiles
        if width == 1:
            raise DoesNotFit
        width = ceil_div(width, 2)
        if width > 64:
            width = ceil_div(width, 64) * 64
