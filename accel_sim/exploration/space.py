"""What may be chosen: axes with a few values each, and values that follow those of an axis.

A space is finite: a range is written by its ends and its step or factor. So every point has a
number, equal points are recognised, and a small space can be tried to the end.

Where the accelerator is an axis, an axis of a key that one lacks does not exist there: this
accelerator has one point for all values of that axis.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from accel_sim.machines.load import full_key, typed_value
from sparse_formats.errors import InputError, nearest
from sparse_formats.files.toml import toml_value

WEIGHTS = ("mask", "pattern", "density")
"""Axes of what is simulated."""

ACCELERATOR_AXIS = "accelerator"
"""The axis of which machine it is; all others are keys of the machine."""

NAMED = (*WEIGHTS, ACCELERATOR_AXIS)

Choice = tuple[int, ...]
"""Of each axis, the number of its value."""

_RANGE_KEYS = ("low", "high", "step", "factor")
_MOST_VALUES = 10_000
"""Of an axis: more are a mistake in its step."""


@dataclass(frozen=True)
class Axis:
    """A key of the machine (`array.lanes`), or one of `NAMED`, and what it may be."""

    name: str
    values: tuple[Any, ...]

    @property
    def is_ordered(self) -> bool:
        """Whether neighbouring values are alike: numbers that rise or fall."""
        numbers = [v for v in self.values if isinstance(v, int | float) and v is not True]
        is_sorted = numbers in (sorted(numbers), sorted(numbers, reverse=True))
        return len(numbers) == len(self.values) > 2 and is_sorted


@dataclass(frozen=True)
class Link:
    """A key of the machine whose value is `factor` times that of the axis `follows`."""

    name: str
    follows: str
    factor: float = 1


@dataclass(frozen=True)
class Space:
    """All points that may be tried. lacking: the axes and links that an accelerator has not."""

    axes: tuple[Axis, ...]
    links: tuple[Link, ...] = ()
    lacking: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Points in all."""
        return sum(math.prod(map(len, branch)) for branch in self._branches)

    @property
    def is_branched(self) -> bool:
        """Whether some accelerator lacks an axis of another."""
        return any(self.lacking.values())

    @property
    def names(self) -> list[str]:
        """Of all values of a point."""
        return [each.name for each in (*self.axes, *self.links)]

    def choice(self, number: int) -> Choice:
        """The point of this number, from 0; the last axis turns fastest, accelerators slowest."""
        branches = iter(self._branches)
        branch = next(branches)
        while number >= (size := math.prod(map(len, branch))):
            number, branch = number - size, next(branches)
        found = []
        for values in reversed(branch):
            number, index = divmod(number, len(values))
            found.append(values[index])
        return tuple(reversed(found))

    def plain(self, choice: Choice) -> Choice:
        """The point that a choice is: axes that its accelerator lacks have their first value."""
        lacking = self._lacking(choice)
        return tuple(
            0 if axis.name in lacking else index
            for axis, index in zip(self.axes, choice, strict=True)
        )

    def values(self, choice: Choice) -> dict[str, Any]:
        """What every axis and every linked key is at a point, without those that it lacks."""
        lacking = self._lacking(choice)
        found = {
            axis.name: axis.values[index]
            for axis, index in zip(self.axes, choice, strict=True)
            if axis.name not in lacking
        }
        return found | {
            link.name: _times(found[link.follows], link.factor)
            for link in self.links
            if link.name not in lacking
        }

    def _lacking(self, choice: Choice) -> frozenset[str]:
        names = [axis.name for axis in self.axes]
        if ACCELERATOR_AXIS not in names:
            return frozenset()
        at = names.index(ACCELERATOR_AXIS)
        return self.lacking.get(self.axes[at].values[choice[at]], frozenset())

    @cached_property
    def _branches(self) -> tuple[tuple[Sequence[int], ...], ...]:
        """Of each accelerator, which values of each axis make points of it."""
        whole = [range(len(axis.values)) for axis in self.axes]
        names = [axis.name for axis in self.axes]
        if ACCELERATOR_AXIS not in names:
            return (tuple(whole),)
        at = names.index(ACCELERATOR_AXIS)
        return tuple(
            tuple(
                (number,) if i == at else each[:1] if name in self.lacking.get(one, ()) else each
                for i, (name, each) in enumerate(zip(names, whole, strict=True))
            )
            for number, one in enumerate(self.axes[at].values)
        )

    def __iter__(self) -> Iterator[Choice]:
        return (self.choice(number) for number in range(self.size))


