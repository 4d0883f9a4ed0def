"""A matrix as it is stored: tiles, each with a stream for every slot (microarchitecture.md §3)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.mixed_vector.configuration import (
    MOST_DIFFERENCE_BITS,
    RECORD_BITS,
    Configuration,
    Slots,
)
from accel_sim.dataflows.mixed_vector.entries import (
    Entries,
    dealt,
    entry_bits,
    in_stream_order,
    in_stream_order_selecting,
)
from accel_sim.dataflows.mixed_vector.lines import Lines, field_of
from accel_sim.dataflows.mixed_vector.schedule import POLICIES
from sparse_formats.errors import InputError
from sparse_formats.masks.bit_words import set_bits
from sparse_formats.masks.vectors import Orientation
from sparse_formats.storage import Storage, bits_for

_DESCRIPTOR_BYTES = 16
_MOST_IN_RECORD = 2**16 - 1
_MIN_ALIGNED_WIDTH = 64


@dataclass(frozen=True, eq=False)
class TileStream:
    """What is stored of a tile, wherever it stands in the matrix.

    slot_bytes: int64 (slots,), of each sub-stream; head_bytes: descriptor and unit table;
    fullest_set: most units of a set; difference_bits: of a position less the one before it.
    """

    slots: Slots
    entries: Entries
    nnz: int
    slot_bytes: NDArray[np.int64]
    head_bytes: int
    fullest_set: int
    difference_bits: int
    word_bytes: int

    @property
    def record_words(self) -> int:
        """H: words of records in front of the sub-streams of a PE row."""
        return -(-RECORD_BITS * self.slots.groups // (8 * self.word_bytes))

    @cached_property
    def bytes(self) -> int:
        """What the DRAM moves."""
        records = RECORD_BITS // 8 * self.slots.count
        return self.head_bytes + records + int(self.slot_bytes.sum())

    @cached_property
    def most_entries(self) -> int:
        """Of a slot."""
        return int(np.diff(self.entries.first).max())

    @cached_property
    def entry_bits(self) -> int:
        return int(self.entries.bits.sum(dtype=np.int64))

    @cached_property
    def words(self) -> NDArray[np.int64]:
        """Words of each PE row, a slot in a column: int64 (P, groups), records apart."""
        return (-(-self.slot_bytes // self.word_bytes)).reshape(-1, self.slots.groups)

    @cached_property
    def words_read(self) -> int:
        """Words that all PE rows read in a pass."""
        return int(self.words.sum()) + len(self.words) * self.record_words

    @cached_property
    def room(self) -> int:
        """Bytes of the weight buffer: every PE row takes as many words as the fullest."""
        fullest = int(self.words.sum(axis=1).max()) + self.record_words
        return len(self.words) * self.word_bytes * fullest

    @cached_property
    def lines(self) -> NDArray[np.int64]:
        """Of the load up to each line (§6): bytes, most words of a PE row; int64 (2, lines)."""
        before = self.bytes - int(self.slot_bytes.sum())
        count = self.record_words + int(self.words.max())
        lines = np.empty((2, count), np.int64)
        lines[0, : self.record_words] = before
        lines[1, : self.record_words] = np.arange(1, self.record_words + 1)
        streams = lines[:, self.record_words :]
        _fill_lines(self.words, self.slot_bytes, self.word_bytes, streams)
        streams += [[before], [self.record_words]]
        return lines

    def storage(self, value_bits: int) -> Storage:
        values = self.nnz * value_bits
        return Storage(values, self.entry_bits - values, 8 * self.bytes - self.entry_bits)


@njit(cache=True, nogil=True)
def _fill_lines(words: Any, slot_bytes: Any, word_bytes: int, lines: Any) -> None:
    rows, groups = words.shape
    for i in range(lines.shape[1]):
        loaded = most = 0
        for r in range(rows):
            read = 0
            for j in range(groups):
                read += min(words[r, j], i + 1)
                loaded += min(slot_bytes[r * groups + j], (i + 1) * word_bytes)
            most = max(most, read)
        lines[0, i] = loaded
        lines[1, i] = most


class EncodedTile(NamedTuple):
    """A strip of outputs × a range of inputs; rows, cols: half-open ranges in the matrix."""

    strip: int
    rows: tuple[int, int]
    cols: tuple[int, int]
    stream: TileStream

    @property
    def size(self) -> tuple[int, int]:
        """How many rows and columns."""
        return self.rows[1] - self.rows[0], self.cols[1] - self.cols[0]


class Way(NamedTuple):
    """How a matrix is laid on the lanes, in the order in which ties go (§2, "Choice").

    select: among how many inputs each lane chooses; groups: that the lanes of a PE work as.
    """

    select: int
    groups: int
    mode: Orientation


class Layout(NamedTuple):
    """All that an encoding depends on beside the lines.

    tile_room: bytes that a tile may take; value_bits: of a weight; policy: how units go to sets.
    """

    slots: Slots
    tile_room: int
    value_bits: int
    policy: str
    word_bytes: int


def layout_of(machine: Configuration, groups: int, select: int = 1) -> Layout:
    """How the machine stores what its lanes read as `groups` groups.

    select: among how many inputs each lane chooses; 1 for dense lines.
    """
    return Layout(
        slots=machine.slots(groups, select),
        tile_room=machine.tile_room,
        value_bits=machine.value_bits,
        policy=machine.scheduler.policy,
        word_bytes=machine.decompressor.word_bytes,
    )


def encode(lines: Lines, layout: Layout, name: str = "matrix") -> list[EncodedTile]:
    """The tiles in execution order: strips, and within a strip input ranges.

    Raises:
        InputError: a strip of one input does not fit the weight buffer.
    """
    if 0 in lines.shape:
        return []
    width, room = lines.shape[1], layout.tile_room
    values = _values_up_to(lines, layout.slots)
    while True:
        while width > 1 and _fullest(values, width) * layout.value_bits > 8 * room:
            width = _next_width(width)
        tiles = _fitting_tiles(lines, layout, width)
        if isinstance(tiles, list):
            return tiles
        if width == 1:
            raise InputError(
                f"{name}: a tile of one input takes {tiles} bytes, more than the {room} bytes that "
                "a tile may take of the weight buffer; enlarge weight_buffer.bytes or lower "
                "array.accumulators_per_pe"
            )
        width = _next_width(width)


def _next_width(width: int) -> int:
    half = -(-width // 2)
    if half > _MIN_ALIGNED_WIDTH:
        half = -(-half // _MIN_ALIGNED_WIDTH) * _MIN_ALIGNED_WIDTH
    return half


def _strips(lines: Lines, slots: Slots) -> Iterator[tuple[int, int]]:
    rows, height = lines.shape[0], slots.strip_outputs(lines.mode)
    for first in range(0, rows, height):
        yield first, min(first + height, rows)


def _values_up_to(lines: Lines, slots: Slots) -> NDArray[np.int64]:
    """Values of each strip in the inputs before each one: int64 (strips, inputs + 1).

    They alone tell most widths to be too large, long before a tile is encoded.
    """
    strips = list(_strips(lines, slots))
    up_to = np.zeros((len(strips), lines.shape[1] + 1), np.int64)
    for counts, (row0, row1) in zip(up_to, strips, strict=True):
        if lines.is_dense:
            counts[1:] = row1 - row0
        elif lines.is_row_mode:
            _count_by_item(lines.kept, row0, row1, counts[1:])
        else:
            _count_by_line(lines.kept, row0, row1, counts[1:])
    return np.cumsum(up_to, axis=1)


@njit(cache=True, nogil=True)
def _count_by_item(kept: Any, line0: int, line1: int, counts: Any) -> None:
    for line in range(line0, line1):
        for w in range(kept.shape[1]):
            word = kept[line, w]
            for i in range(min(64, len(counts) - 64 * w)):
                counts[64 * w + i] += np.int64(word >> np.uint64(i) & np.uint64(1))


@njit(cache=True, nogil=True)
def _count_by_line(kept: Any, item0: int, item1: int, counts: Any) -> None:
    for line in range(len(kept)):
        for at in range(item0, item1, 64):
            counts[line] += set_bits(field_of(kept, line, at, min(64, item1 - at)))


def _fullest(values: NDArray[np.int64], width: int) -> int:
    """Most values in a tile of `width` inputs; `values` as `_values_up_to` counts them."""
    edges = [*range(0, values.shape[1] - 1, width), values.shape[1] - 1]
    return int(np.diff(values[:, edges], axis=1).max(initial=0))


def _fitting_tiles(lines: Lines, layout: Layout, width: int) -> list[EncodedTile] | int:
    """Tiles of `width` inputs, or the bytes of the first that does not fit."""
    tiles: list[EncodedTile] = []
    of_size: dict[tuple[int, int], TileStream] = {}
    cols = lines.shape[1]
    for strip, rows in enumerate(_strips(lines, layout.slots)):
        for col0 in range(0, cols, width):
            edges = rows, (col0, min(col0 + width, cols))
            size = rows[1] - rows[0], edges[1][1] - col0
            stream = of_size.get(size) if lines.are_tiles_alike else None
            if stream is None:
                stream = of_size[size] = _stream(lines, layout, *edges)
            if not _fits(stream, layout):
                return stream.room
            tiles.append(EncodedTile(strip, *edges, stream))
    return tiles


def _fits(stream: TileStream, layout: Layout) -> bool:
    recorded = max(stream.most_entries, stream.slot_bytes.max())
    return (
        stream.room <= layout.tile_room
        and recorded <= _MOST_IN_RECORD
        and stream.difference_bits <= MOST_DIFFERENCE_BITS
    )


def _stream(
    lines: Lines, layout: Layout, rows: tuple[int, int], cols: tuple[int, int]
) -> TileStream:
    slots = layout.slots
    lanes, width, height = slots.lanes, cols[1] - cols[0], rows[1] - rows[0]
    is_row_mode = lines.is_row_mode
    units = height if is_row_mode else -(-height // lanes)
    of_lines, of_items = (rows, cols) if is_row_mode else (cols, rows)
    kept = lines.kept
    if lines.is_dense:
        of_lines = (0, of_lines[1] - of_lines[0])
        kept = np.repeat(kept, of_lines[1], axis=0)
    edges = of_lines, of_items
    if slots.select > 1:
        in_order = in_stream_order_selecting(kept, edges, is_row_mode, lanes, slots.select)
    else:
        starts = kept if lines.starts is None else lines.starts
        whole = in_stream_order((kept, starts, lines.starts is None), edges, is_row_mode, lanes)
        in_order = *whole, np.zeros((0, len(whole[0])), np.uint64)
    loads = np.bincount(in_order[0], minlength=units)
    policy = POLICIES[layout.policy]
    set_of_unit = policy(loads, slots, slots.units_per_set(lines.mode))
    fullest_set = int(np.bincount(set_of_unit, minlength=1).max())
    first, unit, lo, hi, masks, weights, selects, most_difference, partial = dealt(
        in_order,
        set_of_unit,
        (slots.sets, slots.set_size, slots.groups),
        slots.position_inputs(lines.mode),
        width,
        lanes,
    )
    head_bytes, difference, index_bits, pattern = _DESCRIPTOR_BYTES, 0, 0, 0
    if not lines.is_dense:
        head_bytes += -(-units * bits_for(slots.sets) // 8)
        difference = bits_for(int(most_difference) + 1)
        index_bits = difference + bits_for(fullest_set)
        pattern = _shortest_pattern(len(unit), int(partial), lanes)
    item_bits = layout.value_bits + slots.select_bits
    bits, slot_bytes = entry_bits(first, weights, item_bits, index_bits, pattern, lanes)
    steps = (lanes, 1) if is_row_mode else (1, 0)
    return TileStream(
        slots=slots,
        entries=Entries(first, unit, lo, hi, masks, weights, bits, selects, *steps),
        nnz=int(weights.sum(dtype=np.int64)),
        slot_bytes=slot_bytes,
        head_bytes=head_bytes,
        fullest_set=fullest_set,
        difference_bits=difference,
        word_bytes=layout.word_bytes,
    )


def _shortest_pattern(entries: int, partial: int, lanes: int) -> int:
    """What says in the fewest bits which lanes of each entry have a weight (§3).

    partial: entries that are not full.
    """
    if not partial:
        return 0
    return 1 if entries * lanes <= entries + partial * lanes else 2


def balanced(stream: TileStream) -> TileStream:
    """The stream with each entry, in stream order, at the slot with the fewest before it."""
    entries = stream.entries
    # Of the entries of a (position, unit) whose lanes choose, a later one has no lane more, and
    # higher selects.
    lanes = ~entries.lanes if stream.slots.select > 1 else entries.lanes
    order = np.lexsort((*entries.selects, lanes, entries.unit, entries.lo))
    order = order[np.argsort(np.arange(len(order)) % stream.slots.count, kind="stable")]
    counts = np.full(stream.slots.count, len(order) // stream.slots.count, np.int64)
    counts[: len(order) % stream.slots.count] += 1
    first = np.concatenate([[0], np.cumsum(counts)])
    bits = entries.bits[order]
    return replace(
        stream,
        entries=replace(
            entries,
            first=first,
            unit=entries.unit[order],
            lo=entries.lo[order],
            hi=entries.hi[order],
            lanes=entries.lanes[order],
            weights=entries.weights[order],
            bits=bits,
            selects=entries.selects[:, order],
        ),
        slot_bytes=_slot_bytes(first, bits),
    )


def _slot_bytes(first: NDArray[np.int64], bits: NDArray[np.int32]) -> NDArray[np.int64]:
    up_to = np.concatenate([[0], np.cumsum(bits, dtype=np.int64)])
    return -(-(up_to[first[1:]] - up_to[first[:-1]]) // 8)
