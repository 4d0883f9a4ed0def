"""A run as a timeline: loads, passes and write-backs; the units of some layers cycle by cycle.

docs/timeline.md says what each track means.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import LayerRun, LayerTime, Tile
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.timeline import Schedule, Segment, schedule_of, segment_of
from accel_sim.dataflows.mixed_vector.recording import PassRecorder
from accel_sim.inputs.activations import Layer
from accel_sim.inputs.workload import Workload
from accel_sim.pipeline import Runs, each_layer
from accel_sim.traces.events import Recorder, Trace
from accel_sim.traces.units import record_units
from sparse_formats.errors import SettingError
from sparse_formats.masks.selection import compiled

LAYERS, DRAM, PASSES, WRITE_BACK = "layers", "DRAM", "passes", "write-back"
WEIGHT_BUFFER = "weight buffer"


@dataclass(frozen=True)
class Wish:
    """What is wanted in detail.

    layers: a regular expression of names; cycles: from A up to, without, B. Without either it is
    the layer that takes the most cycles; with cycles alone, all that run then.
    """

    layers: str | None = None
    cycles: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Place:
    """A layer at one of its places in time: rows of the schedule's loads and passes."""

    run: LayerRun
    segment: Segment
    time: LayerTime
    loads: NDArray[np.int64]
    passes: NDArray[np.int64]
    first_pass: int

    @property
    def groups(self) -> int:
        return len(self.run.group_sizes)


def places_of(runs: Runs) -> list[Place]:
    """Every layer each time it runs, in time."""
    segments = [segment_of(run, runs.machine) for run in runs.layers]
    schedule: Schedule = schedule_of([segments[i] for i in runs.order], runs.machine)
    places: list[Place] = []
    tile = first = 0
    for number, time in zip(runs.order, schedule.times, strict=True):
        run = runs.layers[number]
        passes = len(run.tiles) * len(run.group_sizes)
        places.append(
            Place(
                run,
                segments[number],
                time,
                schedule.loads[tile : tile + len(run.tiles)],
                schedule.passes[first : first + passes],
                first,
            )
        )
        tile += len(run.tiles)
        first += passes
    return places


def detailed(places: Sequence[Place], wish: Wish) -> set[str]:
    """Names of the layers whose units are shown.

    Raises:
        SettingError: the expression cannot be compiled or matches no layer; the run has ended
            before the cycles.
    """
    end = places[-1].time.end
    if wish.cycles is not None and wish.cycles[0] >= end:
        raise SettingError(
            "trace_cycles", f"begins at cycle {wish.cycles[0]:,}; the run ends at {end:,}"
        )
    if wish.layers is not None:
        pattern = compiled(wish.layers, "trace_layer")
        found = {place.run.name for place in places if pattern.search(place.run.name)}
        if not found:
            raise SettingError(
                "trace_layer",
                f"is {wish.layers!r}, which matches no layer; one is called {places[0].run.name}",
            )
        return found
    if wish.cycles is not None:
        first, last = wish.cycles
        return {p.run.name for p in places if p.time.start < last and p.time.end > first}
    return {max(places, key=lambda place: place.time.cycles).run.name}


def record(runs: Runs, workload: Workload, wish: Wish) -> Trace:
    """The whole run, with the units of the layers that are wished.

    Raises:
        InputError: too many events; SettingError: as `detailed`.
    """
    machine, places = runs.machine, places_of(runs)
    names = detailed(places, wish)
    recorder = Recorder(wish.cycles)
    _record_run(recorder, places)
    said = []
    if machine.is_stepped:
        passes = recorders(workload, machine, names)
        for place in places:
            if place.run.name in names and place.run.tiles:
                record_units(recorder, place.run, place.passes, passes[place.run.name])
    else:
        said.append(
            f"{machine.name} is not stepped unit by unit: its passes are shown with the cycles of "
            "each cause, which say how long and not when"
        )
    title = f"{machine.title}: 1 ns is 1 cycle at {machine.clock.clock_hz / 1e6:g} MHz"
    return recorder.trace(title, said, span_of(places, names))


def span_of(places: Sequence[Place], names: set[str]) -> tuple[int, int]:
    """From the start of the first of these layers to the end of the last."""
    times = [place.time for place in places if place.run.name in names]
    return times[0].start, times[-1].end


def recorders(workload: Workload, machine: Machine, names: set[str]) -> Mapping[str, PassRecorder]:
    """What steps the passes of these layers once more, on a machine that is stepped."""

    def of(layer: Layer) -> tuple[str, PassRecorder] | None:
        if layer.matrix.name not in names:
            return None
        inputs = workload.activations.inputs(layer, machine.numbers, is_multiplied=False)
        return layer.matrix.name, machine.pass_recorder(layer, inputs)

    return dict(found for found in each_layer(of, workload, machine, 1) if found is not None)


