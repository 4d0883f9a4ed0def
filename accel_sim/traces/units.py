"""The units of the mixed-vector machine on tracks: what each slot, parser and the window does."""

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import LayerRun
from accel_sim.dataflows.mixed_vector.configuration import Configuration
from accel_sim.dataflows.mixed_vector.cycle_loop import Cause, Parser
from accel_sim.dataflows.mixed_vector.recording import PassRecord, PassRecorder
from accel_sim.traces.events import Recorder, stretches

TAKER = [cause.name.lower() for cause in Cause]
PARSER = [state.name.lower() for state in Parser]
WINDOW = ["idle", "busy", "window_full"]
CRITICAL, WINDOW_TRACK, LATENCY = "critical slot", "window", "pipeline"


def row_name(row: int) -> str:
    return f"PE row {row}"


def record_units(
    recorder: Recorder,
    run: LayerRun,
    passes: NDArray[np.int64],
    of: PassRecorder,
) -> None:
    """The passes of a layer; passes: their start and end, in the order of the schedule."""
    groups = len(run.group_sizes)
    for number, (start, end) in enumerate(passes[:, :2].tolist()):
        if not recorder.overlaps(start, end):
            continue
        _record_pass(recorder, of.record(*divmod(number, groups)), start, end, of.machine)


def _record_pass(
    recorder: Recorder, record: PassRecord, start: int, end: int, machine: Configuration
) -> None:
    log, slots, cycles = record.log, record.slots, record.cycles
    moments = start + np.arange(cycles + 1)

    def states(path: tuple[str, ...], labels: list[str], found: NDArray[np.integer]) -> None:
        from_, to, state = stretches(found)
        shown = [labels[i] != "idle" for i in range(len(labels))]
        kept = np.array(shown, np.bool_)[state]
        recorder.slices(path, labels, state[kept], start + from_[kept], start + to[kept])

    def number(path: tuple[str, ...], unit: str, values: NDArray[np.integer]) -> None:
        recorder.counter(path, unit, moments, np.append(values, 0))

    row, slot = record.critical
    critical = log.takers[:, row, slot]
    if not len(record.macs[0]):
        critical = np.full(cycles, Cause.DECOMPRESSOR)
    states((CRITICAL,), TAKER, critical)
    stepped = start + cycles
    recorder.slices(
        (CRITICAL,), [LATENCY], np.zeros(1, np.int64), np.array([stepped]), np.array([end])
    )
    base, loaded = log.window.T
    enters = np.append(loaded[1:], loaded[-1] if cycles else 0) > loaded
    left = loaded < record.inputs
    if cycles:
        # What entered in the last cycle is seen by nobody; it is what the rules let in.
        room = min(
            machine.matching.inputs_per_cycle,
            int(base[-1]) + machine.matching.window_inputs - int(loaded[-1]),
            record.inputs - int(loaded[-1]),
        )
        enters[-1] = room > 0
    states((WINDOW_TRACK,), WINDOW, np.where(enters, 1, np.where(left, 2, 0)))
    number((f"{WINDOW_TRACK}, inputs held",), "inputs", loaded - base)
    macs, columns = record.executed()
    number(("MACs",), "MACs per cycle", macs)
    number(("lane groups that execute",), "per cycle", columns)
    drops = (record.dropped > 0).sum(axis=(1, 2))
    number(("zero-skip, slots that drop",), "per cycle", drops)
    number(("words in front of parsers",), "bytes", log.waiting.sum(axis=1) // 8)
    waiting = record.waiting_entries.sum(axis=1)
    rows = log.takers.shape[1]
    for r in range(machine.array.pe_rows):
        of_row = range(r * slots.groups, (r + 1) * slots.groups)
        number(
            (row_name(r), "entries in queues"),
            "entries",
            waiting[:, of_row.start : of_row.stop].sum(axis=1),
        )
        for j, s in enumerate(of_row):
            states((row_name(r), f"parser {j}"), PARSER, log.parsers[:, s])
            for k in range(rows):
                column = "" if rows == 1 else f", column {k}"
                states((row_name(r), f"slot {j}{column}"), TAKER, log.takers[:, k, s])
