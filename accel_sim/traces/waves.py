"""Signals of the mixed-vector machine, under the names that they have in its hardware (rtl/).

docs/timeline.md lists them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.mixed_vector.configuration import Configuration
from accel_sim.dataflows.mixed_vector.cycle_loop import Cause, Parser
from accel_sim.dataflows.mixed_vector.recording import PassRecord
from accel_sim.inputs.workload import Workload
from accel_sim.pipeline import Runs
from accel_sim.traces.events import Path, Recorder, Trace
from accel_sim.traces.record import Place, Wish, detailed, places_of, ready_of, recorders, span_of
from sparse_formats.errors import SettingError

MACHINE: Path = ("bench", "machine")
_STATE = np.zeros(len(Cause), np.int64)
_STATE[Cause.BUSY], _STATE[Cause.ZERO_SKIP], _STATE[Cause.WINDOW] = 1, 2, 4
_STATE[Cause.DECOMPRESSOR] = 8
_STALL = np.zeros(len(Parser), np.int64)
_STALL[Parser.QUEUE_FULL], _STALL[Parser.WEIGHT_BUFFER] = 1, 2


MOST_COLUMNS = 62
"""Token columns up to which signals with a bit for each are shown."""


def slot_path(row: int, slot: int) -> Path:
    """Of a slot of a PE row."""
    return (*MACHINE, f"rows[{row}]", "pe_row", f"slots[{slot}]", "slot")


def record_waves(runs: Runs, workload: Workload, wish: Wish) -> Trace:
    """The signals of the layers that are wished, one behind the other.

    A counter is a signal, and its unit says how many bits it has.

    Raises:
        SettingError: as `check_waves` and `detailed`.
        InputError: too many changes.
    """
    check_waves(runs.machine)
    places = places_of(runs)
    names = detailed(places, wish)
    shown = [place for place in places if place.run.name in names and place.run.tiles]
    signals = _Signals(Recorder(wish.cycles))
    passes = recorders(workload, runs.machine, names)
    machine = next(iter(passes.values())).machine
    _record_schedule(signals, shown, machine)
    for place in shown:
        of, groups = passes[place.run.name], place.groups
        _record_between(signals, place.time.start, of.lane_groups, machine)
        for number, (start, end) in enumerate(place.passes[:, :2].tolist()):
            if signals.recorder.overlaps(start, end):
                _record_pass(signals, of.record(*divmod(number, groups)), start, machine)
            if signals.recorder.is_too_long:
                # It is refused, and stepping all further passes could take minutes.
                return signals.recorder.trace(machine.title, (), span_of(places, names), end)
    return signals.recorder.trace(machine.title, (), span_of(places, names))


def check_waves(machine: Machine) -> None:
    """Refuse a machine that has no signals.

    Raises:
        SettingError: it is not stepped unit by unit.
    """
    if not machine.is_stepped:
        raise SettingError(
            "vcd",
            f"needs a machine that is stepped unit by unit, and {machine.name} is not; tf_mvp is",
        )


class _Signals:
    """Adds signals to a recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def add(
        self,
        path: Path,
        bits: int,
        time: NDArray[np.integer] | Sequence[int],
        value: NDArray[np.integer] | Sequence[int],
    ) -> None:
        self.recorder.counter(path, str(bits), np.asarray(time), np.asarray(value))

    def during(self, name: str, spans: NDArray[np.int64]) -> None:
        """A bit of the machine that is 1 in these spans, which are in order and do not overlap."""
        spans = spans[spans[:, 1] > spans[:, 0]]
        # Where one span follows another without a gap it stays 1.
        changes = spans.ravel()
        values = np.tile([1, 0], len(spans))
        stays = np.flatnonzero(spans[1:, 0] == spans[:-1, 1])
        kept = np.ones(len(changes), np.bool_)
        kept[2 * stays + 1] = kept[2 * stays + 2] = False
        self.add((*MACHINE, name), 1, np.append([0], changes[kept]), np.append([0], values[kept]))


def _record_schedule(signals: _Signals, places: Sequence[Place], machine: Configuration) -> None:
    """What the sequencer, the port of the DRAM and the write-back do."""
    spans: dict[str, list[NDArray[np.int64]]] = {
        name: []
        for name in ("waits_tile", "waits_bank", "pass_starts", "pass_step", "pass_ends",
                     "layer_ends", "dram_waits", "dram_moves", "write_back_works")
    }  # fmt: skip
    tokens: list[tuple[int, int]] = []
    latency = machine.array.pe_latency_cycles
    for place in places:
        begin, end, write, written = place.passes.T
        loaded = place.loads[place.segment.transfer > 0]
        spans["dram_waits"].append(loaded[:, :2])
        spans["dram_moves"].append(loaded[:, 1:])
        before = np.append([place.time.start], end[:-1])
        ready = ready_of(place.segment, place.loads)
        banked = np.append([place.time.start] * 2, written[:-2])[: len(begin)]
        for name, upto in (
            ("waits_tile", np.repeat(ready, place.groups)),
            ("waits_bank", banked),
            ("pass_starts", begin + 1),
            ("pass_step", end - latency),
        ):
            from_ = before if name.startswith("waits") else begin
            spans[name].append(np.stack([from_, np.maximum(upto, from_)], axis=1))
        spans["pass_ends"].append(np.stack([end - 1, end], axis=1))
        spans["layer_ends"].append(np.array([[place.time.end - 1, place.time.end]]))
        spans["write_back_works"].append(np.stack([write, written], axis=1))
        sizes = np.tile(place.run.group_sizes, len(place.run.tiles))
        masks = [(1 << int(size)) - 1 for size in sizes]
        tokens += zip(before.tolist(), masks, strict=True)
        # Behind the last pass the first group would be next.
        tokens.append((int(end[-1]), masks[0]))
    for name, found in spans.items():
        signals.during(name, np.concatenate(found))
    if machine.array.token_columns > MOST_COLUMNS:
        return
    moments = np.array([moment for moment, _ in tokens])
    kept = np.append(np.diff(moments) > 0, True)
    values = np.array([mask for _, mask in tokens])
    signals.recorder.counter(
        (*MACHINE, "tokens"), str(machine.array.token_columns), moments[kept], values[kept]
    )


