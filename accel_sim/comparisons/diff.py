"""What changed between two reports: the machine, each layer, and where its cycles and energy go."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sparse_formats.files.reading import read_json


@dataclass(frozen=True)
class Change:
    """One figure before and after; None where it was not there."""

    what: str
    before: float | None
    after: float | None

    @property
    def difference(self) -> float:
        return (self.after or 0) - (self.before or 0)


@dataclass(frozen=True)
class LayerDiff:
    """One layer of both reports, or the total. causes, components: those that changed."""

    name: str
    cycles: Change
    energy_j: Change
    causes: tuple[Change, ...]
    components: tuple[Change, ...]


@dataclass(frozen=True)
class Diff:
    """machine: keys of other values, as text before and after. missing: layers of one report."""

    machine: tuple[tuple[str, str, str], ...]
    layers: tuple[LayerDiff, ...]
    total: LayerDiff
    missing: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        return not (self.machine or self.missing) and all(
            not (layer.causes or layer.components) for layer in (*self.layers, self.total)
        )


class _Result(msgspec.Struct):
    cycles: int
    energy_j: float
    cycles_by_cause: dict[str, int]
    energy_by_component_j: dict[str, float]


class _Layer(_Result):
    name: str = msgspec.field()


class _Report(msgspec.Struct):
    accelerator: dict[str, Any]
    layers: list[_Layer]
    total: _Result


def diff(before: Path, after: Path) -> Diff:
    """What `after` has otherwise than `before`; layers are matched by name, in their order.

    Raises:
        InputError: a file cannot be read or is no report.
    """
    one, other = _read(before), _read(after)
    layers = {layer.name: layer for layer in other.layers}
    names = {layer.name for layer in one.layers}
    return Diff(
        machine=tuple(_changed_values(_values(one.accelerator), _values(other.accelerator))),
        layers=tuple(
            _compared(layer.name, layer, layers[layer.name])
            for layer in one.layers
            if layer.name in layers
        ),
        total=_compared("total", one.total, other.total),
        missing=tuple(sorted(names.symmetric_difference(layers))),
    )


_MOST_BYTES = 2**30


def _read(path: Path) -> _Report:
    return read_json(path, _Report, "a report of mvpsim, as run --json writes it", _MOST_BYTES)


def _compared(name: str, before: _Result, after: _Result) -> LayerDiff:
    return LayerDiff(
        name,
        Change("cycles", before.cycles, after.cycles),
        Change("energy", before.energy_j, after.energy_j),
        _changes(before.cycles_by_cause, after.cycles_by_cause),
        _changes(before.energy_by_component_j, after.energy_by_component_j),
    )


def _changes(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[Change, ...]:
    """Parts that differ, the largest difference first."""
    changes = [
        Change(part, before.get(part), after.get(part)) for part in dict.fromkeys([*before, *after])
    ]
    return tuple(sorted((c for c in changes if c.difference), key=lambda c: -abs(c.difference)))


def _values(accelerator: Mapping[str, Any]) -> dict[str, str]:
    """`section.key` → value, as text."""
    values = {"name": str(accelerator.get("name")), "dataflow": str(accelerator.get("dataflow"))}
    for section, items in accelerator.items():
        for key, item in items.items() if isinstance(items, dict) else ():
            values[f"{section}.{key}"] = str(item.get("value") if isinstance(item, dict) else item)
    return values


def _changed_values(
    before: Mapping[str, str], after: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    keys = dict.fromkeys([*before, *after])
    pairs = [(key, before.get(key, "–"), after.get(key, "–")) for key in keys]
    return [(key, old, new) for key, old, new in pairs if old != new]
