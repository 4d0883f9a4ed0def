"""Patterns: where kept weights may lie. One file per pattern, listed here."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from pruning.patterns.block import Block
from pruning.patterns.coupled import Channel, Coupled, Head
from pruning.patterns.fine_grained import FineGrained
from pruning.patterns.hybrid import Hybrid
from pruning.patterns.mixed_vectors import MixedVectors
from pruning.patterns.n_m import NM
from pruning.patterns.oriented_vectors import OrientedVectors
from pruning.patterns.pattern import Pattern
from pruning.patterns.rows_and_columns import Column, Row
from pruning.patterns.tiled_vectors import TiledVectors
from pruning.patterns.vector_wise import VectorWise
from sparse_formats.errors import InputError, nearest

PATTERNS: Mapping[str, type[Pattern]] = {
    "mvp": MixedVectors,
    "mvp_tiled": TiledVectors,
    "vector": OrientedVectors,
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


def make_pattern(text: str, knobs: Mapping[str, Any]) -> Pattern:
    """The pattern that `text` names, e.g. "mvp", "block:32", "vector_wise:4:16" or "2:4".

    knobs: values of the recipe's keys; each pattern takes those it knows.

    Raises:
        InputError: no such pattern, numbers missing, too many or out of range, a bad knob.
    """
    name, *numbers = text.split(":") if not text[:1].isdigit() else ["n_m", *text.split(":")]
    if name not in PATTERNS:
        raise InputError(f"unknown pattern {name!r}{nearest(name, PATTERNS)}")
    kind: Any = PATTERNS[name]
    needed = sum(f.name in kind.numbers and f.default is MISSING for f in fields(kind))
    if not needed <= len(numbers) <= len(kind.numbers) or not all(n.isdecimal() for n in numbers):
        form = ":".join([name, *(n.upper() for n in kind.numbers)])
        raise InputError(
            f"pattern {text!r}: write {form} with whole numbers"
            if kind.numbers
            else f"pattern {text!r}: {name} takes no numbers"
        )
    if any(int(n) > LARGEST for n in numbers):
        raise InputError(f"pattern {text!r}: its numbers go up to {LARGEST}")
    given = {field: int(n) for field, n in zip(kind.numbers, numbers, strict=False)}
    return kind(**given, **{key: knobs[key] for key in kind.knobs if key in knobs})
