"""§6: loads, passes and write-backs on one time axis."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

from tests.accel_sim.dataflows.mixed_vector.reference.machine import Machine, ceil_div
from tests.accel_sim.dataflows.mixed_vector.reference.passes import Pass
from tests.accel_sim.dataflows.mixed_vector.reference.tiles import Tile

TILE_MEMORY = 4
"""Tiles whose descriptors and unit tables have a place."""


@dataclass(frozen=True)
class Part:
    """Runs of one length that a load moves; `run_bytes` is rounded up to bursts."""

    runs: int
    run_bytes: int

    def permille(self, machine: Machine) -> int:
        dram = machine.dram
        found = dram.efficiency_permille[0]
        for run, value in zip(dram.efficiency_run_bytes, dram.efficiency_permille, strict=True):
            if run <= self.run_bytes:
                found = value
        return found

    def cycles_for(self, number_of_bytes: int, machine: Machine) -> int:
        """At the rate of this part."""
        return ceil(1000 * number_of_bytes / (machine.dram.rate * self.permille(machine)))

    def cycles(self, machine: Machine) -> int:
        return self.cycles_for(self.runs * self.run_bytes, machine)


def in_bursts(number_of_bytes: int, machine: Machine) -> int:
    return ceil_div(number_of_bytes, machine.dram.burst_bytes) * machine.dram.burst_bytes


def lead(tile: Tile, machine: Machine) -> int:
    """Cycles from the first byte of the tile to the earliest start of its first pass."""
    part = Part(1, in_bursts(tile.bytes, machine))
    whole = part.cycles(machine)

    def arrive(line: int) -> int:
        # The DRAM brings bytes, and a bank takes one word a cycle.
        loaded = min(whole, part.cycles_for(tile.bytes_up_to_line(line), machine))
        return max(loaded, tile.words_up_to_line(line))

    return max(arrive(line) - line for line in range(tile.lines))


@dataclass
class Load:
    """One tile's way over the DRAM port, and how long it stays in the weight buffer.

    room: that it takes there. ready: from when its first pass may start. released: the end of its
    last pass. place_free: the end of that pass's write-back.
    """

    start: int
    transfer: int
    end: int
    ready: int
    room: int
    parts: Sequence[Part]
    released: int = 0
    place_free: int = 0

    @property
    def dram_bytes(self) -> int:
        return sum(part.runs * part.run_bytes for part in self.parts)


@dataclass(frozen=True)
class PassTime:
    start: int
    end: int
    ready: int
    """When its tile was."""
    bank_free: int
    """End of the write-back two passes before."""
    write_start: int
    write_end: int


@dataclass(frozen=True)
class LayerTime:
    start: int
    end: int
    passes: list[PassTime]
    loads: list[Load]

    @property
    def cycles(self) -> int:
        return self.end - self.start


def has_partial_sums(tiles: Sequence[Tile]) -> bool:
    """Whether the strips have several input ranges."""
    return any(tile.strip == tiles[0].strip for tile in tiles[1:])


def on_chip_tokens(
    tiles: Sequence[Tile], tokens: int, shape: tuple[int, int], machine: Machine
) -> int:
    """Of how many tokens, one after the other, the buffer holds the inputs and outputs."""
    used = 0
    if has_partial_sums(tiles):
        used = machine.accumulator_bytes * tokens * max(len(tile.strip) for tile in tiles)
    held = 0
    while held < tokens:
        used += machine.operand_bytes * (shape[0] + shape[1])
        if used > machine.activation_buffer.bytes:
            break
        held += 1
    return held


def activation_runs(some: range, every: int, tokens: int, machine: Machine) -> Part:
    """`some` of `every` input or output of so many tokens: one run, or one of each token."""
    runs, run = (1, tokens * every) if len(some) == every else (tokens, len(some))
    return Part(runs, in_bursts(machine.operand_bytes * run, machine))


@dataclass
class Timeline:
    """Layer after layer, as soon as each may. is_resident: all weights are on the chip."""

    machine: Machine
    is_resident: bool
    loads: list[Load] = field(default_factory=list)
    """Those with parts."""
    pass_end: int = 0
    write_ends: list[int] = field(default_factory=list)
    layer_end: int = 0

    def load(self, tile: Tile, activations: Sequence[Part], earliest: int) -> Load:
        """Start the tile's load as soon as it may, and not before `earliest`."""
        machine = self.machine
        room = 0 if self.is_resident else tile.room
        weights = [] if self.is_resident else [Part(1, in_bursts(tile.bytes, machine))]
        parts = [*weights, *activations]
        if not parts:
            return Load(earliest, earliest, earliest, earliest, 0, [])
        start = max(earliest, self.loads[-1].end if self.loads else 0)
        while True:
            held = [load for load in self.loads if load.released > start]
            placed = [load for load in self.loads if load.place_free > start]
            if sum(load.room for load in held) + room > machine.weight_buffer.bytes:
                start = min(load.released for load in held)
            elif len(placed) >= TILE_MEMORY and not self.is_resident:
                start = min(load.place_free for load in placed)
            else:
                break
        follows = bool(self.loads) and self.loads[-1].end == start
        transfer = start if follows else start + machine.dram.first_latency_cycles
        end = transfer + sum(part.cycles(machine) for part in parts)
        ready = end if activations else transfer + lead(tile, machine)
        self.loads.append(Load(start, transfer, end, ready, room, parts))
        return self.loads[-1]

    def layer(
        self, tiles: Sequence[Tile], passes: Sequence[Pass], shape: tuple[int, int]
    ) -> LayerTime:
        """Run one layer; it starts when the one before has ended."""
        machine, begin = self.machine, self.layer_end
        tokens = sum(len(one.tokens) for one in passes if one.tile is tiles[0])
        off_chip = tokens - on_chip_tokens(tiles, tokens, shape, machine)
        earliest = begin if off_chip or not machine.dram.prefetch_across_layers else 0
        times: list[PassTime] = []
        loads: list[Load] = []
        for tile in tiles:
            activations: list[Part] = []
            if off_chip:
                activations.append(activation_runs(tile.inputs, shape[1], off_chip, machine))
                if tile.inputs.stop == shape[1]:
                    activations.append(activation_runs(tile.strip, shape[0], off_chip, machine))
            load = self.load(tile, activations, earliest)
            loads.append(load)
            for one in passes:
                if one.tile is tile:
                    times.append(self.one_pass(one, load, begin))
            load.released = self.pass_end
            load.place_free = self.write_ends[-1]
        self.layer_end = self.write_ends[-1]
        return LayerTime(begin, self.layer_end, times, loads)

    def one_pass(self, one: Pass, load: Load, layer_start: int) -> PassTime:
        bank_free = self.write_ends[-2] if len(self.write_ends) > 1 else 0
        start = max(self.pass_end, load.ready, bank_free, layer_start)
        end = self.pass_end = start + one.count.cycles
        words = len(one.tile.strip) * len(one.tokens)
        write_start = max(end, self.write_ends[-1] if self.write_ends else 0)
        write_end = write_start + max(
            ceil_div(words, self.machine.output.words_per_cycle), one.tile.plan.most_units
        )
        self.write_ends.append(write_end)
        return PassTime(start, end, load.ready, bank_free, write_start, write_end)
