"""§7: where the cycles went."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.accel_sim.dataflows.mixed_vector.reference.machine import Machine, ceil_div
from tests.accel_sim.dataflows.mixed_vector.reference.passes import Pass
from tests.accel_sim.dataflows.mixed_vector.reference.tiles import Choice
from tests.accel_sim.dataflows.mixed_vector.reference.timeline import LayerTime, Load

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
        yield Wait("dram" if one.ready >= one.bank_free else "writeback", one.start - last_end)
        last_end = one.end
    yield Wait("writeback", time.end - last_end)


def cycles_by_cause(
    passes: Sequence[Pass], time: LayerTime, choice: Choice, machine: Machine
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
        busy, tokens = critical.cycles["busy"], len(one.tokens)
        # What would have been enough: full lanes; no pair in vain; no slot without work.
        compute = min(busy, ceil_div(one.tally.executed, rows * lanes * tokens))
        slots = rows * choice.n * tokens
        with_empty_lanes = min(busy, ceil_div(one.tally.live_pairs, slots))
        in_lockstep = min(busy, ceil_div(one.tally.issued_pairs, slots))
        assert compute <= with_empty_lanes <= in_lockstep
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


def pe_cycles(one: Pass, choice: Choice, machine: Machine) -> Counter[str]:
    """What the smallest lane groups of all PEs do in a pass."""
    most = machine.most_groups
    every = machine.array.pe_rows * most
    cycles: Counter[str] = Counter()
    for taker in one.count.takers:
        for cause in ("zero_skip", "window", "decompressor", "idle"):
            cycles[cause] += taker.cycles[cause] * len(taker.columns)
    cycles["busy"] = one.tally.live_pairs
    cycles["lockstep"] = one.tally.issued_pairs - one.tally.live_pairs
    for cause in cycles:
        cycles[cause] *= most // choice.n
    cycles["pipeline"] = one.count.latency * every * len(one.tokens)
    without = machine.array.token_columns - len(one.tokens)
    cycles["idle"] += one.count.cycles * every * without
    return cycles


def units_of(
    passes: Sequence[Pass],
    time: LayerTime,
    all_loads: Sequence[Load],
    choice: Choice,
    machine: Machine,
) -> dict[str, Unit]:
    """Busy, stalled and idle cycles of each kind of unit."""
    array, cycles, most = machine.array, time.cycles, machine.most_groups
    groups_a_slot = most // choice.n
    groups = array.pe_rows * array.token_columns * most
    pe: Counter[str] = Counter()
    for one in passes:
        pe.update(pe_cycles(one, choice, machine))
    for wait in waits(time):
        pe[wait.cause] += wait.cycles * groups
    executed = sum(one.tally.executed for one in passes)
    taken = sum(one.tally.live_pairs for one in passes) * choice.lanes(machine)
    controllers = groups if machine.queue.per_column else array.pe_rows * most
    dropping = groups_a_slot * sum(
        taker.cycles_dropping for one in passes for taker in one.count.takers
    )

    def unit(count: int, busy: int, **stalled: int) -> Unit:
        return Unit(count, busy, stalled, count * cycles - busy - sum(stalled.values()))

    def of_parsers(what: str) -> int:
        return groups_a_slot * sum(one.count.decompressor[what] for one in passes)

    def of_window(what: str) -> int:
        return sum(one.count.matching[what] for one in passes)

    found = {
        "pe": Unit(groups, pe["busy"], {cause: pe[cause] for cause in PE_STALLS}, pe["idle"]),
        "lane": unit(
            machine.multipliers,
            executed,
            empty_lanes=taken - executed,
            pe=machine.multipliers * cycles - taken,
        ),
        "zero_skip": unit(controllers, dropping),
        "decompressor": unit(
            array.pe_rows * most,
            of_parsers("busy"),
            queue_full=of_parsers("queue_full"),
            weight_buffer=of_parsers("weight_buffer"),
        ),
        "matching": unit(1, of_window("busy"), window_full=of_window("window_full")),
        "dram": unit(
            1,
            sum(overlap(load.transfer, load.end, time) for load in all_loads),
            first_latency=sum(overlap(load.start, load.transfer, time) for load in all_loads),
        ),
        "writeback": unit(1, sum(one.write_end - one.write_start for one in time.passes)),
    }
    for kind, one in found.items():
        assert one.busy + sum(one.stalled.values()) + one.idle == one.count * cycles, kind
        assert one.idle >= 0, kind
    return found


def pe_load(passes: Sequence[Pass], machine: Machine) -> list[int]:
    """Entries each PE row issues in the layer, once for each token that it issues them for."""
    load = [0] * machine.array.pe_rows
    for one in passes:
        for taker in one.count.takers:
            load[taker.row] += len(taker.issued) * len(taker.columns)
    return load
