"""Which matrices of a layer work together, told by their names."""

import re
from collections.abc import Mapping, Sequence

from sparse_formats.masks.matrix_names import layer_of

ATTENTION = ("QKV", "Q", "K", "V", "attention out")
FEED_FORWARD = ("gate", "up", "FFN1", "down", "FFN2")
"""Kinds of the matrices that hold heads, and of those that hold hidden neurons."""


def matrices_together(kinds: Mapping[str, str], wanted: Sequence[str]) -> list[dict[str, str]]:
    """Matrices of the kinds `wanted` that work together, as kind → name, layer by layer.

    kinds: by name. Where a layer has several of a kind (cross-attention, experts), each stands
    with those whose names are nearest.
    """
    layers: dict[tuple[str, ...], list[str]] = {}
    for name, kind in kinds.items():
        if kind in wanted and (place := _up_to_layer(name)):
            layers.setdefault(place, []).append(name)
    found: list[dict[str, str]] = []
    for names in layers.values():
        by_kind = [[name for name in names if kinds[name] == kind] for kind in wanted]
        first = max(by_kind, key=len)
        mine = [{kinds[name]: name} for name in first]
        for name in (name for some in by_kind if some is not first for name in some):
            distances = [_distance(name, other) for other in first]
            mine[distances.index(min(distances))].setdefault(kinds[name], name)
        found += mine
    return found


def _up_to_layer(name: str) -> tuple[str, ...]:
    """The words of a name up to its layer's number; empty without one."""
    layer, words = layer_of(name), _words(name)
    numbers = (re.search(r"\d+$", word) for word in words)
    for i, number in enumerate(numbers):
        if number and int(number[0]) == layer:
            return words[: i + 1]
    return ()


def _distance(one: str, other: str) -> int:
    """Steps from one name to the other in the tree of modules."""
    a, b = _words(one), _words(other)
    shared = next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )
    return len(a) + len(b) - 2 * shared


def _words(name: str) -> tuple[str, ...]:
    return tuple(re.split(r"[._/]", name.removesuffix(".weight")))