def _times(value: Any, factor: float) -> Any:
    if factor == 1:
        return value
    product = value * factor
    return int(product) if float(product).is_integer() else product


def accelerators_in(tables: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """The values of the axis of accelerators; none where it is no axis.

    Raises:
        InputError: they are no names.
    """
    found: list[str] = []
    for where, table in tables:
        if ACCELERATOR_AXIS in table:
            item = table[ACCELERATOR_AXIS]
            names = item if isinstance(item, list) else [item]
            for name in names:
                if not isinstance(name, str):
                    raise InputError(f"{where}: {ACCELERATOR_AXIS} is {name!r}; give names")
            found += names
    return list(dict.fromkeys(found))


def read_space(
    tables: Iterable[tuple[str, Mapping[str, Any]]],
    dataflows: Mapping[str, str],
    masks: Sequence[str],
) -> Space:
    """The space of `(where, table)`, where a table holds what stands under [space].

    dataflows: by accelerator, of all that may be chosen. masks: names that the axis "mask" may
    take; it is an axis where there are some.

    Raises:
        InputError: a key that no machine has, a value of another type or out of range, a key
            that stands there twice, links that follow each other or nothing, a space without axes.
    """
    kinds = list(dict.fromkeys(dataflows.values()))
    axes: dict[str, Axis] = {}
    texts: dict[str, tuple[str, str]] = {}
    places: dict[str, str] = {}
    for where, table in tables:
        for key, item in _flat(table, kinds, where):
            if key in places:
                raise InputError(
                    f"{where}: {key} stands in {places[key]} too; leave one of them out"
                )
            places[key] = where
            if isinstance(item, str) and key not in NAMED:
                texts[key] = item, where
            else:
                axes[key] = Axis(key, _values(item, key, kinds, masks, f"{where}: {key}"))
    if masks and "mask" not in axes:
        axes["mask"] = Axis("mask", tuple(masks))
    links = tuple(_link(key, axes, texts, kinds) for key in texts)
    if not axes:
        raise InputError(
            "the space has no axis; give --vary KEY=A,B,C, or a file with [space] by --space"
        )
    lacking = {name: _lacking(axes, links, dataflow) for name, dataflow in dataflows.items()}
    return Space(tuple(axes.values()), links, lacking)


def _lacking(axes: Iterable[str], links: Iterable[Link], dataflow: str) -> frozenset[str]:
    """The axes and links that machines of this dataflow do not have."""
    found = {name for name in axes if name not in NAMED and not _has(name, dataflow)}
    followers = {
        link.name for link in links if not _has(link.name, dataflow) or link.follows in found
    }
    return frozenset(found | followers)


def _has(key: str, dataflow: str) -> bool:
    try:
        return full_key(key, dataflow) == key
    except InputError:
        return False


def _full_key(key: str, dataflows: Sequence[str], others: Iterable[str]) -> str:
    """The key's full name on those machines that have it; see `full_key`."""
    found: dict[str, None] = {}
    problem: InputError | None = None
    for dataflow in dataflows:
        try:
            found[full_key(key, dataflow, others)] = None
        except InputError as error:
            problem = problem or error
    if not found:
        raise problem or InputError("no machine")
    if len(found) > 1:
        raise InputError(f"{key!r} could mean {' or '.join(found)}; name one")
    return next(iter(found))


def vary_table(words: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What `--vary KEY=A,B,C` says, word by word, as tables of [space].

    Raises:
        InputError: a word of another form.
    """
    for word in words:
        key, equals, text = (part.strip() for part in word.partition("="))
        if not (key and equals and text) or len(word.splitlines()) != 1:
            raise InputError(
                f"--vary {word!r} is not KEY=VALUES; write for example --vary array.lanes=8,16,32"
            )
        values = toml_value(f"[{text}]")
        if isinstance(values, str):  # bare words are no TOML
            values = [toml_value(_with_zero(each.strip())) for each in text.split(",")]
        is_range = len(values) == 1 and isinstance(values[0], dict)
        yield f"--vary {word}", {key: values[0] if is_range else values}


def _with_zero(word: str) -> str:
    """`.2` is 0.2 to people, but not to TOML."""
    return f"0{word}" if re.fullmatch(r"\.\d+", word) else word


def _flat(
    table: Mapping[str, Any], dataflows: Sequence[str], where: str
) -> Iterator[tuple[str, Any]]:
    """Full keys and what is said of them; `[space.array] lanes = …` is `"array.lanes" = …`."""
    for name, item in table.items():
        if isinstance(item, Mapping) and not set(item) & set(_RANGE_KEYS):
            inner = {f"{name}.{leaf}": value for leaf, value in item.items()}
        else:
            inner = {name: item}
        for key, value in inner.items():
            if key in NAMED:
                yield key, value
                continue
            try:
                yield _full_key(key, dataflows, NAMED), value
            except InputError as error:
                raise InputError(f"{where} {error}") from None


def _values(
    item: Any, key: str, dataflows: Sequence[str], masks: Sequence[str], where: str
) -> tuple[Any, ...]:
    listed = _of_range(item, where) if isinstance(item, Mapping) else item
    if not isinstance(listed, list):
        listed = [listed]
    if not listed:
        raise InputError(f"{where} has no value; give at least one")
    found = []
    for value in listed:
        typed = _named_value(value, key, masks, where) if key in NAMED else None
        if typed is None:
            having = next(dataflow for dataflow in dataflows if _has(key, dataflow))
            try:
                typed = typed_value(value, key, having)
            except InputError as error:
                raise InputError(f"{where.removesuffix(key)}{error}") from None
        if typed in found:
            raise InputError(f"{where} has {value!r} twice; leave one out")
        found.append(typed)
    return tuple(found)


def _named_value(value: Any, key: str, masks: Sequence[str], where: str) -> Any:
    if key == "density":
        is_share = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_share or not 0 <= value <= 1:
            raise InputError(f"{where} is {value!r}; give numbers from 0 to 1")
        return float(value)
    if not isinstance(value, str):
        raise InputError(f"{where} is {value!r}; give names")
    if key == "mask" and value not in masks:
        raise InputError(
            f"{where} is {value!r}"
            + (nearest(value, masks) if masks else "; name the mask and its file under [masks]")
        )
    return value


def _of_range(item: Mapping[str, Any], where: str) -> list[Any]:
    """`{ low = 8, high = 64, factor = 2 }` → 8, 16, 32, 64."""
    for name, value in item.items():
        if name not in _RANGE_KEYS:
            raise InputError(f"{where}: unknown key {name!r}{nearest(name, _RANGE_KEYS)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            raise InputError(f"{where}: {name} is {value!r}; give a number")
    example = "write { low = 8, high = 64, step = 8 }, or factor = 2 in place of the step"
    if not {"low", "high"} <= set(item) or len(item) > 3:
        raise InputError(f"{where} is no range; {example}")
    low, high = item["low"], item["high"]
    step, factor = item.get("step", 1), item.get("factor")
    if low > high:
        raise InputError(f"{where}: low is {low} and high is {high}; give a high that is not less")
    if factor is None and step <= 0:
        raise InputError(f"{where}: step is {step}; give one above 0")
    if factor is not None and (factor <= 1 or low <= 0):
        raise InputError(f"{where}: a factor must be above 1, and low above 0; {example}")
    found = []
    value = low
    while value <= high * (1 + 1e-12):
        found.append(int(value) if float(value).is_integer() else value)
        # From the first value, so that errors of rounding do not add up.
        count = len(found)
        value = low + count * step if factor is None else low * factor**count
        if count > _MOST_VALUES:
            raise InputError(f"{where} has more than {_MOST_VALUES:,} values; {example}")
    return found


def _link(
    key: str,
    axes: Mapping[str, Axis],
    texts: Mapping[str, tuple[str, str]],
    dataflows: Sequence[str],
) -> Link:
    """The link of a key, through those that it follows, to an axis."""
    factor, name, passed = 1.0, key, [key]
    where = texts[key][1]
    while name in texts:
        text, _ = texts[name]
        number, times, followed = text.rpartition("*")
        value = toml_value(number) if times else 1
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise InputError(
                f"{where}: {name} is {text!r}; write a key, or a number times a key such as "
                '"2 * array.lanes"'
            )
        try:
            name = _full_key(followed.strip(), dataflows, ())
        except InputError as error:
            raise InputError(
                f"{where}: {passed[-1]} is {text!r}, which names the key that it follows: {error} "
                f"For a value, write [{text!r}]."
            ) from None
        if name in passed:
            circle = " → ".join([*passed[passed.index(name) :], name])
            raise InputError(f"{where}: {circle} follow each other; give one of them values")
        factor *= value
        passed.append(name)
    if name not in axes:
        raise InputError(
            f"{where}: {passed[-2]} follows {name}, which is no axis; give {name} values, or "
            f"{passed[-2]} its own{nearest(name, axes)}"
        )
    if factor != 1 and any(isinstance(v, bool | str | tuple) for v in axes[name].values):
        raise InputError(f"{where}: {key} is a number times {name}, whose values are no numbers")
    return Link(key, name, int(factor) if factor.is_integer() else factor)
