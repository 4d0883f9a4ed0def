"""A layer as the bytes and tables that the host gives the machine, from docs/microarchitecture.md.

§2 to §4 (tiles, entries, sub-streams, schedules) and what §6 lets the host compute: bytes, rates
and lead of each load. It shares no code with `accel_sim`.
"""

from collections import Counter
from dataclasses import dataclass, field
from math import ceil

import numpy as np
from numpy.typing import NDArray

VALUE_BITS = 8
LENGTHS = (64, 32, 16, 8, 4, 1)


@dataclass(frozen=True)
class SmallMachine:
    """Sizes of a machine that the RTL can be; the names are those of §1."""

    rows: int = 4
    columns: int = 2
    lanes: int = 8
    lane_groups: tuple[int, ...] = (1, 2, 4, 8)
    lane_select: int = 1
    accumulators: int = 32
    latency: int = 4
    packing: bool = True
    policy: str = "set_associative"
    sets: int = 2
    queue: int = 2
    per_column: bool = False
    word_bytes: int = 16
    buffer_words: int = 16
    zero_skip: int = 1
    window: int = 16
    inputs_per_cycle: int = 4
    weight_bytes: int = 16384
    write_words: int = 8
    dram_bytes: float = 16.0
    burst: int = 16
    first_latency: int = 10
    runs: tuple[int, ...] = (64, 256, 1024)
    permille: tuple[int, ...] = (800, 900, 950)
    resident: bool = False

    @property
    def share(self) -> int:
        """PE rows of a set."""
        return self.rows // self.sets if self.policy == "set_associative" else 1

    def permille_of(self, run: int) -> int:
        """Efficiency at runs of so many bytes (§6)."""
        listed = [p for r, p in zip(self.runs, self.permille, strict=True) if r <= run]
        return listed[-1] if listed else self.permille[0]


@dataclass(frozen=True)
class Entry:
    """What a slot issues in a cycle: lanes in ascending order, their selects and their values."""

    position: int
    unit: int
    lanes: tuple[int, ...]
    selects: tuple[int, ...]
    values: tuple[int, ...]


@dataclass
class Tile:
    """A tile's place in the layer, its bytes in the DRAM, and what the host says of its load."""

    outputs: range
    inputs: range
    data: bytes = b""
    entries: int = 0
    entry_bits: int = 0
    room: int = 0
    row_words: int = 0
    table_bytes: int = 0
    lead: int = 0
    parts: list[tuple[int, int]] = field(default_factory=list)


def width(count: int) -> int:
    """Least number of bits that tells `count` things apart."""
    return max(count - 1, 0).bit_length()


