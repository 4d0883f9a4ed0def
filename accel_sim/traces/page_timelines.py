"""Small timelines for the page of a report: what the units did while a matrix began to run."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.mixed_vector.cycle_loop import Cause, Parser
from accel_sim.dataflows.mixed_vector.recording import PassRecord, PassRecorder
from accel_sim.inputs.workload import Workload
from accel_sim.pipeline import Runs
from accel_sim.reports.figures.timeline import Timeline, Track
from accel_sim.traces.events import Recorder, Slices, stretches
from accel_sim.traces.record import (
    DRAM,
    PASSES,
    WRITE_BACK,
    Place,
    places_of,
    record_place,
    recorders,
)

MOST_SLICES = 600
"""Of a matrix: a page has to draw them."""
MOST_PLAIN = 60
"""Of a matrix whose units are not shown."""
DETAILED = 8
"""Matrices of a page whose units are shown, the slowest ones: each is simulated once more."""
STATES = {
    "first latency": "dram",
    "waits for DRAM": "dram",
    "waits for write-back": "writeback",
    "waits for XOR decoders": "decoder",
}
"""What a slice is called on the page, by its name in a trace."""
PARSERS = {Parser.IDLE: "idle", Parser.BUSY: "busy", Parser.QUEUE_FULL: "queue_full"}


def page_timelines(runs: Runs, workload: Workload) -> dict[str, Timeline]:
    """A timeline of each matrix by its name, from the first time that it runs."""
    machine, places = runs.machine, {}
    for place in places_of(runs):
        if place.run.tiles:
            places.setdefault(place.run.name, place)
    found = {name: _plain(place) for name, place in places.items()}
    if machine.is_stepped:
        slowest = sorted(places, key=lambda name: -places[name].time.cycles)[:DETAILED]
        passes = recorders(workload, machine, set(slowest))
        for name in slowest:
            found[name] = _of_a_pass(places[name], passes[name])
    return found


def _plain(place: Place) -> Timeline:
    """Loads, passes and write-backs from the start of a matrix, as many as the page draws."""
    start, end = place.time.start, place.time.end
    if len(place.passes) > MOST_PLAIN:
        end = int(place.passes[MOST_PLAIN - 1, 1])
    tracks = _recorded(place, end)
    # So many cycles that few enough slices begin before their end.
    begins = np.sort(np.concatenate([track.start for track in tracks]))
    last = max(int(begins[MOST_PLAIN]), start + 1) if len(begins) > MOST_PLAIN else end
    shown = _span(place, start, last)
    return Timeline(
        f"Loads, passes and write-backs, {shown}.",
        0,
        last - start,
        [_track(name, tracks, start, last) for name in (DRAM, PASSES, WRITE_BACK)],
    )


def _of_a_pass(place: Place, of: PassRecorder) -> Timeline:
    """What the units do until the end of the first pass, or until there are too many slices."""
    record, pe_rows = of.record(0, 0), of.machine.array.pe_rows
    start, (begin, end) = place.time.start, place.passes[0, :2].tolist()
    rows = [
        Track(f"PE row {r}", _slices(_taking(record, r), _taker_name, begin - start))
        for r in range(pe_rows)
    ]
    decoders = [
        Track(f"decoder {r}", _slices(_parsing(record, r), _parser_name, begin - start))
        for r in range(pe_rows)
    ]
    whole = [*decoders, *rows]
    last = end - start
    ends = sorted(slice_[1] for track in whole for slice_ in track.slices)
    if len(ends) > MOST_SLICES:
        last = min(last, ends[MOST_SLICES])
    tracks = _recorded(place, start + last)
    return Timeline(
        f"The first tile with the first tokens, {_span(place, start, start + last)}. A PE row is "
        "busy where any of its lane groups issues an entry, and a decoder where any of its parsers "
        "delivers one.",
        0,
        last,
        [
            _track(DRAM, tracks, start, start + last),
            _track(PASSES, tracks, start, start + last),
            *(_cut(track, last) for track in whole),
            _track(WRITE_BACK, tracks, start, start + last),
        ],
    )


def _recorded(place: Place, end: int) -> list[Slices]:
    """Loads, passes and write-backs from the start of a matrix to a cycle."""
    recorder = Recorder((place.time.start, end))
    tiles = int(np.searchsorted(place.passes[:: place.groups, 0], end))
    record_place(recorder, _head(place, max(tiles, 1)))
    return [track for track in recorder.trace("", ()).tracks if isinstance(track, Slices)]


def _head(place: Place, tiles: int) -> Place:
    """The place as if its matrix had only its first tiles; its end stays."""
    segment = place.segment
    cut = {
        key: getattr(segment, key)[:tiles]
        for key in ("room", "transfer", "lead", "is_bound", "is_awaited", "pass_cycles")
    }
    held = None if segment.held is None else segment.held[:tiles]
    return replace(
        place,
        run=replace(place.run, tiles=place.run.tiles[:tiles]),
        segment=replace(segment, **cut, held=held, write_cycles=segment.write_cycles[:tiles]),
        loads=place.loads[:tiles],
        passes=place.passes[: tiles * place.groups],
    )


def _span(place: Place, start: int, last: int) -> str:
    cycles = place.time.cycles
    if last - start >= cycles:
        return f"all {cycles:,} cycles"
    return f"cycles 0 to {last - start:,} of {cycles:,}"


def _track(name: str, tracks: Sequence[Slices], start: int, last: int) -> Track:
    """A track of the run between two of its cycles; of nested slices the inner ones."""
    found: list[tuple[int, int, str]] = []
    for track in tracks:
        if track.path != (name,):
            continue
        bounds = np.append(track.start, np.iinfo(np.int64).max)
        for i, label in enumerate(track.label.tolist()):
            is_outer = bounds[i + 1] < track.end[i]
            from_, to = max(int(track.start[i]), start), min(int(track.end[i]), last)
            if from_ < to and not is_outer:
                text = track.labels[int(label)]
                found.append((from_ - start, to - start, _state(text, name)))
    return Track(name, _merged(found))


def _state(label: str, track: str) -> str:
    if label in STATES:
        return STATES[label]
    # On the track of passes a cause bears its name; everything else is work.
    return label if track == PASSES and " " not in label else "busy"


def _merged(slices: Sequence[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Neighbours of one state as one slice."""
    found: list[tuple[int, int, str]] = []
    for start, end, state in slices:
        if found and found[-1][1] == start and found[-1][2] == state:
            found[-1] = (found[-1][0], end, state)
        else:
            found.append((start, end, state))
    return found


