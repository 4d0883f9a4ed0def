"""§3: a tile as the bytes that lie in the DRAM, written and read again bit by bit.

What stands in the 16 bytes of the descriptor is the host's affair (here zeros); what it states is
handed to the reader as a `Descriptor`. All else the reader takes from the bytes alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.accel_sim.dataflows.mixed_vector.reference.machine import Machine, ceil_div, ceil_log2
from tests.accel_sim.dataflows.mixed_vector.reference.schedule import plan
from tests.accel_sim.dataflows.mixed_vector.reference.tiles import (
    DESCRIPTOR_BYTES,
    Choice,
    Fields,
    Tile,
)


class BitWriter:
    """Fields one behind the other; bit i is bit i mod 8 of byte ⌊i/8⌋."""

    def __init__(self) -> None:
        self.bits: list[int] = []

    def put(self, number: int, width: int) -> None:
        assert 0 <= number < 2**width
        self.bits += [number >> i & 1 for i in range(width)]

    def to_bytes(self) -> bytes:
        """Rounded up to whole bytes."""
        data = bytearray(ceil_div(len(self.bits), 8))
        for i, bit in enumerate(self.bits):
            data[i // 8] |= bit << i % 8
        return bytes(data)


class BitReader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, width: int) -> int:
        number = 0
        for i in range(width):
            assert self.at < 8 * len(self.data), "the stream ends within a field"
            number |= (self.data[self.at // 8] >> self.at % 8 & 1) << i
            self.at += 1
        return number

    def finish(self) -> None:
        """Less than a byte is left, and its bits are 0."""
        left = 8 * len(self.data) - self.at
        assert left < 8 and self.take(left) == 0


@dataclass(frozen=True)
class Descriptor:
    """What the host states of a tile."""

    choice: Choice
    outputs: int
    inputs: int
    fields: Fields
    is_dense: bool


@dataclass(frozen=True)
class ReadEntry:
    """An entry as it was read: lane → the select and the bits of the value of its item."""

    position: int
    unit: int
    items: dict[int, tuple[int, int]]


def described(tile: Tile) -> Descriptor:
    return Descriptor(
        tile.choice,
        len(tile.strip),
        len(tile.inputs),
        tile.fields,
        tile.is_dense,
    )


# --- the writer -----------------------------------------------------------------------------------


def sub_streams(tile: Tile, patterns: Sequence[Sequence[int]]) -> list[bytes]:
    """Of each slot. patterns: the bits of the value at [output][input] of the matrix."""
    found: list[bytes] = []
    v, f, g = tile.machine.value_bits, tile.fields, tile.lanes
    for numbers in tile.entries_of_slot:
        out = BitWriter()
        for number in numbers:
            entry = tile.entries[number]
            before = len(out.bits)
            if not tile.is_dense:
                is_full = entry.weights == g
                if f.pattern == 2:
                    out.put(is_full, 1)
                out.put(tile.differences[number], f.d)
                out.put(tile.plan.number_of(entry.unit), f.t)
                if f.pattern == 1 or (f.pattern == 2 and not is_full):
                    out.put(sum(1 << lane for lane in entry.lanes), g)
            for select, (y, x) in zip(entry.selects, entry.cells, strict=True):
                out.put(select, tile.choice.select_bits)
                out.put(patterns[y][x], v)
            assert len(out.bits) - before == tile.entry_bits[number]
        found.append(out.to_bytes())
    return found


def to_bytes(tile: Tile, patterns: Sequence[Sequence[int]]) -> bytes:
    """The tile in the order of the DRAM."""
    streams = sub_streams(tile, patterns)
    table, records = BitWriter(), BitWriter()
    if not tile.is_dense:
        units_of_set = tile.plan.units_of_set
        for unit in range(tile.units):
            (of,) = (s for s, units in enumerate(units_of_set) if unit in units)
            table.put(of, ceil_log2(len(units_of_set)))
    for numbers, stream in zip(tile.entries_of_slot, streams, strict=True):
        records.put(len(numbers), 16)
        records.put(len(stream), 16)
    data = bytes(DESCRIPTOR_BYTES) + table.to_bytes() + records.to_bytes()
    word = tile.machine.decompressor.word_bytes
    for at in range(0, max(map(len, streams)), word):
        for stream in streams:
            data += stream[at : at + word]
    return data


# --- the reader -----------------------------------------------------------------------------------


def from_bytes(data: bytes, told: Descriptor, machine: Machine) -> list[list[ReadEntry]]:
    """The entries of each slot, in the order in which it reads them."""
    slots = told.choice.slots(machine)
    units = ceil_div(told.outputs, told.choice.unit_outputs(machine))
    at = DESCRIPTOR_BYTES
    sets = told.choice.sets(machine)
    units_of_set: list[list[int]] = [[] for _ in sets]
    if not told.is_dense:
        width = ceil_log2(len(sets))
        size = ceil_div(units * width, 8)
        table = BitReader(data[at : at + size])
        for unit in range(units):
            units_of_set[table.take(width)].append(unit)
        table.finish()
        at += size
    records = BitReader(data[at : at + 4 * slots])
    sizes = [(records.take(16), records.take(16)) for _ in range(slots)]
    at += 4 * slots
    # Words go round the sub-streams that have one left.
    streams = [b""] * slots
    word = machine.decompressor.word_bytes
    while any(len(stream) < size for stream, (_, size) in zip(streams, sizes, strict=True)):
        for slot, (_, size) in enumerate(sizes):
            length = min(word, size - len(streams[slot]))
            streams[slot] += data[at : at + length]
            at += length
    assert at == len(data)
    if told.is_dense:
        return _dense_entries(streams, told, units, machine)
    set_of = {slot: s for s, group in enumerate(sets) for slot in group}
    return [
        _parse(BitReader(streams[slot]), count, units_of_set[set_of[slot]], told, machine)
        for slot, (count, _) in enumerate(sizes)
    ]


def _parse(
    reader: BitReader, count: int, units: Sequence[int], told: Descriptor, machine: Machine
) -> list[ReadEntry]:
    """One sub-stream, whose set has these units."""
    g, f = told.choice.lanes(machine), told.fields
    position = 0
    found: list[ReadEntry] = []
    for _ in range(count):
        is_full = f.pattern == 0 or (f.pattern == 2 and reader.take(1) == 1)
        position += reader.take(f.d)
        unit = units[reader.take(f.t)]
        bitmap = 2**g - 1 if is_full else reader.take(g)
        lanes = [lane for lane in range(g) if bitmap >> lane & 1]
        items = {
            lane: (reader.take(told.choice.select_bits), reader.take(machine.value_bits))
            for lane in lanes
        }
        found.append(ReadEntry(position, unit, items))
    reader.finish()
    return found


def _dense_entries(
    streams: Sequence[bytes], told: Descriptor, units: int, machine: Machine
) -> list[list[ReadEntry]]:
    """Every (position, unit) in the order in which units of equal load are dealt."""
    g, is_row = told.choice.lanes(machine), told.choice.mode == "row"
    positions = ceil_div(told.inputs, g) if is_row else told.inputs
    places = [(position, unit) for position in range(positions) for unit in range(units)]
    dealt = plan(
        [unit for _, unit in places],
        units,
        told.choice.sets(machine),
        told.choice.units_per_set(machine),
        machine.scheduler.policy,
    )
    readers = [BitReader(stream) for stream in streams]
    found: list[list[ReadEntry]] = [[] for _ in streams]
    for (position, unit), slot in zip(places, dealt.slot_of_entry, strict=True):
        left = told.inputs - position * g if is_row else told.outputs - unit * g
        lanes = range(min(g, left))
        items = {lane: (0, readers[slot].take(machine.value_bits)) for lane in lanes}
        found[slot].append(ReadEntry(position, unit, items))
    for reader in readers:
        reader.finish()
    return found


def weights_of(
    entries: Sequence[Sequence[ReadEntry]], told: Descriptor, machine: Machine
) -> dict[tuple[int, int], int]:
    """(output, input) of the tile → the bits of the value there."""
    g, width = told.choice.lanes(machine), told.choice.position_inputs(machine)
    found: dict[tuple[int, int], int] = {}
    for entry in (entry for of_slot in entries for entry in of_slot):
        for lane, (select, value) in entry.items.items():
            if told.choice.mode == "row":
                cell = (entry.unit, entry.position * width + select * g + lane)
            else:
                cell = (entry.unit * g + lane, entry.position * width + select)
            assert cell not in found
            found[cell] = value
    return found
