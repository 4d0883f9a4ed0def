"""Sums over the slices and counters of a timeline, layer by layer, as a report counts them."""

from collections import Counter as Sums
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.mixed_vector.dataflow import MixedVector
from accel_sim.inputs.workload import Workload
from accel_sim.pipeline import Runs, simulate
from accel_sim.reports.report import LayerResult, Report
from accel_sim.traces.events import Counter, Path, Slices, Trace
from accel_sim.traces.record import DRAM, PASSES, WRITE_BACK, Wish, record

Tracks = Mapping[Path, Slices | Counter]
Span = tuple[int, int]
WAITS = {
    "waits for DRAM": "dram",
    "waits for write-back": "writeback",
    "waits for XOR decoders": "decoder",
}


def recorded(workload: Workload, machine: Machine, wish: Wish) -> tuple[Report, Trace]:
    """The report, and the timeline of the same run."""
    runs: list[Runs] = []
    report = simulate(workload, machine, threads=1, on_runs=runs.append)
    return report, record(runs[0], workload, wish)


def tracks_of(trace: Trace) -> Tracks:
    return {track.path: track for track in trace.tracks}


def spans(tracks: Tracks) -> list[tuple[str, Span]]:
    """Name, start and end of each layer each time it runs."""
    return [(name, span) for name, span, _ in slices(tracks, ("layers",))]


def slices(tracks: Tracks, path: Path) -> Iterator[tuple[str, Span, Mapping[str, int]]]:
    """Label, start and end, and notes of each slice of a track; none where there is no track."""
    track = tracks.get(path)
    if track is None:
        return
    assert isinstance(track, Slices)
    for i, label in enumerate(track.label.tolist()):
        span = int(track.start[i]), int(track.end[i])
        yield track.labels[int(label)], span, track.notes.get(i, {})


def cycles_by_label(tracks: Tracks, path: Path, within: Sequence[Span]) -> Sums[str]:
    """Cycles of the slices of each label in the spans."""
    sums: Sums[str] = Sums()
    for label, (start, end), _ in slices(tracks, path):
        sums[label] += sum(max(min(end, last) - max(start, first), 0) for first, last in within)
    return sums


def total(tracks: Tracks, path: Path, within: Sequence[Span]) -> int:
    """Sum of a counter over the cycles of the spans."""
    track = tracks.get(path)
    if track is None:
        return 0
    assert isinstance(track, Counter)
    end = np.append(track.time[1:], track.time[-1:])
    found = 0
    for first, last in within:
        overlap = np.minimum(end, last) - np.maximum(track.time, first)
        found += int((track.value * np.maximum(overlap, 0)).sum())
    return found


def causes_of(tracks: Tracks, within: Sequence[Span], causes: Sequence[str]) -> dict[str, int]:
    """Cycles by cause, from the slices in the passes and between them."""
    found = cycles_by_label(tracks, (PASSES,), within)
    found.update({WAITS[label]: found[label] for label in WAITS})
    return {cause: found[cause] for cause in causes}


def differences(report: Report, trace: Trace, machine: MixedVector) -> list[str]:
    """What the slices of a run, all layers in detail, sum to and the report does not say."""
    tracks = tracks_of(trace)
    where: dict[str, list[Span]] = {}
    for name, span in spans(tracks):
        where.setdefault(name, []).append(span)
    found: list[str] = []
    for layer in report.layers:
        expected = _expected(layer)
        ours = _summed(tracks, where[layer.name], layer, machine)
        found += [
            f"{layer.name}, {key}: slices {ours.get(key, 0)}, report {value}"
            for key, value in expected.items()
            if ours.get(key, 0) != value
        ]
    return found


def _expected(layer: LayerResult) -> dict[str, int]:
    """What slices can be summed to; idle is where there is no slice."""
    causes = layer.cycles_by_cause
    busy = ("compute", "empty_lanes", "lockstep", "imbalance")
    found = {f"critical {key}": n for key, n in causes.items() if key not in busy}
    found["critical busy"] = sum(causes[key] for key in busy)
    found["cycles"] = layer.cycles
    for kind, unit in layer.units.items():
        found |= {f"{kind} {state}": n for state, n in unit.states.items()}
    return found


def _summed(
    tracks: Tracks, within: Sequence[Span], layer: LayerResult, machine: MixedVector
) -> dict[str, int]:
    array, most = machine.array, machine.most_groups
    each = most // layer.lane_groups if layer.lane_groups else 1
    found: Sums[str] = Sums()
    found["cycles"] = sum(last - first for first, last in within)
    waits = causes_of(tracks, within, ["dram", "writeback"])
    critical = cycles_by_label(tracks, ("critical slot",), within)
    found.update({f"critical {state}": n for state, n in (critical + Sums(waits)).items()})

    passes = [
        (span, notes["tokens"])
        for label, span, notes in slices(tracks, (PASSES,))
        if "tokens" in notes and any(first <= span[0] < last for first, last in within)
    ]
    starts = np.array([span[0] for span, _ in passes])
    tokens = np.array([count for _, count in passes])
    in_passes = sum(last - first for (first, last), _ in passes)
    smallest = array.pe_rows * most
    for path in tracks:
        if len(path) != 2 or not path[0].startswith("PE row") or path[1] == "entries in queues":
            continue
        unit, _, column = path[1].partition(", column ")
        for label, (start, end), _ in slices(tracks, path):
            if not any(first <= start < last for first, last in within):
                continue
            times = end - start
            if unit.startswith("parser"):
                found[f"decompressor {label}"] += each * times
                continue
            columns = 1 if column else tokens[np.searchsorted(starts, start, side="right") - 1]
            found[f"pe {label}"] += each * times * columns
    issued = found["pe busy"]
    found["pe busy"] = each * total(tracks, ("lane groups that execute",), within)
    found["pe lockstep"] = issued - found["pe busy"]
    latency = array.pe_latency_cycles
    found["pe pipeline"] = latency * smallest * int(tokens.sum())
    assert critical["pipeline"] == latency * len(passes)
    for cause in ("dram", "writeback"):
        found[f"pe {cause}"] = waits[cause] * machine.pes * most
    found["lane busy"] = total(tracks, ("MACs",), within)
    lanes = array.lanes // most
    found["lane empty_lanes"] = found["pe busy"] * lanes - found["lane busy"]
    found["zero_skip busy"] = each * total(tracks, ("zero-skip, slots that drop",), within)
    window = cycles_by_label(tracks, ("window",), within)
    found.update({f"matching {state}": n for state, n in window.items()})
    dram = cycles_by_label(tracks, (DRAM,), within)
    found["dram first_latency"] = dram.pop("first latency", 0)
    found["dram busy"] = sum(dram.values())
    # A write-back of the last pass ends with the layer, so each lies within its layer.
    found["writeback busy"] = sum(cycles_by_label(tracks, (WRITE_BACK,), within).values())
    # No slice: idle, or PEs that are not busy.
    everything = {kind: unit.count for kind, unit in layer.units.items()}
    counts = {
        kind: sum(n for key, n in found.items() if key.startswith(f"{kind} "))
        for kind in everything
    }
    found["lane pe"] = machine.macs * found["cycles"] - counts["lane"]
    for kind in everything.keys() - {"lane"}:
        found[f"{kind} idle"] = everything[kind] * found["cycles"] - counts[kind]
    assert in_passes + waits["dram"] + waits["writeback"] == found["cycles"]
    return found
