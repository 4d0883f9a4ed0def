"""A comparison as data: what compare.json holds, and what table, page, CSV and picture show."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from accel_sim.comparisons.compare import Pair
from accel_sim.comparisons.compare_models import ModelPair
from accel_sim.comparisons.energy_order import energy_orders
from accel_sim.comparisons.measures import LOADS, MEASURES, Kind
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.machines.load import resolved
from accel_sim.reports.csv_table import csv_text
from accel_sim.reports.report import versions

SCHEMA_VERSION = 2


def as_json(
    kind: Kind,
    pairs: Sequence[Pair] | Sequence[ModelPair],
    machines: Mapping[str, Machine],
    masks: Mapping[str, Mapping[str, Any]],
    about: Mapping[str, Any],
    quality: Mapping[str, float],
) -> dict[str, Any]:
    """Everything that a comparison found out, JSON-able; equal inputs give equal data.

    machines, masks: by the name in the table, masks with where they came from. about: the command
    and what else was asked for. quality: of the masks for which it is known, by the same name.
    """
    orders = energy_orders([pair for pair in pairs if isinstance(pair, Pair)])
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        **about,
        "versions": versions(),
        "masks": [{"name": name, **origin} for name, origin in masks.items()],
        "pairs": _pairs(kind, pairs, quality),
        "energy_orders": [order.as_data() for order in orders],
        "notes": _notes(pairs),
        "accelerators": {name: resolved(machine) for name, machine in machines.items()},
    }


def _pairs(
    kind: Kind, pairs: Sequence[Pair] | Sequence[ModelPair], quality: Mapping[str, float]
) -> list[dict[str, Any]]:
    first = pairs[0]
    by_place = {(pair.mask, pair.accelerator, pair.load): pair for pair in pairs}
    found = []
    for pair in pairs:
        dense = by_place[pair.dense, pair.accelerator, pair.load]
        data = {key: value for key, value in asdict(pair).items() if key != "notes"}
        data["quality"] = quality.get(pair.mask)
        if isinstance(pair, Pair):
            data["energy_delay_js"] = pair.energy_delay_js
        found.append(
            {
                **data,
                "is_dense": pair.mask == pair.dense,
                "over_first": _over(kind, pair, first),
                "over_dense": _over(kind, pair, dense),
            }
        )
    return found


def _over(kind: Kind, pair: Any, other: Any) -> dict[str, float | None]:
    """Each figure over that of another pair; None where it is undefined."""
    found = {}
    for measure in MEASURES[kind]:
        above, below = getattr(pair, measure.key), getattr(other, measure.key)
        found[measure.key] = above / below if below and above is not None else None
    return found


def _notes(pairs: Sequence[Pair] | Sequence[ModelPair]) -> dict[str, list[dict[str, Any]]]:
    """Every note once, with the names of what it is about."""
    found: dict[str, dict[str, dict[str, None]]] = {"masks": {}, "accelerators": {}, "pairs": {}}
    for pair in pairs:
        names = {"masks": pair.mask, "accelerators": pair.accelerator}
        for about, notes in found.items():
            name = names.get(about, f"{pair.mask} on {pair.accelerator}")
            for note in getattr(pair.notes, about):
                notes.setdefault(note, {})[name] = None
    return {
        about: [{"of": list(of), "note": note} for note, of in notes.items()]
        for about, notes in found.items()
    }


def as_csv(data: Mapping[str, Any]) -> str:
    """One row a pair; data: as in compare.json."""
    measures = [measure.key for measure in MEASURES[data["kind"]]]
    nested = ("over_first", "over_dense", "energy_band_j", "command")
    plain = [key for key in data["pairs"][0] if key not in nested]
    header = [*plain, *(f"{over}.{key}" for over in nested[:2] for key in measures)]
    rows = [
        [
            *(pair[key] for key in plain),
            *(pair[over][key] for over in nested[:2] for key in measures),
        ]
        for pair in data["pairs"]
    ]
    return csv_text(header, rows)


def varying(data: Mapping[str, Any], pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of mask, accelerator and loads, the keys in which these pairs differ, in this order."""
    keys = ["mask", "accelerator", *LOADS[data["kind"]]]
    return [key for key in keys if len({pair[key] for pair in pairs}) > 1]
