"""A Perfetto file as slices and counters again, read with the protobufs of the perfetto package."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PathOfTrack = tuple[str, ...]


@dataclass
class Read:
    """What a file holds, track by track.

    slices: (name, start, end, flows, notes), by start, outer ones first; counters: (time, value);
    order: tracks from top to bottom; process: the name of all.
    """

    process: str = ""
    order: list[int] = field(default_factory=list)
    slices: dict[PathOfTrack, list[tuple[str, int, int, tuple[int, ...], dict[str, int]]]] = field(
        default_factory=dict
    )
    counters: dict[PathOfTrack, list[tuple[int, int]]] = field(default_factory=dict)
    units: dict[PathOfTrack, str] = field(default_factory=dict)


def read(path: Path) -> Read:
    """Decode; every end must close a slice of its track that is open."""
    # The package has no types, and its trace processor is a program that it would download.
    from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as protos  # pyright: ignore

    trace: Any = protos.Trace()  # pyright: ignore
    trace.ParseFromString(path.read_bytes())
    found, names, paths = Read(), dict[int, str](), dict[int, PathOfTrack]()
    open_: dict[int, list[tuple[int, Any]]] = {}
    kind = protos.TrackEvent  # pyright: ignore
    for packet in trace.packet:
        if packet.HasField("track_descriptor"):
            track = packet.track_descriptor
            assert track.child_ordering == track.EXPLICIT
            if track.HasField("process"):
                found.process, paths[track.uuid] = track.process.process_name, ()
                continue
            assert track.sibling_order_rank >= len(found.order)
            found.order.append(track.uuid)
            paths[track.uuid] = (*paths[track.parent_uuid], track.name)
            if track.HasField("counter"):
                found.units[paths[track.uuid]] = track.counter.unit_name
        for name in packet.interned_data.event_names:
            names[name.iid] = name.name
        if not packet.HasField("track_event"):
            continue
        event, time = packet.track_event, packet.timestamp
        where = paths[event.track_uuid]
        if event.type == kind.TYPE_COUNTER:
            found.counters.setdefault(where, []).append((time, event.counter_value))
        elif event.type == kind.TYPE_SLICE_BEGIN:
            found.slices.setdefault(where, []).append(("", 0, 0, (), {}))
            open_.setdefault(event.track_uuid, []).append((len(found.slices[where]) - 1, packet))
        else:
            assert event.type == kind.TYPE_SLICE_END
            at, begin = open_[event.track_uuid].pop()
            opened = begin.track_event
            found.slices[where][at] = (
                names[opened.name_iid],
                begin.timestamp,
                time,
                (*opened.flow_ids, *opened.terminating_flow_ids),
                {note.name: note.int_value for note in opened.debug_annotations},
            )
    assert not any(open_.values())
    return found