class Bits:
    """Fields, one behind the other, least significant bit first."""

    def __init__(self) -> None:
        self.value, self.length = 0, 0

    def add(self, value: int, bits: int) -> None:
        """A field."""
        assert 0 <= value < 1 << bits
        self.value |= value << self.length
        self.length += bits

    def data(self) -> bytes:
        """Whole bytes."""
        return self.value.to_bytes((self.length + 7) // 8, "little")


def vectors_of(keep: NDArray[np.bool_], is_row: bool) -> list[tuple[int, int, int]]:
    """(line, first, length) of the maximal fully kept aligned vectors along the lanes (§2)."""
    lines = keep if is_row else keep.T
    found = []
    for number, line in enumerate(lines):
        free = line.copy()
        for length in LENGTHS:
            for start in range(0, len(line), length):
                if free[start : start + length].all():
                    free[start : start + length] = False
                    found.append((number, start, length))
    return found


def piece_ids(keep: NDArray[np.bool_], is_row: bool, is_packed: bool) -> NDArray[np.int64]:
    """Which vector each kept weight belongs to, as its first place in the line; packed: all one."""
    ids = np.zeros(keep.shape, np.int64)
    if not is_packed:
        for line, start, length in vectors_of(keep, is_row):
            (ids if is_row else ids.T)[line, start : start + length] = start
    return ids


def entries_of(
    keep: NDArray[np.bool_],
    weight: NDArray[np.int8],
    ids: NDArray[np.int64],
    *,
    is_row: bool,
    g: int,
    s: int,
) -> list[Entry]:
    """The entries of a tile, from its part of each array, in stream order (§3)."""
    cells: dict[tuple[int, int, int, int], list[tuple[int, int, int]]] = {}
    seen: Counter[tuple[int, int, int, int]] = Counter()
    for out, inp in zip(*(axis.tolist() for axis in np.nonzero(keep)), strict=True):
        place, unit, lane = (inp // g, out, inp % g) if is_row else (inp, out // g, out % g)
        position, select = divmod(place, s)
        piece = int(ids[out, inp])
        # `np.nonzero` goes through the inputs of an output, hence of a lane, in ascending order.
        j = seen[position, unit, piece, lane]
        seen[position, unit, piece, lane] += 1
        weights = cells.setdefault((position, unit, piece, j), [])
        weights.append((lane, select, int(weight[out, inp])))
    return [
        Entry(position, unit, *(tuple(x) for x in zip(*sorted(cell), strict=True)))
        for (position, unit, _, _), cell in sorted(cells.items())
    ]


def sets_of_units(machine: SmallMachine, loads: list[int], sets: int, most: int) -> list[int]:
    """The set of each unit (§4)."""
    order = sorted(range(len(loads)), key=lambda u: (-loads[u], u))
    chosen = [0] * len(loads)
    if machine.policy == "interleaved":
        return [u % sets for u in range(len(loads))]
    if machine.policy == "lpt":
        total, held = [0] * sets, [0] * sets
        for u in order:
            s = min((s for s in range(sets) if held[s] < most), key=lambda s: (total[s], s))
            chosen[u] = s
            total[s] += loads[u]
            held[s] += 1
        return chosen
    for item, u in enumerate(order):
        run, place = divmod(item, sets)
        chosen[u] = place if run % 2 == 0 else sets - 1 - place
    return chosen


def encode_tile(
    machine: SmallMachine,
    tile: Tile,
    entries: list[Entry],
    *,
    is_row: bool,
    n: int,
    s: int,
    is_dense: bool,
) -> None:
    """Fill in the bytes of a tile, its room and its lead."""
    g, share, p, b = machine.lanes // n, machine.share, machine.rows, machine.word_bytes
    outputs = len(tile.outputs)
    units = outputs if is_row else ceil(outputs / g)
    sets = p // share * n
    most = machine.accumulators // n if is_row else machine.accumulators // machine.lanes
    loads = [0] * units
    for entry in entries:
        loads[entry.unit] += 1
    chosen = sets_of_units(machine, loads, sets, most)
    number, counts = [], [0] * sets
    for one in chosen:
        number.append(counts[one])
        counts[one] += 1
    streams: list[list[Entry]] = [[] for _ in range(p * n)]
    for entry in entries:
        i, j = divmod(chosen[entry.unit], n)
        rows = range(i * share, (i + 1) * share)
        streams[min((len(streams[r * n + j]), r) for r in rows)[1] * n + j].append(entry)

    d = max(
        (
            (entry.position - (stream[k - 1].position if k else 0)).bit_length()
            for stream in streams
            for k, entry in enumerate(stream)
        ),
        default=0,
    )
    t = width(max(counts))
    full = sum(len(entry.lanes) == g for entry in entries)
    index = {1: g * len(entries), 2: len(entries) + g * (len(entries) - full)}
    if full == len(entries):
        index[0] = 0
    pattern = min(index, key=lambda k: (index[k], k))
    encoded = []
    for stream in streams:
        bits, last = Bits(), 0
        for entry in stream:
            is_full = len(entry.lanes) == g
            if pattern == 2 and not is_dense:
                bits.add(int(is_full), 1)
            if not is_dense:
                bits.add(entry.position - last, d)
                bits.add(number[entry.unit], t)
            if not is_dense and (pattern == 1 or (pattern == 2 and not is_full)):
                bits.add(sum(1 << lane for lane in entry.lanes), g)
            for select, value in zip(entry.selects, entry.values, strict=True):
                bits.add(select, width(s))
                bits.add(value & 0xFF, VALUE_BITS)
            last = entry.position
        tile.entry_bits += bits.length
        encoded.append(bits.data())

    table = Bits()
    for one in chosen:
        if not is_dense:
            table.add(one, width(sets))
    is_first = tile.inputs.start == 0
    flags = int(is_row) | int(is_dense) << 1 | pattern << 2 | width(n) << 4 | int(is_first) << 6
    descriptor = bytes([flags, d, t, int(s > 1)])
    for field_value in (outputs, len(tile.inputs), tile.outputs.start, tile.inputs.start):
        descriptor += field_value.to_bytes(2, "little")
    descriptor += bytes(4)
    head = descriptor + table.data()
    tile.table_bytes = len(table.data())
    for stream, data in zip(streams, encoded, strict=True):
        head += len(stream).to_bytes(2, "little") + len(data).to_bytes(2, "little")
    words = [ceil(len(data) / b) for data in encoded]
    h = ceil(4 * n / b)
    tile.entries = len(entries)
    tile.data = head + b"".join(
        data[k * b : (k + 1) * b] for k in range(max(words)) for data in encoded
    )
    tile.row_words = h + max(sum(words[r * n : (r + 1) * n]) for r in range(p))
    tile.room = p * b * tile.row_words
    run = ceil(len(tile.data) / machine.burst) * machine.burst
    tile.parts = [(run, machine.permille_of(run))]

    come = len(head)
    tile.lead = 0
    in_row = [h] * p
    for line in range(h + max(words)):
        if line >= h:
            k = line - h
            for slot, data in enumerate(encoded):
                come += len(data[k * b : (k + 1) * b])
                in_row[slot // n] += int(words[slot] > k)
        arrive = min(cycles(machine, come, tile.parts[0][1]), cycles(machine, *tile.parts[0]))
        arrive = max(arrive, min(line + 1, h) if line < h else max(in_row))
        tile.lead = max(tile.lead, arrive - line)


def cycles(machine: SmallMachine, size: int, permille: int) -> int:
    """Cycles that `size` bytes take in the DRAM (§6)."""
    return -(-size * 10**6 // (round(machine.dram_bytes * 1000) * permille))


def encode(
    machine: SmallMachine,
    keep: NDArray[np.bool_],
    weight: NDArray[np.int8],
    *,
    is_row: bool,
    n: int,
    s: int = 1,
    is_dense: bool = False,
) -> list[Tile]:
    """The tiles of a layer in the order of execution (§2, §3).

    is_dense: the dense stream, where `keep` is all true and an entry is its values alone.

    Raises:
        ValueError: a tile does not fit, or resident weights do not fit together.
    """
    rows, cols = keep.shape
    g, sets = machine.lanes // n, machine.rows // machine.share
    a = machine.accumulators
    strip = sets * a if is_row else sets * (a // machine.lanes) * machine.lanes
    ids = piece_ids(keep, is_row, machine.packing or is_dense)
    most = machine.weight_bytes if machine.resident else machine.weight_bytes // 4
    wide = cols
    while True:
        tiles = [
            Tile(range(o, min(o + strip, rows)), range(i, min(i + wide, cols)))
            for o in range(0, rows, strip)
            for i in range(0, cols, wide)
        ]
        for tile in tiles:
            part = np.s_[
                tile.outputs.start : tile.outputs.stop, tile.inputs.start : tile.inputs.stop
            ]
            entries = entries_of(keep[part], weight[part], ids[part], is_row=is_row, g=g, s=s)
            encode_tile(machine, tile, entries, is_row=is_row, n=n, s=s, is_dense=is_dense)
        if all(tile.room <= most for tile in tiles):
            tables = sum(16 + tile.table_bytes for tile in tiles)
            if machine.resident and sum(t.room for t in tiles) + tables > machine.weight_bytes:
                raise ValueError("resident weights do not fit")
            return tiles
        if wide == 1:
            raise ValueError("a tile does not fit")
        wide = ceil(wide / 2)
        wide = wide if wide <= 64 else ceil(wide / 64) * 64
