"""Patterns: where kept weights may lie. One file per pattern, listed here."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from pruning.patterns.block import Block
from pruning.patterns.coupled import Channel, Coupled, Head
from pruning.patterns.fine_grained import FineGrained
from pruning.patterns.hybrid import Hybrid
from pruning.patterns.lane_select import LaneSelect
from pruning.patterns.mixed_vectors import MixedVectors
from pruning.patterns.n_m import NM
from pruning.patterns.oriented_vectors import OrientedVectors
from pruning.patterns.pattern import Pattern
from pruning.patterns.rows_and_columns import Column, Row
from pruning.patterns.tiled_vectors import TiledVectors
from pruning.patterns.two_level import TwoLevel
from pruning.patterns.vector_wise import VectorWise
from sparse_formats.errors import SettingError, nearest

PATTERNS: Mapping[str, type[Pattern]] = {
    "mvp": MixedVectors,
    "mvp_tiled": TiledVectors,
    "vector": OrientedVectors,
    "two_level": TwoLevel,
    "lane_select": LaneSelect,
    "fine": FineGrained,
    "n_m": NM,
    "vector_wise": VectorWise,
    "block": Block,
    "row": Row,
    "column": Column,
    "channel": Channel,
    "head": Head,
    "coupled": Coupled,
    "hybrid": Hybrid,
}

LARGEST = 1 << 31
"""The largest number in a pattern's name; no axis of a matrix comes near it (chosen)."""


def forms() -> list[str]:
    """How each pattern is written: its name, and its numbers in capitals behind colons."""
    return [form(name, kind) for name, kind in PATTERNS.items()]


def form(name: str, kind: type[Pattern]) -> str:
    """How one pattern is written; numbers that may be left out stand in brackets."""
    defaults = {f.name: f.default for f in fields(kind)}  # type: ignore[arg-type]
    numbers = (
        f":{n.upper()}" if defaults[n] is MISSING else f"[:{n.upper()}]" for n in kind.numbers
    )
    return name + "".join(numbers)


def make_pattern(text: str, known: Mapping[str, Any]) -> Pattern:
    """The pattern that `text` names, e.g. "mvp", "block:32", "vector_wise:4:16" or "2:4".

    known: values by name; each pattern takes those that it has a field for.

    Raises:
        InputError: no such pattern, numbers missing, too many or out of range, a bad knob.
    """
    name, *numbers = text.split(":") if not text[:1].isdigit() else ["n_m", *text.split(":")]
    if name not in PATTERNS:
        raise SettingError("pattern", f"is {text!r}{nearest(name, PATTERNS)}")
    kind: Any = PATTERNS[name]
    needed = sum(f.name in kind.numbers and f.default is MISSING for f in fields(kind))
    if not needed <= len(numbers) <= len(kind.numbers) or not all(n.isdecimal() for n in numbers):
        raise SettingError(
            "pattern",
            f"is {text!r}; write {form(name, kind)} with whole numbers"
            if kind.numbers
            else f"is {text!r}; {name} takes no numbers",
        )
    if any(int(n) > LARGEST for n in numbers):
        raise SettingError("pattern", f"is {text!r}; its numbers go up to {LARGEST}")
    given = {field: int(n) for field, n in zip(kind.numbers, numbers, strict=False)}
    others = {f.name for f in fields(kind)} - set(kind.numbers)
    return kind(**given, **{name: known[name] for name in others if name in known})
