"""How patterns are written: a name, and its numbers behind colons, e.g. "block:32" or "2:4"."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from sparse_formats.errors import SettingError, nearest

Numbers = Mapping[str, int | None]
"""Numbers of a pattern in their order, and what they are where they are left out; None: needed."""

LARGEST = 1 << 31
"""The largest number in a pattern's name; no axis of a matrix comes near it (chosen)."""

LONGEST_GROUP = 256
"""Of N:M and vector-wise patterns: an index within a group is a byte in memory."""


def check_groups(count: int, length: int) -> None:
    """SettingError unless `count` of `length` can be kept."""
    if not 1 <= count <= length <= LONGEST_GROUP:
        raise SettingError(
            "pattern",
            f"is {count}:{length}; the first number is how many are kept, the second of how many, "
            f"up to {LONGEST_GROUP}, e.g. 2:4",
        )


def check_terms(count: int, length: int, further: int, of: int) -> None:
    """SettingError unless both terms of a sum can be, and groups of the second are whole of the
    first."""
    check_groups(count, length)
    check_groups(further, of)
    if of % length:
        raise SettingError(
            "pattern",
            f"is {count}:{length} + {further}:{of}; the second number must divide the fourth, "
            "e.g. 2:4 + 1:8",
        )


def numbers_of(kind: Any, names: Sequence[str] | None = None) -> Numbers:
    """The numbers of a pattern's dataclass: its fields, or those of them that `names` has."""
    defaults = {
        field.name: None if field.default is MISSING else field.default for field in fields(kind)
    }
    return defaults if names is None else {name: defaults[name] for name in names}


def form(name: str, numbers: Numbers) -> str:
    """How a pattern is written; numbers that may be left out stand in brackets."""
    return name + "".join(
        f":{number.upper()}" if default is None else f"[:{number.upper()}]"
        for number, default in numbers.items()
    )


def parse_pattern(text: str, known: Mapping[str, Numbers]) -> tuple[str, dict[str, int]]:
    """The name of the pattern that `text` names, and the numbers that it gives.

    "2:4" is short for "n_m:2:4".

    Raises:
        SettingError: no pattern of `known`, or numbers that are missing, too many or too large.
    """
    name, *numbers = text.split(":") if not text[:1].isdigit() else ["n_m", *text.split(":")]
    if name not in known:
        raise SettingError("pattern", f"is {text!r}{nearest(name, known)}")
    mine = known[name]
    needed = sum(default is None for default in mine.values())
    if not needed <= len(numbers) <= len(mine) or not all(n.isdecimal() for n in numbers):
        raise SettingError(
            "pattern",
            f"is {text!r}; write {form(name, mine)} with whole numbers"
            if mine
            else f"is {text!r}; {name} takes no numbers",
        )
    if any(int(n) > LARGEST for n in numbers):
        raise SettingError("pattern", f"is {text!r}; its numbers go up to {LARGEST}")
    return name, {number: int(n) for number, n in zip(mine, numbers, strict=False)}
