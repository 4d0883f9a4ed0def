"""§6: loads, passes and write-backs on one time axis."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from accel_sim.dataflows.mixed_vector.dataflow import MixedVector
from tests.accel_sim.dataflows.mixed_vector.reference.passes import Pass
from tests.accel_sim.dataflows.mixed_vector.reference.stream import OPERAND_BITS, Tile, ceil_div

ACCUMULATOR_BYTES = {"fp16": 4, "int8": 4, "int16": 6}


def operand_bytes(machine: MixedVector) -> int:
    return OPERAND_BITS[machine.array.datatype] // 8


def accumulator_bytes(machine: MixedVector) -> int:
    return ACCUMULATOR_BYTES[machine.array.datatype]


@dataclass(frozen=True)
class Part:
    """Runs of one length that a load moves; `run_bytes` is rounded up to bursts."""

    runs: int
    run_bytes: int

    def cycles(self, machine: MixedVector) -> int:
        dram = machine.dram
        permille = dram.efficiency_permille[0]
        for run, value in zip(dram.efficiency_run_bytes, dram.efficiency_permille, strict=True):
            if run <= self.run_bytes:
                permille = value
        return ceil(1000 * self.runs * self.run_bytes / (dram_rate(machine) * permille))


def dram_rate(machine: MixedVector) -> Fraction:
    """Bytes per cycle, the decimal fraction that was written down."""
    return Fraction(str(machine.dram.bytes_per_cycle))


@dataclass
class Load:
    """One tile's way over the DRAM port, and how long it stays in the weight buffer."""

    start: int
    transfer: int
    end: int
    bytes_held: int
    parts: Sequence[Part]
    released: int = 0

    @property
    def dram_bytes(self) -> int:
        return sum(part.runs * part.run_bytes for part in self.parts)


@dataclass(frozen=True)
class PassTime:
    start: int
    end: int
    load_end: int
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


def is_off_chip(
    tiles: Sequence[Tile], tokens: int, shape: tuple[int, int], machine: MixedVector
) -> bool:
    """Whether the layer's activations do not fit their buffer."""
    needed = operand_bytes(machine) * tokens * (shape[0] + shape[1])
    if has_partial_sums(tiles):
        needed += accumulator_bytes(machine) * tokens * max(len(tile.strip) for tile in tiles)
    return needed > machine.activation_buffer.bytes


def activation_runs(some: range, every: int, tokens: int, machine: MixedVector) -> Part:
    """All tokens' values of `some` of `every` input or output: one run, or one of each token."""
    b = operand_bytes(machine)
    runs, run = (1, tokens * every) if len(some) == every else (tokens, len(some))
    return Part(runs, in_bursts(b * run, machine))


def in_bursts(number_of_bytes: int, machine: MixedVector) -> int:
    return ceil_div(number_of_bytes, machine.dram.burst_bytes) * machine.dram.burst_bytes


@dataclass
class Clockwork:
    """Layer after layer, as soon as each may."""

    machine: MixedVector
    loads: list[Load] = field(default_factory=list)
    pass_end: int = 0
    write_ends: list[int] = field(default_factory=list)
    layer_end: int = 0

    def load(self, tile: Tile, activations: Sequence[Part], earliest: int) -> Load:
        """Start the tile's load as soon as it may, and not before `earliest`."""
        start = max(earliest, self.loads[-1].end if self.loads else 0)
        # Each release is a moment at which there may be room.
        while True:
            held = [load for load in self.loads if load.released > start]
            used = sum(load.bytes_held for load in held)
            if used + tile.bytes <= self.machine.weight_buffer.bytes:
                break
            start = min(load.released for load in held)
        parts = [Part(1, in_bursts(tile.bytes, self.machine)), *activations]
        follows = bool(self.loads) and self.loads[-1].end == start
        transfer = start if follows else start + self.machine.dram.first_latency_cycles
        end = transfer + sum(part.cycles(self.machine) for part in parts)
        self.loads.append(Load(start, transfer, end, tile.bytes, parts))
        return self.loads[-1]

    def layer(
        self, tiles: Sequence[Tile], passes: Sequence[Pass], shape: tuple[int, int]
    ) -> LayerTime:
        """Run one layer; it starts when the one before has ended."""
        machine, begin = self.machine, self.layer_end
        tokens = sum(len(one.tokens) for one in passes if one.tile is tiles[0])
        off_chip = is_off_chip(tiles, tokens, shape, machine)
        earliest = begin if off_chip or not machine.dram.prefetch_across_layers else 0

        times: list[PassTime] = []
        loads: list[Load] = []
        for tile in tiles:
            activations: list[Part] = []
            if off_chip:
                activations.append(activation_runs(tile.inputs, shape[1], tokens, machine))
                if tile.inputs.stop == shape[1]:
                    activations.append(activation_runs(tile.strip, shape[0], tokens, machine))
            load = self.load(tile, activations, earliest)
            loads.append(load)
            for one in passes:
                if one.tile is tile:
                    times.append(self.one_pass(one, load, begin))
            load.released = self.pass_end
        self.layer_end = self.write_ends[-1]
        return LayerTime(begin, self.layer_end, times, loads)

    def one_pass(self, one: Pass, load: Load, layer_start: int) -> PassTime:
        bank_free = self.write_ends[-2] if len(self.write_ends) > 1 else 0
        start = max(self.pass_end, load.end, bank_free, layer_start)
        end = self.pass_end = start + one.count.cycles
        words = len(one.tile.strip) * len(one.tokens)
        write_start = max(end, self.write_ends[-1] if self.write_ends else 0)
        write_end = write_start + ceil_div(words, self.machine.output.words_per_cycle)
        self.write_ends.append(write_end)
        return PassTime(start, end, load.end, bank_free, write_start, write_end)