def _cut(track: Track, last: int) -> Track:
    kept = [(start, min(end, last), state) for start, end, state in track.slices if start < last]
    return Track(track.name, kept)


def _taking(record: PassRecord, row: int) -> NDArray[np.int64]:
    """The least `Cause` of a row's slots, in all columns, in each cycle."""
    groups = record.slots.groups
    of_row = record.log.takers[:, :, row * groups : (row + 1) * groups]
    return of_row.min(axis=(1, 2)).astype(np.int64)


def _parsing(record: PassRecord, row: int) -> NDArray[np.int64]:
    """The state of a row's parsers in each cycle: busy if one is, else the last `Parser`."""
    groups = record.slots.groups
    of_row = record.log.parsers[:, row * groups : (row + 1) * groups]
    is_busy = (of_row == Parser.BUSY).any(axis=1)
    return np.where(is_busy, Parser.BUSY, of_row.max(axis=1)).astype(np.int64)


def _taker_name(state: int) -> str:
    return Cause(state).name.lower()


def _parser_name(state: int) -> str:
    # A parser without words is what the decompressor waits for; the page knows that cause.
    return PARSERS.get(Parser(state), "decompressor")


def _slices(
    states: NDArray[np.int64], name: Callable[[int], str], offset: int
) -> list[tuple[int, int, str]]:
    """Stretches of one state that is not idle."""
    return [
        (offset + start, offset + end, name(state))
        for start, end, state in zip(*(each.tolist() for each in stretches(states)), strict=True)
        if name(state) != "idle"
    ]