def _record_run(recorder: Recorder, places: Sequence[Place]) -> None:
    spans = np.array([[place.time.start, place.time.end] for place in places], np.int64)
    names = [place.run.name for place in places]
    recorder.slices((LAYERS,), names, np.arange(len(places)), spans[:, 0], spans[:, 1])
    rooms: list[tuple[int, int]] = []
    for place in places:
        if not place.run.tiles:
            continue
        record_place(recorder, place)
        ends = place.passes[place.groups - 1 :: place.groups, 1]
        loaded = np.flatnonzero(place.segment.transfer > 0)
        rooms += zip(place.loads[loaded, 0].tolist(), place.segment.room[loaded], strict=True)
        rooms += zip(ends[loaded].tolist(), -place.segment.room[loaded], strict=True)
    rooms.sort(key=lambda change: change[0])
    if rooms:
        moments, changes = np.array(rooms, np.int64).T
        last = np.append(np.diff(moments) > 0, True)
        recorder.counter(
            (f"{WEIGHT_BUFFER}, bytes taken",), "bytes", moments[last], np.cumsum(changes)[last]
        )


def record_place(recorder: Recorder, place: Place) -> None:
    """Loads, passes and write-backs of a layer at one of its places."""
    _record_loads(recorder, place)
    _record_passes(recorder, place)


def _record_loads(recorder: Recorder, place: Place) -> None:
    """The latency and the transfer of each tile; an arrow leads to the first pass over it."""
    start, first, end = place.loads.T
    tiles, name = np.arange(len(start)), place.run.name
    flow = 1 + place.first_pass + tiles * place.groups
    none = np.zeros_like(tiles)
    recorder.slices((DRAM,), ["first latency"], none, start, first)
    notes = {i: {"tile": i, "stored_bytes": tile.bytes} for i, tile in enumerate(place.run.tiles)}
    is_loaded = place.segment.transfer > 0
    recorder.slices((DRAM,), [name], none, np.where(is_loaded, first, end), end, flow, notes)


def _record_passes(recorder: Recorder, place: Place) -> None:
    """Waits, passes with the cycles of their causes where they are known, and write-backs."""
    run, groups = place.run, place.groups
    start, end, write_start, write_end = place.passes.T
    flow = 1 + place.first_pass + np.arange(len(start))
    tiles = np.repeat(np.arange(len(run.tiles)), groups)
    upto = np.cumsum(run.group_sizes).tolist()
    labels = [
        f"tile {i}, tokens {last - size} to {last - 1}"
        for i in range(len(run.tiles))
        for last, size in zip(upto, run.group_sizes.tolist(), strict=True)
    ]
    notes = {
        i: {"tile": int(tile), "tokens": int(run.group_sizes[i % groups])}
        for i, tile in enumerate(tiles)
    }
    for i, tile in enumerate(run.tiles):
        if any(isinstance(count, int) for count in tile.causes.values()):
            # Counted over all groups: told once, at the first of them.
            notes[i * groups] |= {
                f"cycles of {cause}, all groups": int(n) for cause, n in tile.causes.items()
            }
    each = np.arange(len(start))
    recorder.slices((PASSES,), labels, each, start, end, flow, notes)
    recorder.slices((WRITE_BACK,), labels, each, write_start, write_end, flow)
    record_waits(recorder, place.segment, place.time, place.loads, place.passes)
    for i, tile in enumerate(run.tiles):
        inner = list(_by_cause(tile, start[i * groups : (i + 1) * groups]))
        for cause, from_, to in inner:
            recorder.slices((PASSES,), [cause], np.zeros(groups, np.int64), from_, to)


def ready_of(segment: Segment, loads: NDArray[np.int64]) -> NDArray[np.int64]:
    """From which cycle on the first pass over each tile need not wait for it: int64 (tiles,)."""
    is_waited_for = segment.is_awaited & (segment.transfer > 0)
    return np.where(is_waited_for, loads[:, 1] + segment.lead, 0)


def record_waits(
    recorder: Recorder,
    segment: Segment,
    time: LayerTime,
    loads: NDArray[np.int64],
    passes: NDArray[np.int64],
) -> None:
    """What the array waits for before each pass, and behind the last one."""
    groups, start, end = segment.groups, passes[:, 0], passes[:, 1]
    before = np.concatenate([[time.start], end[:-1]])
    ready = ready_of(segment, loads)
    for_load = np.repeat(ready, groups) == start
    held = np.zeros_like(ready) if segment.held is None else segment.held
    # The last cycles of a wait are those by which XOR decoders hold the load up.
    decoded = start - np.where(for_load, np.minimum(start - before, np.repeat(held, groups)), 0)
    waits = ["waits for DRAM", "waits for write-back", "waits for XOR decoders"]
    recorder.slices((PASSES,), waits, np.where(for_load, 0, 1), before, decoded)
    recorder.slices((PASSES,), waits, np.full(len(start), 2), decoded, start)
    recorder.slices((PASSES,), waits, np.ones(1, np.int64), end[-1:], np.array([time.end]))


def _by_cause(
    tile: Tile, start: NDArray[np.int64]
) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.int64]]]:
    """The cycles of each cause in each pass over a tile, one cause behind the other."""
    if any(isinstance(count, int) for count in tile.causes.values()):
        return
    at = start
    for cause, count in tile.causes.items():
        upto = at + np.asarray(count, np.int64)
        yield cause, at, upto
        at = upto
