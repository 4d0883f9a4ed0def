"""What a timeline holds, whatever file it is written to: slices and counters on tracks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError

MOST_EVENTS = 1_000_000
"""A begin, an end and a value of a counter are an event each. Viewers stand a few million."""

Path = tuple[str, ...]
"""Names of the tracks above a track, and its own."""


@dataclass(frozen=True, eq=False)
class Slices:
    """Slices of one track by start, an outer one before those in it; int64 arrays, in cycles.

    label: of each, an index into `labels`. flow: slices with the same number are joined by an
    arrow, 0 is none. notes: figures of a slice by its place in the arrays.
    """

    path: Path
    labels: Sequence[str]
    label: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    flow: NDArray[np.int64]
    notes: Mapping[int, Mapping[str, int]]


@dataclass(frozen=True, eq=False)
class Counter:
    """A number that changes: `value` holds from `time` on; int64 arrays, by time."""

    path: Path
    unit: str
    time: NDArray[np.int64]
    value: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Trace:
    """A run in time. tracks: in the order in which they are shown; said: what it leaves out."""

    name: str
    tracks: Sequence[Slices | Counter]
    said: Sequence[str]


class Recorder:
    """Collects what happens between two cycles, and counts how many events that makes.

    window: first cycle, and the one behind the last; None for all.
    """

    def __init__(self, window: tuple[int, int] | None) -> None:
        self._window = window
        self._slices: dict[Path, list[Slices]] = {}
        self._counters: dict[Path, list[Counter]] = {}
        self._order: dict[Path, None] = {}
        self.events = 0

    def overlaps(self, start: int, end: int) -> bool:
        """Whether any of these cycles is recorded."""
        return self._window is None or (start < self._window[1] and end > self._window[0])

    def slices(
        self,
        path: Path,
        labels: Sequence[str],
        label: NDArray[np.integer],
        start: NDArray[np.integer],
        end: NDArray[np.integer],
        flow: NDArray[np.integer] | None = None,
        notes: Mapping[int, Mapping[str, int]] | None = None,
    ) -> None:
        """Add slices to a track; those without a cycle are left out."""
        self._order.setdefault(path)
        if flow is None:
            flow = np.zeros(len(start), np.int64)
        if self._window is not None:
            start, end = np.maximum(start, self._window[0]), np.minimum(end, self._window[1])
        kept = np.flatnonzero(end > start)
        self.events += 2 * len(kept)
        if self.is_too_long:
            return
        where = {int(old): new for new, old in enumerate(kept)} if notes else {}
        label, start, end, flow = (
            np.asarray(each[kept], np.int64) for each in (label, start, end, flow)
        )
        of_kept = {where[old]: note for old, note in (notes or {}).items() if old in where}
        found = Slices(path, labels, label, start, end, flow, of_kept)
        self._slices.setdefault(path, []).append(found)

    def counter(
        self, path: Path, unit: str, time: NDArray[np.integer], value: NDArray[np.integer]
    ) -> None:
        """Add values to a counter, of which only changes are kept."""
        self._order.setdefault(path)
        if not len(time):
            return
        changed = np.flatnonzero(np.diff(value, prepend=value[0] - 1))
        time, value = time[changed], value[changed]
        if self._window is not None:
            first, last = self._window
            from_ = max(int(np.searchsorted(time, first, side="right")) - 1, 0)
            to = int(np.searchsorted(time, last))
            time, value = np.maximum(time[from_:to], first), value[from_:to]
        self.events += len(time)
        if not self.is_too_long:
            time, value = np.asarray(time, np.int64), np.asarray(value, np.int64)
            self._counters.setdefault(path, []).append(Counter(path, unit, time, value))

    @property
    def is_too_long(self) -> bool:
        """Whether it has more events already than a trace may have."""
        return self.events > MOST_EVENTS

    def trace(
        self,
        name: str,
        said: Sequence[str],
        detailed: tuple[int, int] = (0, 0),
        recorded_to: int | None = None,
    ) -> Trace:
        """All of it.

        detailed: the cycles that make most of the events, of which a refusal names some.
        recorded_to: the cycle at which recording ended because it is too long; a refusal then
        names about how many events all of `detailed` would have.

        Raises:
            InputError: more than `MOST_EVENTS` events.
        """
        if self.is_too_long:
            first, last = detailed
            if self._window is not None:
                first, last = max(first, self._window[0]), min(last, self._window[1])
            events, found = self.events, f"{self.events:,}"
            if recorded_to is not None and first < recorded_to < last:
                events = events * (last - first) // (recorded_to - first)
                found = f"about {events:,}"
            fits = first + max((last - first) * MOST_EVENTS * 9 // (events * 10), 1)
            raise InputError(
                f"the trace would have {found} events, more than {MOST_EVENTS:,}; choose "
                f"fewer cycles, e.g. --trace-cycles {first}:{fits}, or a smaller layer with "
                "--trace-layer REGEX"
            )
        tracks: list[Slices | Counter] = []
        for path in self._order:
            if path in self._slices:
                tracks.append(_joined(path, self._slices[path]))
            elif path in self._counters:
                found = self._counters[path]
                tracks.append(
                    Counter(
                        path,
                        found[0].unit,
                        np.concatenate([each.time for each in found]),
                        np.concatenate([each.value for each in found]),
                    )
                )
        return Trace(name, tracks, said)


def _joined(path: Path, parts: Sequence[Slices]) -> Slices:
    """Parts of one track in one, by start, outer slices first."""
    names: dict[str, int] = {}
    label = []
    for part in parts:
        of_part = [names.setdefault(name, len(names)) for name in part.labels]
        label.append(np.array(of_part, np.int64)[part.label])
    start, end, flow = (
        np.concatenate([getattr(part, key) for part in parts]) for key in ("start", "end", "flow")
    )
    order = np.lexsort((-end, start))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    notes: dict[int, Mapping[str, int]] = {}
    before = 0
    for part in parts:
        notes |= {int(place[before + at]): note for at, note in part.notes.items()}
        before += len(part.start)
    labels = np.concatenate(label)[order]
    return Slices(path, list(names), labels, start[order], end[order], flow[order], notes)


def stretches(states: NDArray[np.integer]) -> tuple[NDArray[np.int64], ...]:
    """Where a state begins, ends, and which it is: of states (cycles,), each a stretch."""
    if not len(states):
        empty = np.zeros(0, np.int64)
        return empty, empty, empty
    start = np.flatnonzero(np.concatenate([[True], states[1:] != states[:-1]]))
    end = np.append(start[1:], len(states))
    return start, end, np.asarray(states[start], np.int64)
