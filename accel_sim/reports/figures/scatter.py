"""Points of a comparison, a frontier or a study: what each is, and the command that makes it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["front", "knee", "beaten", "floor", "dense"]

STATES: dict[State, str] = {
    "front": "on the front: no point is better in all figures that count",
    "knee": "the knee of the front",
    "beaten": "another point is at least as good in all figures that count",
    "floor": "a floor, which any useful point must beat",
    "dense": "nothing pruned",
}
"""What the states of points mean."""

COLOURS = ("#0077BB", "#EE7733", "#009988", "#CC3311", "#AA4499", "#DDAA33", "#33BBEE", "#777777")
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "h", "<", ">", "*")


@dataclass(frozen=True)
class Axis:
    """A figure that points have. unit: "%" and "×" are written as such, others with SI prefixes."""

    key: str
    words: str
    unit: str
    lower_is_better: bool = True


@dataclass(frozen=True)
class Point:
    """values: by axis. facts: what it is, as title and text; commands: that make it again."""

    label: str
    values: Mapping[str, float | None]
    facts: Sequence[tuple[str, str]]
    state: State
    group: int = 0
    commands: Sequence[str] = ()


@dataclass(frozen=True)
class Scatter:
    """Points over each other's figures, of which the first two axes are shown first.

    name: the id of its place in the page. groups: of points that look alike, e.g. of one machine.
    """

    name: str
    axes: Sequence[Axis]
    points: Sequence[Point]
    groups: Sequence[str] = ("all",)

    def as_data(self) -> dict[str, Any]:
        """For the page."""
        return {
            "id": self.name,
            "axes": [
                {
                    "key": axis.key,
                    "words": axis.words,
                    "unit": axis.unit,
                    "lowerIsBetter": axis.lower_is_better,
                }
                for axis in self.axes
            ],
            "points": [asdict(point) for point in self.points],
            "groups": [
                {
                    "name": name,
                    "colour": COLOURS[i % len(COLOURS)],
                    "marker": MARKERS[i % len(MARKERS)],
                }
                for i, name in enumerate(self.groups)
            ],
            "states": STATES,
        }
