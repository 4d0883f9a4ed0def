"""The counters of §7 of docs/microarchitecture.md, from what the RTL counted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from tests.rtl.encoding import SmallMachine
from tests.rtl.hardware import Run

CAUSES = ("compute", "empty_lanes", "lockstep", "imbalance", "zero_skip", "window", "decompressor",
          "pipeline", "dram", "writeback")  # fmt: skip
STATES = ("zero_skip", "window", "decompressor")
BETWEEN = ("dram", "writeback")
PARSER = ("busy", "queue_full", "weight_buffer")


@dataclass(frozen=True)
class Account:
    """As a layer of a report."""

    cycles: int
    entries: int
    macs_executed: int
    macs_padding: int
    cycles_by_cause: Mapping[str, int]
    units: Mapping[str, Mapping[str, int]]
    pe_load: Sequence[int]


def account(machine: SmallMachine, run: Run, tokens: int, n: int) -> Account:
    """What the counters of a run at n lane groups say; the machine's most are its slots a row."""
    p, t, g = machine.rows, machine.columns, machine.lanes // n
    most = max(machine.lane_groups)
    weight = most // n
    groups = [min(t, tokens - first) for first in range(0, tokens, t)]
    by_cause: Counter[str] = Counter()
    pe: Counter[str] = Counter()
    parsers: Counter[str] = Counter()
    load = [0] * p
    executed = pairs = drops = fills = full = end = entries = 0
    row = min(machine.lanes, 8)  # slots of a row in the RTL's numbering
    for number, one in enumerate(run.passes):
        here = groups[number % len(groups)]
        last, critical = max(
            ((taker["last"], (-slot, -column)) for (slot, column), taker in one.takers.items())
        )
        wait = one.start - end
        end = one.end
        kind = "dram" if one.cause == 1 else "writeback"
        by_cause[kind] += wait
        pe[kind] += wait * p * t * most
        live = sum(taker["live"] for taker in one.takers.values())
        width = 1 if machine.per_column else here
        issued = sum(taker["busy"] for taker in one.takers.values()) * width
        if last < 0:
            by_cause["decompressor"] += one.steps
        else:
            taker = one.takers[-critical[0], -critical[1]]
            busy = spent = taker["busy"]
            left = 0
            for cause, work, units in (
                ("compute", one.executed, p * machine.lanes * here),
                ("empty_lanes", live, p * n * here),
                ("lockstep", issued, p * n * here),
            ):
                enough = min(busy, ceil(work / units))
                by_cause[cause] += enough - left
                left = enough
            by_cause["imbalance"] += spent - left
            for state in STATES:
                by_cause[state] += taker[state]
        by_cause["pipeline"] += machine.latency
        for slot in one.slots:
            for column in range(here if machine.per_column else 1):
                taker = one.takers[slot, column]
                load[slot // row] += taker["busy"] * width
                drops += taker["drop_cycles"] * weight
                pe["lockstep"] += (
                    taker["busy"] * width
                    - (
                        sum(one.takers[slot, c]["live"] for c in range(t))
                        if not machine.per_column
                        else taker["live"]
                    )
                ) * weight
                for state in STATES:
                    pe[state] += taker[state] * width * weight
            offered, blocked, starved = one.slots[slot]
            entries += offered if number % len(groups) == 0 else 0
            parsers.update(
                busy=offered * weight, queue_full=blocked * weight, weight_buffer=starved * weight
            )
            pe["pipeline"] += machine.latency * here * weight
        pe["busy"] += live * weight
        executed += one.executed
        pairs += live
        fills += one.fills
        full += one.full
    by_cause["writeback"] += run.cycles - end
    pe["writeback"] += (run.cycles - end) * p * t * most

    def unit(count: int, busy: int, **states: int) -> dict[str, int]:
        known = dict(busy=busy, **states)
        return {"count": count, **known, "idle": count * run.cycles - sum(known.values())}

    lanes = p * t * machine.lanes
    padding = pairs * g - executed
    return Account(
        run.cycles,
        entries,
        executed,
        padding,
        {cause: by_cause[cause] for cause in CAUSES},
        {
            "pe": unit(
                p * t * most,
                **{
                    s: pe[s] for s in ("busy", "lockstep", *STATES, "pipeline", "dram", "writeback")
                },
            ),
            "lane": {
                "count": lanes,
                "busy": executed,
                "empty_lanes": padding,
                "pe": lanes * run.cycles - executed - padding,
                "idle": 0,
            },
            "zero_skip": unit(p * most * (t if machine.per_column else 1), drops),
            "decompressor": unit(
                p * most, **{s: parsers[s] for s in ("busy", "queue_full", "weight_buffer")}
            ),
            "matching": unit(1, fills, window_full=full),
            "dram": unit(1, run.dram_busy, first_latency=run.first_latency),
            "writeback": unit(1, run.write_busy),
        },
        load,
    )


def of_layer(layer: Any) -> Account:
    """The same numbers from the simulator's result."""
    return Account(
        layer.cycles,
        layer.entries,
        layer.macs_executed,
        layer.macs_padding,
        dict(layer.cycles_by_cause),
        {name: {"count": unit.count, **unit.states} for name, unit in layer.units.items()},
        list(layer.pe_load),
    )
