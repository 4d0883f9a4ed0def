"""§5 and microarchitecture.md §6: loads and passes of a step on one time axis."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from accel_sim.dataflows.abstract.machine_sections import Dram


def up(number: int, divisor: int) -> int:
    return -(-number // divisor)


@dataclass(frozen=True)
class Part:
    """`runs` of `run_bytes` each, of which every one is rounded up to bursts. kind: of bytes."""

    kind: str
    runs: int
    run_bytes: int

    def rounded(self, dram: Dram) -> int:
        return up(self.run_bytes, dram.burst_bytes) * dram.burst_bytes

    def bytes(self, dram: Dram) -> int:
        return self.runs * self.rounded(dram)

    def activations(self, dram: Dram) -> int:
        return self.runs * up(self.rounded(dram), dram.row_bytes)

    def cycles_for(self, number_of_bytes: int, dram: Dram) -> int:
        permille = dram.efficiency_permille[0]
        for run, value in zip(dram.efficiency_run_bytes, dram.efficiency_permille, strict=True):
            if run <= self.rounded(dram):
                permille = value
        rate = Fraction(str(dram.bytes_per_cycle)) * permille / 1000
        return ceil(number_of_bytes / rate)

    def cycles(self, dram: Dram) -> int:
        return self.cycles_for(self.bytes(dram), dram)


@dataclass
class Load:
    """start, first byte and end; room and place it holds until released and place_free."""

    start: int
    first_byte: int
    end: int
    room: int = 0
    has_place: bool = False
    released: int = 0
    place_free: int = 0


@dataclass
class Timeline:
    """One operator behind the other. now: the end of the last one."""

    dram: Dram
    weight_buffer_bytes: int
    now: int = 0
    loads: list[Load] = field(default_factory=list)
    moved: list[Part] = field(default_factory=list)

    def load(
        self,
        parts: Sequence[Part],
        earliest: int,
        room: int = 0,
        places: int | None = None,
    ) -> Load:
        """As soon as it may. places: tiles that have a place, if this load needs one."""
        parts = [part for part in parts if part.runs and part.run_bytes]
        if not parts:
            return Load(earliest, earliest, earliest)
        start = max([earliest, *[load.end for load in self.loads[-1:]]])
        while True:
            held = [load for load in self.loads if load.released > start and load.room]
            placed = [load for load in self.loads if load.place_free > start and load.has_place]
            if sum(load.room for load in held) + room > self.weight_buffer_bytes:
                start = min(load.released for load in held)
            elif places is not None and len(placed) >= places:
                start = min(load.place_free for load in placed)
            else:
                break
        follows = bool(self.loads) and self.loads[-1].end == start
        first_byte = start + (0 if follows else self.dram.first_latency_cycles)
        end = first_byte + sum(part.cycles(self.dram) for part in parts)
        self.loads.append(Load(start, first_byte, end, room, places is not None))
        self.moved += parts
        return self.loads[-1]