def _record_between(signals: _Signals, cycle: int, groups: int, machine: Configuration) -> None:
    """What stands where no pass is stepped: nothing is known, so slots wait for words."""
    window = (*MACHINE, "window")
    for path, bits in (
        ((*window, "base"), 16),
        ((*window, "loaded"), 16),
        ((*window, "is_full"), 1),
    ):
        signals.add(path, bits, [cycle], [0])
    for r in range(machine.array.pe_rows):
        signals.add((*MACHINE, f"rows[{r}]", "pe_row", "reads"), 1, [cycle], [0])
        for j in range(machine.most_groups):
            for path, (bits, _, outside) in _slot_signals(r, j, j < groups, machine).items():
                signals.add(path, bits, [cycle], [outside])


def _slot_signals(
    row: int, slot: int, exists: bool, machine: Configuration, record: PassRecord | None = None
) -> Mapping[Path, tuple[int, NDArray[Any] | None, int]]:
    """Bits, values in the cycles of a pass, and the value outside, of each signal of a slot."""
    path = slot_path(row, slot)
    columns = machine.array.token_columns
    takers = columns if machine.queue.per_column else 1
    found: dict[Path, tuple[int, NDArray[Any] | None, int]] = {}
    log = None if record is None else record.log
    s = 0 if record is None else row * record.slots.groups + slot

    def signal(name: Path, bits: int, values: NDArray[Any] | None, outside: int = 0) -> None:
        found[(*path, *name)] = bits, values, outside

    signal(("deliver",), 1, None if log is None else log.parsers[:, s] == Parser.BUSY)
    signal(("parser_stall",), 2, None if log is None else _STALL[log.parsers[:, s]], 2 * exists)
    signal(("waiting",), 16, None if log is None else log.waiting[:, s])
    for k in range(takers):
        name = (f"column[{k}]", "taker")
        state = count = dropped = issue = live = None
        if record is not None and log is not None:
            rows = log.takers.shape[1]
            if takers > 1 and k >= record.tokens:
                zero = np.zeros(record.cycles, np.int64)
                state = count = dropped = issue = live = zero
            else:
                at = min(k, rows - 1)
                state = _STATE[log.takers[:, at, s]]
                count = record.waiting_entries[:, at, s]
                dropped = record.dropped[:, at, s]
                entry = record.issued[:, at, s]
                issue = entry >= 0
                own = slice(k, k + 1) if takers > 1 else slice(None)
                live = issue if columns > MOST_COLUMNS else _live(record, entry, own)
        signal((*name, "state"), 4, state, 8 * exists)
        signal((*name, "count"), 8, count)
        signal((*name, "dropped"), 4, dropped)
        signal((*name, "issue"), 1, issue)
        if columns <= MOST_COLUMNS:
            signal((*name, "live"), columns // takers, live)
    return found


def _live(record: PassRecord, entry: NDArray[np.int64], tokens: slice) -> NDArray[np.int64]:
    """For which of the tokens the issued entry is live, a bit each: (cycles,)."""
    live = np.append(record.macs[tokens] > 0, np.zeros((len(record.macs[tokens]), 1)), axis=1)
    bits = 1 << np.arange(len(live), dtype=np.int64)
    return (live.astype(np.int64) * bits[:, None]).sum(axis=0)[entry]


def _record_pass(signals: _Signals, record: PassRecord, start: int, machine: Configuration) -> None:
    log, slots, cycles = record.log, record.slots, record.cycles
    moments = start + np.arange(cycles + 1)
    base, loaded = log.window.T
    window = (*MACHINE, "window")
    signals.add((*window, "base"), 16, moments, np.append(base, 0))
    signals.add((*window, "loaded"), 16, moments, np.append(loaded, 0))
    room = np.minimum(
        np.minimum(loaded + machine.matching.inputs_per_cycle, record.inputs),
        base + machine.matching.window_inputs,
    )
    is_full = (room <= loaded) & (loaded < record.inputs)
    signals.add((*window, "is_full"), 1, moments, np.append(is_full, 0))
    for r in range(machine.array.pe_rows):
        reads = (*MACHINE, f"rows[{r}]", "pe_row", "reads")
        signals.add(reads, 1, moments, np.append(log.reads[:, r], 0))
        for j in range(slots.groups):
            for path, (bits, values, outside) in _slot_signals(r, j, True, machine, record).items():
                assert values is not None
                signals.add(path, bits, moments, np.append(values, outside))
