"""What the figures of a run are drawn from: an item a matrix or an operator, and their phases."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from accel_sim.costs.energy import COMPONENTS
from accel_sim.dataflows.abstract.causes import Cause
from accel_sim.reports.glossary import cause_title, component_title
from accel_sim.reports.layer_labels import KIND_STYLES, MORE_COLOURS

MOST_PICTURES = 300
"""Of masks and timelines in a page, so that it stays small; the costliest matrices have them."""


@dataclass(frozen=True)
class Part:
    """Something that cycles or energy are spent on. words: what it means; colour: #RRGGBB."""

    key: str
    title: str
    words: str
    colour: str


@dataclass(frozen=True, kw_only=True)
class Item:
    """A matrix or an operator: a row of the table, a dot, a bar.

    short: name without what it shares with others; layer: None where it is in none. facts: further
    columns of the table, as text or number. causes: cycles by cause, parts: joules by component, as
    many as their phase names. bound: what bounds it, in words; "" where it takes no cycle.
    dense: cycles with nothing pruned, executed: MACs, kept: weights of `size`; 0 where there are
    none. steps: key, factor and speed-up after each (`figures.waterfall`), None where it has none.
    """

    name: str
    short: str
    kind: str
    layer: int | None
    cycles: int
    causes: Sequence[int]
    energy: float
    parts: Sequence[float]
    bytes: int
    executed: int
    bound: str
    facts: Mapping[str, str | float | None] = field(default_factory=dict)
    ideal: int = 0
    dense: int = 0
    kept: int = 0
    size: int = 0
    steps: Sequence[tuple[str, float, float]] | None = None
    load: Sequence[int] = ()
    picture: Mapping[str, Any] | None = None
    timeline: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Phase:
    """A part of a run that is shown by itself. steps: that it is the sum of."""

    name: str
    causes: Sequence[Part]
    components: Sequence[Part]
    total: Item
    items: Sequence[Item]
    steps: int = 1


@dataclass(frozen=True)
class RunFigures:
    """All that the script of a run's page draws. noun: what an item is, and several of them.

    peak: MACs a cycle; columns: of the table, keys of `script/item_table.js`.
    """

    noun: tuple[str, str]
    clock_hz: float
    peak: int
    dram_bytes_per_cycle: float
    columns: Sequence[str]
    kinds: Mapping[str, tuple[str, str]]
    phases: Sequence[Phase]

    def as_data(self) -> dict[str, Any]:
        """For `html.document`; what is empty is left out of items, of which there may be many."""
        data = asdict(self)
        for phase, given in zip(data["phases"], self.phases, strict=True):
            phase["items"] = [_compact(item) for item in given.items]
            phase["total"] = _compact(given.total)
        return data


def _compact(item: Item) -> dict[str, Any]:
    data = asdict(item)
    data["parts"] = [float(f"{joule:.5g}") for joule in item.parts]
    if item.steps is not None:
        data["steps"] = [
            (key, float(f"{f:.7g}"), float(f"{after:.7g}")) for key, f, after in item.steps
        ]
    return {key: value for key, value in data.items() if value not in (None, (), [], {}, "")}


def cause_parts(causes: Mapping[str, Cause]) -> list[Part]:
    """The causes as parts of cycles."""
    return [Part(key, cause_title(key), c.words, c.colour) for key, c in causes.items()]


def component_parts() -> list[Part]:
    """The components as parts of energy."""
    return [
        Part(key, component_title(key), component.words, component.colour)
        for key, component in COMPONENTS.items()
    ]


def kind_styles(kinds: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each kind; those without one of their own take the next free colour."""
    found, free = {}, iter(MORE_COLOURS * (1 + len(kinds) // len(MORE_COLOURS)))
    for kind in dict.fromkeys(kinds):
        found[kind] = KIND_STYLES[kind] if kind in KIND_STYLES else (next(free), "o")
    return found
