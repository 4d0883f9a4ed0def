"""Patterns: where kept weights may lie. One file per pattern, listed here."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pruning.patterns.block import Block
from pruning.patterns.column_combining import ColumnCombining
from pruning.patterns.coupled import Channel, Coupled, Head
from pruning.patterns.fine_grained import FineGrained
from pruning.patterns.hierarchical_n_m import HierarchicalNM
from pruning.patterns.hybrid import Hybrid
from pruning.patterns.lane_select import LaneSelect
from pruning.patterns.mixed_vectors import MixedVectors
from pruning.patterns.n_m import NM
from pruning.patterns.n_m_or_dense import NMOrDense
from pruning.patterns.oriented_vectors import OrientedVectors
from pruning.patterns.pattern import Pattern
from pruning.patterns.rows_and_columns import Column, Row
from pruning.patterns.sum_n_m import SumNM
from pruning.patterns.tiled_vectors import TiledVectors
from pruning.patterns.two_level import TwoLevel
from pruning.patterns.vector_wise import VectorWise
from sparse_formats.masks.pattern_text import Numbers, form, numbers_of, parse_pattern

PATTERNS: Mapping[str, type[Pattern]] = {
    "mvp": MixedVectors,
    "mvp_tiled": TiledVectors,
    "vector": OrientedVectors,
    "two_level": TwoLevel,
    "lane_select": LaneSelect,
    "fine": FineGrained,
    "n_m": NM,
    "vector_wise": VectorWise,
    "hierarchical_n_m": HierarchicalNM,
    "sum_n_m": SumNM,
    "n_m_or_dense": NMOrDense,
    "block": Block,
    "combined": ColumnCombining,
    "row": Row,
    "column": Column,
    "channel": Channel,
    "head": Head,
    "coupled": Coupled,
    "hybrid": Hybrid,
}


def forms() -> list[str]:
    """How each pattern is written: its name, and its numbers in capitals behind colons."""
    return [form(name, numbers) for name, numbers in _numbers().items()]


def make_pattern(text: str, known: Mapping[str, Any]) -> Pattern:
    """The pattern that `text` names, e.g. "mvp", "block:32", "vector_wise:4:16" or "2:4".

    known: values by name; each pattern takes those that it has a field for.

    Raises:
        InputError: no such pattern, numbers missing, too many or out of range, a bad knob.
    """
    name, given = parse_pattern(text, _numbers())
    kind: Any = PATTERNS[name]
    others = {f.name for f in fields(kind)} - set(kind.numbers)
    return kind(**given, **{name: known[name] for name in others if name in known})


def _numbers() -> dict[str, Numbers]:
    return {name: numbers_of(kind, kind.numbers) for name, kind in PATTERNS.items()}
