"""Perfetto's binary trace (.pftrace), as ui.perfetto.dev opens it.

Field numbers: protos/perfetto/trace/perfetto_trace.proto of Perfetto, release 0.59. One cycle is
written as one nanosecond, because the format knows no cycles.
"""

from collections.abc import Iterator, Mapping

from accel_sim.traces.events import Counter, Path, Slices, Trace

_BEGIN, _END, _COUNTER = 1, 2, 4
_CLEARED, _NEEDS_STATE = 1, 2
_EXPLICIT_ORDER = 3
_PROCESS = 1
"""The identity of the track that holds all others."""


def encode(trace: Trace) -> Iterator[bytes]:
    """The file, piece by piece."""
    tracks = _tracks(trace)
    names: dict[str, int] = {}
    for track in trace.tracks:
        if isinstance(track, Slices):
            for label in track.labels:
                names.setdefault(label, len(names) + 1)
    process = _sub(3, _number(1, 1) + _text(6, trace.name))
    yield _packet(_sub(60, _number(1, _PROCESS) + process + _number(11, _EXPLICIT_ORDER)))
    units = {track.path: track.unit for track in trace.tracks if isinstance(track, Counter)}
    for rank, (path, uuid) in enumerate(tracks.items()):
        described = (
            _number(1, uuid)
            + _text(2, path[-1])
            + _number(5, tracks[path[:-1]] if path[:-1] else _PROCESS)
            + _number(11, _EXPLICIT_ORDER)
            + _number(12, rank)
        )
        if path in units:
            described += _sub(8, _text(6, units[path]))
        yield _packet(_sub(60, described))
    interned = b"".join(_sub(2, _number(1, iid) + _text(2, name)) for name, iid in names.items())
    yield _packet(_number(10, 1) + _sub(12, interned) + _number(13, _CLEARED))
    for track in trace.tracks:
        uuid = _number(11, tracks[track.path])
        yield from (
            _slices(track, uuid, names) if isinstance(track, Slices) else _values(track, uuid)
        )


def _tracks(trace: Trace) -> Mapping[Path, int]:
    """An identity for every track and every one above it."""
    found: dict[Path, int] = {}
    for track in trace.tracks:
        for depth in range(1, len(track.path) + 1):
            found.setdefault(track.path[:depth], len(found) + _PROCESS + 1)
    return found


def _slices(track: Slices, uuid: bytes, names: Mapping[str, int]) -> Iterator[bytes]:
    """Begins and ends in the order of time; an inner slice ends before the one around it."""
    begins = [_number(9, _BEGIN) + _number(10, names[label]) + uuid for label in track.labels]
    end_event = _number(9, _END) + uuid
    flows = _last_of_each(track)
    open_: list[int] = []
    for i, (start, end, label, flow) in enumerate(
        zip(
            track.start.tolist(),
            track.end.tolist(),
            track.label.tolist(),
            track.flow.tolist(),
            strict=True,
        )
    ):
        while open_ and open_[-1] <= start:
            yield _event(open_.pop(), end_event)
        body = begins[label]
        if flow:
            body += _fixed(48 if flow in flows else 47, flow)
        for key, value in track.notes.get(i, {}).items():
            body += _sub(4, _number(4, value) + _text(10, key))
        yield _event(start, body)
        open_.append(end)
    while open_:
        yield _event(open_.pop(), end_event)


def _last_of_each(track: Slices) -> set[int]:
    """Flows that end on this track: those of the write-back."""
    return set(track.flow.tolist()) if track.path == ("write-back",) else set()


def _values(track: Counter, uuid: bytes) -> Iterator[bytes]:
    kind = _number(9, _COUNTER) + uuid
    for time, value in zip(track.time.tolist(), track.value.tolist(), strict=True):
        yield _event(time, kind + _number(30, value))


def _event(cycle: int, body: bytes) -> bytes:
    return _packet(_number(8, cycle) + _number(10, 1) + _sub(11, body) + _number(13, _NEEDS_STATE))


def _packet(body: bytes) -> bytes:
    return _sub(1, body)


def _varint(value: int) -> bytes:
    """Seven bits a byte, least significant first; a negative number as 64 bits."""
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _fixed(field: int, value: int) -> bytes:
    return _varint(field << 3 | 1) + value.to_bytes(8, "little")


def _sub(field: int, body: bytes) -> bytes:
    """A field of so many bytes."""
    return _varint(field << 3 | 2) + _varint(len(body)) + body


def _text(field: int, text: str) -> bytes:
    return _sub(field, text.encode())
