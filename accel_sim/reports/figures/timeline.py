"""What the units of a machine did while one matrix ran, cycle by cycle."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Track:
    """One unit. slices: (start, end, state) in cycles, the end left out; in order, disjoint.

    state: "busy", "idle", or a cause of `cycles_by_cause`, whose colour it gets.
    """

    name: str
    slices: Sequence[tuple[int, int, str]]


@dataclass(frozen=True)
class Timeline:
    """words: what is shown, as a sentence. first, last: the cycles at the ends of the axis."""

    words: str
    first: int
    last: int
    tracks: Sequence[Track]

    def as_data(self) -> dict[str, Any]:
        """For the page: slices as [start, cycles, number of the state]."""
        states: dict[str, int] = {}
        tracks = [
            {
                "name": track.name,
                "slices": [
                    [start, end - start, states.setdefault(state, len(states))]
                    for start, end, state in track.slices
                ],
            }
            for track in self.tracks
        ]
        ends = {"first": self.first, "last": self.last}
        return {"words": self.words, **ends, "states": list(states), "tracks": tracks}
