"""A matrix as the machine stores and reads it: tiles of cut vectors, then streams of entries.

docs/microarchitecture.md §2 (words) and §3 (the stream).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from accel_sim.dataflows.mixed_vector.configuration import Configuration
from sparse_formats.errors import InputError
from sparse_formats.formats.mixed_vectors import distinct_lengths
from sparse_formats.masks.vectors import MENU, Orientation, VectorLayout
from sparse_formats.storage import bits_for

_MIN_ALIGNED_WIDTH = 64


@dataclass(frozen=True, eq=False)
class Stored:
    """One matrix as a machine may store it.

    layout: its vectors; shape: (rows, cols); is_dense: all true, values without any index.
    """

    layout: VectorLayout
    shape: tuple[int, int]
    is_dense: bool = False


@dataclass(frozen=True, eq=False)
class EncodedTile:
    """A strip of outputs × a range of inputs, with its vectors cut at the edges.

    rows, cols: half-open ranges in the matrix; lines, starts, ends: int32, one item a vector,
    in the matrix' coordinates; vector_bits: index and code of each vector; header_bits: read
    before the first entry; bits: everything (docs/microarchitecture.md §3).
    """

    strip: int
    rows: tuple[int, int]
    cols: tuple[int, int]
    lines: NDArray[np.int32]
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]
    nnz: int
    vector_bits: int
    header_bits: int
    bits: int

    @property
    def bytes(self) -> int:
        return -(-self.bits // 8)

    @property
    def size(self) -> tuple[int, int]:
        """How many rows and columns."""
        return self.rows[1] - self.rows[0], self.cols[1] - self.cols[0]


@dataclass(frozen=True, eq=False)
class Entries:
    """What a tile asks the PE rows to issue, in stream order.

    unit, lo, hi, bits: int32; lanes, starts: uint64 bit masks, bit i = lane i has a weight, the
    first of a piece; weights: int32, lanes in use. lo, hi: the inputs [lo, hi) of the matrix that
    must be in the window.
    """

    unit: NDArray[np.int32]
    lo: NDArray[np.int32]
    hi: NDArray[np.int32]
    lanes: NDArray[np.uint64]
    starts: NDArray[np.uint64]
    weights: NDArray[np.int32]
    bits: NDArray[np.int32]
    unit_count: int

    def __len__(self) -> int:
        return len(self.unit)


def dense(shape: tuple[int, int], orientation: Orientation) -> Stored:
    """The all-true matrix of `shape` in the given orientation: one vector a line, no index."""
    count, axis = shape if orientation == "horizontal" else shape[::-1]
    lines = np.arange(count, dtype=np.int32)
    layout = VectorLayout(
        orientation, lines, np.zeros(count, np.int32), np.full(count, axis, np.int32)
    )
    return Stored(layout, shape, is_dense=True)


def strip_outputs(machine: Configuration, orientation: Orientation) -> int:
    """Outputs whose accumulators the PE rows hold at once (docs/microarchitecture.md §2)."""
    words, lanes = machine.array.accumulators_per_pe, machine.array.lanes
    per_set = words if orientation == "horizontal" else words // lanes * lanes
    return machine.sets * per_set


def cut_into_tiles(
    stored: Stored, machine: Configuration, name: str = "matrix"
) -> list[EncodedTile]:
    """The tiles in execution order: strips, and within a strip input ranges.

    Raises:
        InputError: a strip of one input does not fit half the weight buffer.
    """
    room = machine.weight_buffer.bytes // 2
    width = stored.shape[1]
    values = _values_up_to(stored, machine)
    while True:
        while width > 1 and _fullest(values, width) * machine.value_bits > 8 * room:
            width = _next_width(width)
        tiles = _tiles_of_width(stored, machine, width)
        largest = max((tile.bytes for tile in tiles), default=0)
        if largest <= room:
            return tiles
        if width == 1:
            raise InputError(
                f"{name}: a tile of one input takes {largest} bytes, more than half the weight "
                f"buffer ({room} bytes); enlarge weight_buffer.bytes or lower "
                "array.accumulators_per_pe"
            )
        width = _next_width(width)


def _next_width(width: int) -> int:
    half = -(-width // 2)
    if half > _MIN_ALIGNED_WIDTH:
        half = -(-half // _MIN_ALIGNED_WIDTH) * _MIN_ALIGNED_WIDTH
    # Rounding up must not stand still just above the smallest aligned width.
    return half if half < width else _MIN_ALIGNED_WIDTH


def _fullest(values: NDArray[np.int64], width: int) -> int:
    """Most values in a tile of `width` inputs; `values` as `_values_up_to` counts them."""
    edges = [*range(0, values.shape[1] - 1, width), values.shape[1] - 1]
    return int(np.diff(values[:, edges], axis=1).max(initial=0))


def _values_up_to(stored: Stored, machine: Configuration) -> NDArray[np.int64]:
    """Values of each strip in the inputs before each one: int64 (strips, inputs + 1).

    They alone tell most widths to be too large, long before a tile is cut.
    """
    layout, (rows, cols) = stored.layout, stored.shape
    is_row_mode = layout.orientation == "horizontal"
    height = max(min(strip_outputs(machine, layout.orientation), rows), 1)
    steps = np.zeros((-(-rows // height), cols + 1), np.int64)
    ends = layout.starts + layout.covered(cols if is_row_mode else rows)
    if is_row_mode:
        _count_row_vectors(layout.lines, layout.starts, ends, height, steps)
        steps = np.cumsum(steps, axis=1)
    else:
        _count_column_vectors(layout.lines, layout.starts, ends, height, steps)
    up_to = np.zeros_like(steps)
    np.cumsum(steps[:, :-1], axis=1, out=up_to[:, 1:])
    return up_to


@njit(cache=True, nogil=True)
def _count_row_vectors(lines: Any, starts: Any, ends: Any, height: int, steps: Any) -> None:
    """Steps of the count of values per input: up where a vector starts, down behind its end."""
    for v in range(len(lines)):
        steps[lines[v] // height, starts[v]] += 1
        steps[lines[v] // height, ends[v]] -= 1


@njit(cache=True, nogil=True)
def _count_column_vectors(lines: Any, starts: Any, ends: Any, height: int, counts: Any) -> None:
    """Values per strip and input."""
    for v in range(len(lines)):
        a = starts[v]
        while a < ends[v]:
            strip = a // height
            edge = min(ends[v], (strip + 1) * height)
            counts[strip, lines[v]] += edge - a
            a = edge


def _tiles_of_width(stored: Stored, machine: Configuration, width: int) -> list[EncodedTile]:
    layout, (rows, cols) = stored.layout, stored.shape
    is_row_mode = layout.orientation == "horizontal"
    height = min(strip_outputs(machine, layout.orientation), rows)
    if not rows or not cols:
        return []
    strips, ranges = -(-rows // height), -(-cols // width)
    axis = cols if is_row_mode else rows
    # A vector of a dense stream is just clipped: it has no length code to keep true.
    menu = np.array([] if stored.is_dense else _longest_first(layout), np.int32)
    line_width, axis_width = (height, width) if is_row_mode else (width, height)
    line_tiles, axis_tiles = (strips, ranges) if is_row_mode else (ranges, strips)
    ends = layout.starts + layout.covered(axis)
    grid = (line_width, axis_width, axis_tiles)
    vectors = (layout.lines, layout.starts, ends, layout.lengths)
    first = np.zeros(line_tiles * axis_tiles + 1, np.int64)
    nothing = np.empty((4, 0), np.int32)
    _cut(*vectors, menu, *grid, first[1:], nothing, False)
    first = np.cumsum(first)
    cut = np.empty((4, int(first[-1])), np.int32)
    _cut(*vectors, menu, *grid, first[:-1].copy(), cut, True)

    tiles = []
    for strip in range(strips):
        for part in range(ranges):
            index = strip * axis_tiles + part if is_row_mode else part * axis_tiles + strip
            mine = cut[:, first[index] : first[index + 1]]
            edges = (
                (strip * height, min((strip + 1) * height, rows)),
                (part * width, min((part + 1) * width, cols)),
            )
            tiles.append(_tile(strip, *edges, mine, stored, machine.value_bits))
    return tiles


def _longest_first(layout: VectorLayout) -> list[int]:
    """What a cut vector may become: the layout's lengths and all of the menu that nest with them.

    Were there one that does not, a start need not be a multiple of the shortest length.
    """
    present = distinct_lengths(layout.lengths)
    nesting = [n for n in MENU if all(n % m == 0 or m % n == 0 for m in present)]
    return sorted({*nesting, *present}, reverse=True)


def _tile(
    strip: int,
    rows: tuple[int, int],
    cols: tuple[int, int],
    cut: NDArray[np.int32],
    stored: Stored,
    value_bits: int,
) -> EncodedTile:
    lines, starts, ends, lengths = cut
    is_row_mode = stored.layout.orientation == "horizontal"
    (line0, line1), (axis0, axis1) = (rows, cols) if is_row_mode else (cols, rows)
    count, nnz = len(lines), int(np.sum(ends - starts, dtype=np.int64))
    vector_bits = header_bits = 0
    if not stored.is_dense:
        present = distinct_lengths(lengths)
        if count:
            slots = -(-(axis1 - axis0) // present[0])
            vector_bits = bits_for(slots) + bits_for(len(present))
        header_bits = (line1 - line0 + 1) * bits_for(count + 1) + 1
    bits = nnz * value_bits + count * vector_bits + header_bits
    return EncodedTile(strip, rows, cols, lines, starts, ends, nnz, vector_bits, header_bits, bits)


def entries_of(tile: EncodedTile, orientation: Orientation, machine: Configuration) -> Entries:
    """The tile's entries in stream order (docs/microarchitecture.md §2, §3)."""
    lanes, (row0, row1), (col0, col1) = machine.array.lanes, tile.rows, tile.cols
    is_row_mode = orientation == "horizontal"
    if is_row_mode:
        unit_count, positions, line0, axis0 = row1 - row0, -(-(col1 - col0) // lanes), row0, col0
    else:
        unit_count, positions, line0, axis0 = -(-(row1 - row0) // lanes), col1 - col0, col0, row0
    keys, masks, bits = _pieces(
        tile.lines - np.int32(line0),
        tile.starts - np.int32(axis0),
        tile.ends - np.int32(axis0),
        is_row_mode,
        lanes,
        positions,
        unit_count,
        machine.value_bits,
        tile.vector_bits,
    )
    starts = masks & -masks
    if machine.array.packing:
        keys, masks, starts, bits = _packed(keys, masks, starts, bits)
    position = (keys // unit_count).astype(np.int32)
    if is_row_mode:
        lo = np.int32(col0) + position * np.int32(lanes)
        hi = np.minimum(lo + np.int32(lanes), np.int32(col1))
    else:
        lo = np.int32(col0) + position
        hi = lo + np.int32(1)
    unit = (keys % unit_count).astype(np.int32)
    weights = np.bitwise_count(masks).astype(np.int32)
    return Entries(unit, lo, hi, masks, starts, weights, bits, unit_count)


@njit(cache=True, nogil=True)
def _cut(
    lines: Any,
    starts: Any,
    ends: Any,
    lengths: Any,
    menu: Any,
    line_width: int,
    axis_width: int,
    axis_tiles: int,
    slot: Any,
    out: Any,
    is_writing: bool,
) -> None:
    """Cut the vectors that cross a tile's edge, or are not aligned to their tile.

    Not writing: slot[t] counts the vectors of tile t. Writing: slot[t] is the next free column
    of `out` (line, start, end, length) for tile t.
    """
    for v in range(len(lines)):
        line_tile = lines[v] // line_width
        a = starts[v]
        while a < ends[v]:
            axis_tile = a // axis_width
            edge = min(ends[v], (axis_tile + 1) * axis_width)
            tile = line_tile * axis_tiles + axis_tile
            base = axis_tile * axis_width
            is_whole = a == starts[v] and edge == ends[v] and (a - base) % lengths[v] == 0
            while a < edge:
                length = lengths[v] if is_whole else edge - a
                end = edge
                if not is_whole:
                    for candidate in menu:
                        if (a - base) % candidate == 0 and a + candidate <= edge:
                            length = candidate
                            end = a + candidate
                            break
                if is_writing:
                    out[0, slot[tile]] = lines[v]
                    out[1, slot[tile]] = a
                    out[2, slot[tile]] = end
                    out[3, slot[tile]] = length
                slot[tile] += 1
                a = end


@njit(cache=True, nogil=True)
def _pieces(
    lines: Any,
    starts: Any,
    ends: Any,
    is_row_mode: bool,
    lanes: int,
    positions: int,
    units: int,
    value_bits: int,
    vector_bits: int,
) -> tuple[Any, Any, Any]:
    """Pieces sorted by (position, unit, start): key = position·units + unit, lane mask, bits.

    A stable counting sort: vectors come sorted by (line, start), so pieces of one key do too.
    Bits: of its values, and of the indices that the decoder reads on the way to its end: that of a
    line's next vector as soon as the one before is through, that of its first when it comes by.
    """
    first = np.zeros(positions * units + 1, np.int64)
    for v in range(len(lines)):
        for slot in range(starts[v] // lanes, (ends[v] - 1) // lanes + 1):
            key = slot * units + lines[v] if is_row_mode else lines[v] * units + slot
            first[key + 1] += 1
    for k in range(positions * units):
        first[k + 1] += first[k]
    count, begins = first[positions * units], first.copy()
    keys = np.empty(count, np.int64)
    masks = np.empty(count, np.uint64)
    bits = np.zeros(count, np.int32)
    for v in range(len(lines)):
        if v == 0 or lines[v] != lines[v - 1]:
            bits[begins[lines[v] if is_row_mode else lines[v] * units]] += vector_bits
    for v in range(len(lines)):
        last_slot = (ends[v] - 1) // lanes
        has_next = v + 1 < len(lines) and lines[v + 1] == lines[v]
        for slot in range(starts[v] // lanes, last_slot + 1):
            key = slot * units + lines[v] if is_row_mode else lines[v] * units + slot
            lane0 = max(starts[v] - slot * lanes, 0)
            lane1 = min(ends[v] - slot * lanes, lanes)
            at = first[key]
            first[key] += 1
            mask = np.uint64(0)
            for lane in range(lane0, lane1):
                mask |= np.uint64(1) << np.uint64(lane)
            keys[at] = key
            masks[at] = mask
            bits[at] += (lane1 - lane0) * value_bits
            if slot == last_slot and has_next:
                bits[at] += vector_bits
    return keys, masks, bits


@njit(cache=True, nogil=True)
def _packed(keys: Any, masks: Any, starts: Any, bits: Any) -> tuple[Any, Any, Any, Any]:
    """Merge neighbours with the same key into one entry."""
    count = 0
    for i in range(len(keys)):
        if i == 0 or keys[i] != keys[i - 1]:
            count += 1
    out_keys = np.empty(count, np.int64)
    out_masks = np.empty(count, np.uint64)
    out_starts = np.empty(count, np.uint64)
    out_bits = np.empty(count, np.int32)
    at = -1
    for i in range(len(keys)):
        if i == 0 or keys[i] != keys[i - 1]:
            at += 1
            out_keys[at] = keys[i]
            out_masks[at] = masks[i]
            out_starts[at] = starts[i]
            out_bits[at] = bits[i]
        else:
            out_masks[at] |= masks[i]
            out_starts[at] |= starts[i]
            out_bits[at] += bits[i]
    return out_keys, out_masks, out_starts, out_bits
