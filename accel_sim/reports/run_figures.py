"""The figures of `run`'s page, from the report as JSON."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from accel_sim.costs.energy import COMPONENTS
from accel_sim.dataflows.registry import causes_of
from accel_sim.reports.figures.mask_picture import MaskPicture
from accel_sim.reports.figures.timeline import Timeline
from accel_sim.reports.glossary import MODES
from accel_sim.reports.layer_labels import short_names
from accel_sim.reports.number_text import bound_text
from accel_sim.reports.page_items import (
    MOST_PICTURES,
    Item,
    Phase,
    RunFigures,
    cause_parts,
    component_parts,
    kind_styles,
)
from sparse_formats.masks.matrix_names import layer_of
from sparse_formats.untrusted import printable

_COLUMNS = (
    *("short", "kind", "cycles", "share", "speedup", "bound", "utilization", "energy", "bytes"),
    *("density", "shape", "mode", "ideal", "imbalance", "pj_per_mac", "format"),
)


def run_figures(
    data: Mapping[str, Any],
    pictures: Mapping[str, MaskPicture],
    timelines: Mapping[str, Timeline],
) -> RunFigures:
    """data: the report as JSON. pictures, timelines: as of `Report`."""
    layers, machine = data["layers"], data["accelerator"]
    columns = list(_COLUMNS)
    if any(layer["runs"] != 1 or layer["tokens"] != data["total"]["tokens"] for layer in layers):
        columns.insert(3, "runs")
    known = causes_of(machine["dataflow"])
    causes = {key: known[key] for key in data["total"]["cycles_by_cause"]}
    costliest = sorted(layers, key=lambda layer: -layer["cycles"])[:MOST_PICTURES]
    drawn = {layer["name"] for layer in costliest}
    items = [
        _item(layer, short, *((pictures, timelines) if layer["name"] in drawn else ({}, {})))
        for layer, short in zip(layers, short_names(layers), strict=True)
    ]
    total = replace(
        _item({"name": "total", "kind": "", **data["total"]}, "all matrices", {}, {}),
        size=sum(layer["rows"] * layer["cols"] for layer in layers),
    )
    return RunFigures(
        ("matrix", "matrices"),
        machine["clock"]["clock_hz"]["value"],
        data["peak_macs_per_cycle"],
        machine["dram"]["bytes_per_cycle"]["value"],
        columns,
        kind_styles([item.kind for item in items]),
        [Phase("all", cause_parts(causes), component_parts(), total, items)],
    )


def _item(
    layer: Mapping[str, Any],
    short: str,
    pictures: Mapping[str, MaskPicture],
    timelines: Mapping[str, Timeline],
) -> Item:
    name = layer["name"]
    picture, timeline = pictures.get(name), timelines.get(name)
    steps = layer.get("waterfall")
    return Item(
        name=printable(name),
        short=printable(short),
        kind=printable(layer["kind"]),
        layer=layer_of(name),
        cycles=layer["cycles"],
        causes=list(layer["cycles_by_cause"].values()),
        energy=layer["energy_j"],
        parts=[layer["energy_by_component_j"][key] for key in COMPONENTS],
        bytes=layer["dram_bytes"],
        executed=layer["macs_executed"],
        bound=bound_text(layer),
        facts=_facts(layer) if "rows" in layer else {},
        ideal=layer["ideal_cycles"],
        dense=layer["dense_cycles"],
        kept=layer["nnz"],
        size=layer["rows"] * layer["cols"] if "rows" in layer else 0,
        steps=None if steps is None else [tuple(each.values()) for each in steps],
        load=layer.get("pe_load") or (),
        picture=picture and picture.as_data(),
        timeline=timeline and timeline.as_data(),
    )


def _facts(layer: Mapping[str, Any]) -> dict[str, str | float | None]:
    mode = MODES.get(layer["orientation"], "")
    # Lanes that choose among s inputs each: "row 8 select 4".
    select = f" select {layer['lane_select']}" if layer["lane_select"] > 1 else ""
    weights = layer["mean_entry_weights"]
    words = [f"{mode} {layer['lane_groups']}{select}"] if mode else []
    words += [f"{weights:,.1f}"] if weights is not None else []
    return {
        "shape": f"{layer['rows']:,}×{layer['cols']:,}",
        "runs": f"{layer['runs']:,}×{layer['tokens']:,}",
        "mode": ", ".join(words),
        "imbalance": layer["imbalance"],
        "format": printable(layer["format"].replace("_", " ")),
    }
