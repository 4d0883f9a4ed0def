"""How pictures tell layers apart: by short names, and by the colour and marker of their kind."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sparse_formats.files.pictures import drawable
from sparse_formats.masks.matrix_names import NOT_IN_A_LAYER, layer_of

KIND_STYLES = {
    "Q": ("#332288", "o"),
    "K": ("#88CCEE", "s"),
    "V": ("#44AA99", "^"),
    "QKV": ("#332288", "D"),
    "attention out": ("#117733", "D"),
    "FFN1": ("#DDAA33", "v"),
    "gate": ("#999933", "P"),
    "up": ("#DDAA33", "<"),
    "FFN2": ("#CC6677", "X"),
    "down": ("#CC6677", ">"),
    "embedding": ("#AA4499", "h"),
    "head": ("#882255", "*"),
    "other": ("#777777", "o"),
}
"""Colour and marker of each kind of matrix; the two together are never the same."""

MORE_COLOURS = ("#0077BB", "#33BBEE", "#009988", "#EE7733", "#CC3311", "#EE3377", "#BBBBBB")
"""For kinds that are no matrix, e.g. softmax; Paul Tol's vibrant ones."""


def short_names(layers: Sequence[Mapping[str, Any]]) -> list[str]:
    """`encoder.layer.3.attention.self.query.weight` → `3 Q`; no two layers get the same label."""
    labels = [_short_name(layer) for layer in layers]
    words = [_words(layer["name"]) for layer in layers]
    groups: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        groups.setdefault(label, []).append(index)
    unique = list(labels)
    for label, group in groups.items():
        shared = set.intersection(*(set(words[index]) for index in group))
        for index in group if len(group) > 1 else ():
            own = " ".join(word for word in words[index] if word not in shared)
            unique[index] = f"{label} {elided(own, 18)}".rstrip()
    return [
        label if unique.count(label) == 1 else f"{label} #{index + 1}"
        for index, label in enumerate(unique)
    ]


def _short_name(layer: Mapping[str, Any]) -> str:
    number, kind = layer_of(layer["name"]), layer["kind"]
    if number is not None and kind in KIND_STYLES and kind not in NOT_IN_A_LAYER:
        return f"{number} {kind}"
    name = drawable(layer["name"].removesuffix(".weight"))
    return elided(name or "(no name)", 28, at_start=True)


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^A-Za-z0-9]+", name) if word]


def known_kind(layer: Mapping[str, Any]) -> str:
    """A key of `KIND_STYLES`."""
    return layer["kind"] if layer["kind"] in KIND_STYLES else "other"


def elided(text: str, length: int, *, at_start: bool = False) -> str:
    """`text`, cut to `length` with … at its start or end."""
    if len(text) <= length:
        return text
    return f"…{text[1 - length :]}" if at_start else f"{text[: length - 1]}…"
