"""§7: where the cycles went."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from accel_sim.dataflows.mixed_vector.dataflow import MixedVector
from tests.accel_sim.dataflows.mixed_vector.reference.clockwork import LayerTime, Load
from tests.accel_sim.dataflows.mixed_vector.reference.passes import Pass
from tests.accel_sim.dataflows.mixed_vector.reference.stream import ceil_div

CAUSES = (
    "compute",
    "empty_lanes",
    "lockstep",
    "imbalance",
    "zero_skip",
    "window",
    "decompressor",
    "pipeline",
    "dram",
    "writeback",
)
PE_STALLS = ("lockstep", "zero_skip", "window", "decompressor", "pipeline", "dram", "writeback")


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
    passes: Sequence[Pass], time: LayerTime, machine: MixedVector
) -> dict[str, int]:
    """The critical path."""
    total: dict[str, int] = dict.fromkeys(CAUSES, 0)
    rows, lanes = machine.array.pe_rows, machine.array.lanes
    for one in passes:
        total["pipeline"] += one.count.latency
        critical = one.count.critical
        if critical is None:
            total["decompressor"] += one.count.cycles - one.count.latency
            continue
        busy, pes = critical.cycles["busy"], rows * len(one.tokens)
        # What would have been enough: full lanes; no pair in vain; no PE row without work.
        compute = min(busy, ceil_div(one.tally.executed, pes * lanes))
        with_empty_lanes = min(busy, ceil_div(one.tally.live_pairs, pes))
        in_lockstep = min(busy, ceil_div(one.tally.issued_pairs, pes))
        total["compute"] += compute
        total["empty_lanes"] += with_empty_lanes - compute
        total["lockstep"] += in_lockstep - with_empty_lanes
        total["imbalance"] += busy - in_lockstep
        for cause in ("zero_skip", "window", "decompressor"):
            total[cause] += critical.cycles[cause]
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


def pe_cycles(one: Pass, machine: MixedVector) -> Counter[str]:
    """What all P·T PEs do in a pass."""
    rows, columns = machine.array.pe_rows, machine.array.token_columns
    cycles: Counter[str] = Counter()
    for taker in one.count.takers:
        for cause in ("zero_skip", "window", "decompressor", "idle"):
            cycles[cause] += taker.cycles[cause] * len(taker.columns)
    cycles["busy"] = one.tally.live_pairs
    cycles["lockstep"] = one.tally.issued_pairs - one.tally.live_pairs
    cycles["pipeline"] = one.count.latency * rows * len(one.tokens)
    cycles["idle"] += one.count.cycles * rows * (columns - len(one.tokens))
    return cycles


def units_of(
    passes: Sequence[Pass], time: LayerTime, all_loads: Sequence[Load], machine: MixedVector
) -> dict[str, Unit]:
    """Busy, stalled and idle cycles of each kind of unit."""
    array, cycles = machine.array, time.cycles
    pes = array.pe_rows * array.token_columns
    pe: Counter[str] = Counter()
    for one in passes:
        pe.update(pe_cycles(one, machine))
    for wait in waits(time):
        pe[wait.cause] += wait.cycles * pes
    executed = sum(one.tally.executed for one in passes)
    lanes_taken = sum(one.tally.live_pairs for one in passes) * array.lanes
    controllers = pes if machine.queue.per_column else array.pe_rows
    dropping = sum(taker.cycles_dropping for one in passes for taker in one.count.takers)

    def single(busy: int, **stalled: int) -> Unit:
        return Unit(1, busy, stalled, cycles - busy - sum(stalled.values()))

    def summed(which: Literal["decompressor", "matching"], what: str) -> int:
        return sum(getattr(one.count, which)[what] for one in passes)

    return {
        "pe": Unit(pes, pe["busy"], {cause: pe[cause] for cause in PE_STALLS}, pe["idle"]),
        "lane": Unit(
            pes * array.lanes,
            executed,
            {
                "empty_lanes": lanes_taken - executed,
                "pe": pes * array.lanes * cycles - lanes_taken,
            },
            0,
        ),
        "zero_skip": Unit(controllers, dropping, {}, controllers * cycles - dropping),
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


def pe_load(passes: Sequence[Pass], machine: MixedVector) -> list[int]:
    """Entries each PE row issues in the layer, once for each token that it issues them for."""
    load = [0] * machine.array.pe_rows
    for one in passes:
        for taker in one.count.takers:
            load[taker.row] += len(taker.issued) * len(taker.columns)
    return load
