"""The tables of the HTML page; `data` is the report as JSON, every cell is HTML already."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from accel_sim.costs.energy import COMPONENTS
from accel_sim.dataflows.registry import causes_of
from accel_sim.reports.glossary import MARK_WORDS, MODES
from accel_sim.reports.number_text import (
    UNKNOWN,
    bound_text,
    breakable,
    number,
    quantity,
    share,
    share_of,
    spoken,
    value_text,
)
from sparse_formats.untrusted import escaped

_LAYER_COLUMNS = (
    ("name", "text"),
    ("kind", "text"),
    ("shape", "number"),
    ("density", "number"),
    ("mode, groups, weights an entry", "text"),
    ("format", "text"),
    ("DRAM MB", "number"),
    ("cycles", "number"),
    ("ideal cycles", "number"),
    ("latency µs", "number"),
    ("× dense", "number"),
    ("utili&shy;sation", "number"),
    ("bound by", "text"),
    ("imba&shy;lance", "number"),
    ("energy µJ", "number"),
    ("pJ per MAC", "number"),
)


def layers_table(data: Mapping[str, Any]) -> str:
    total, layers = data["total"], data["layers"]
    columns = list(_LAYER_COLUMNS)
    cells = [list(_layer_cells(layer)) for layer in layers]
    last = ["total", "", "", share(total["density"]), "", "", *_costs(total)]
    if any(layer["runs"] != 1 or layer["tokens"] != total["tokens"] for layer in layers):
        columns.insert(3, ("runs × tokens", "number"))
        last.insert(3, "")
        for row, layer in zip(cells, layers, strict=True):
            row.insert(3, f"{layer['runs']:,}×{layer['tokens']:,}")
    classes = [css for _, css in columns]
    head = "".join(f'<th scope="col" class="{css}">{name}</th>' for name, css in columns)
    rows = "\n".join(table_row(row, classes) for row in cells)
    foot = table_row(last, classes)
    return scrolled(
        f'<table class="layers">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n<tfoot>\n{foot}\n</tfoot>\n</table>"
    )


def _layer_cells(layer: Mapping[str, Any]) -> tuple[str, ...]:
    mode = MODES.get(layer["orientation"], "")
    # Lanes that choose among s inputs each: "row 8 select 4".
    select = f" select {layer['lane_select']}" if layer["lane_select"] > 1 else ""
    groups = f"{mode} {layer['lane_groups']}{select}, " if mode else ""
    return (
        breakable(layer["name"]),
        escaped(layer["kind"]),
        f"{layer['rows']:,}×{layer['cols']:,}",
        share(layer["density"]),
        f"{groups}{number(layer['mean_entry_weights'], ',.1f')}",
        spoken(layer["format"]),
        *_costs(layer),
    )


def _costs(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns that a layer and the total share."""
    cycles = result["cycles"]
    bounded = escaped(bound_text(result)) or UNKNOWN
    return (
        f"{result['dram_bytes'] / 1e6:,.3f}",
        f"{cycles:,}",
        f"{result['ideal_cycles']:,}",
        f"{result['latency_s'] * 1e6:,.1f}",
        number(result["speedup_vs_dense"]),
        share(result["utilization"]),
        bounded,
        number(result["imbalance"]),
        f"{result['energy_j'] * 1e6:,.2f}",
        number(result["pj_per_executed_mac"]),
    )


def cycles_table(data: Mapping[str, Any]) -> str:
    causes, whole = data["total"]["cycles_by_cause"], data["total"]["cycles"]
    known = causes_of(data["accelerator"]["dataflow"])
    words = {name: cause.words for name, cause in known.items()}
    return parts_table("cause", "cycles", causes, whole, words, lambda value: f"{value:,}")


_VARIANTS = {
    "executed_with_dram": ("executed", "with DRAM"),
    "executed_core": ("executed", "core"),
    "dense_equivalent_with_dram": ("dense-equivalent", "with DRAM"),
    "dense_equivalent_core": ("dense-equivalent", "core"),
}


def efficiency_table(data: Mapping[str, Any]) -> str:
    """The four GOPS/W, each with its band from all high to all low tables."""
    gops, bands = data["total"]["gops_per_watt"], data["total"]["gops_per_watt_band"]
    rows = "\n".join(
        table_row(
            (operations, energy, *(number(v, ",.0f") for v in (gops[key], *bands[key]))),
            ("text", "text", "number", "number", "number"),
        )
        for key, (operations, energy) in _VARIANTS.items()
    )
    heads = "".join(f'<th scope="col" class="number">{text}</th>' for text in _BAND_HEADS)
    return scrolled(
        '<table class="efficiency">\n<thead><tr><th scope="col">operations counted</th>'
        f'<th scope="col">energy counted</th>{heads}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table>"
    )


_BAND_HEADS = ("GOPS/W", "all tables high", "all tables low")


def energy_table(data: Mapping[str, Any]) -> str:
    parts, whole = data["total"]["energy_by_component_j"], data["total"]["energy_j"]
    words = {name: component.words for name, component in COMPONENTS.items()}
    return parts_table("component", "energy", parts, whole, words, lambda j: quantity(j, "J"))


def parts_table(
    part: str,
    unit: str,
    values: Mapping[str, Any],
    whole: float,
    words: Mapping[str, str],
    shown: Callable[[Any], str],
) -> str:
    """What a total is made of: each part, its share drawn as a line, and what it means."""
    rows = "\n".join(
        table_row(
            (
                spoken(key),
                shown(value),
                share_of(value, whole),
                _meter(value / whole if whole else 0.0),
                escaped(words.get(key, "")),
            ),
            ("text", "number", "number", "meter", "text"),
        )
        for key, value in values.items()
    )
    return scrolled(
        f'<table class="parts">\n<thead><tr><th scope="col">{part}</th>'
        f'<th scope="col" class="number">{unit}</th><th scope="col" class="number">share</th>'
        '<th scope="col"></th><th scope="col">what it is</th></tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table>"
    )


def _meter(share: float) -> str:
    """A line as long as the share; without a style, which the page's policy forbids."""
    if not share:
        return ""
    return (
        '<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{100 * share:.1f}" height="1"/></svg>'
    )


def accelerator_table(accelerator: Mapping[str, Any]) -> str:
    """Every key with value, mark and source, in the order of the machine's file."""
    about = f"<p>{escaped(accelerator['description'])}.</p>\n"
    about += f"<p>Source: {escaped(accelerator['source'])}.</p>"
    classes = ("text", "number", "text", "text")
    rows = "\n".join(
        table_row(
            (
                breakable(key),
                escaped(value_text(item["value"])),
                _mark(item["mark"]),
                _source(item),
            ),
            classes,
        )
        for key, item in _values(accelerator)
    )
    return f"{about}\n{_marks_legend(accelerator)}\n" + scrolled(
        '<table class="machine">\n<thead><tr><th scope="col">key</th>'
        '<th scope="col" class="number">value</th><th scope="col">mark</th>'
        '<th scope="col">source</th></tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table>"
    )


def cost_tables(tables: Mapping[str, Sequence[Mapping[str, str]]]) -> str:
    """The tables that energy and area were counted with, row by row with mark and source."""
    return "\n".join(_cost_table(rows) for rows in tables.values())


def _cost_table(rows: Sequence[Mapping[str, str]]) -> str:
    plain = ("mark", "source")
    heads = "".join(f'<th scope="col">{escaped(key.replace("_", " "))}</th>' for key in rows[0])
    body = "\n".join(
        table_row(
            tuple(_mark(row[key]) if key == "mark" else escaped(row[key]) for key in row),
            tuple("text" if key in plain or i == 0 else "number" for i, key in enumerate(row)),
        )
        for row in rows
    )
    head = f"<thead><tr>{heads}</tr></thead>"
    return scrolled(f'<table class="costs">\n{head}\n<tbody>\n{body}\n</tbody>\n</table>')


def _values(accelerator: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [
        (f"{section}.{key}", item)
        for section, items in accelerator.items()
        if isinstance(items, Mapping)
        for key, item in items.items()
    ]


def _source(item: Mapping[str, Any]) -> str:
    return escaped(item["source"]) or UNKNOWN


def _mark(mark: str) -> str:
    css = mark if mark in MARK_WORDS else "chosen"
    return f'<span class="mark {css}">{escaped(mark)}</span>'


def _marks_legend(accelerator: Mapping[str, Any]) -> str:
    """How many values carry each mark, and what the mark means."""
    marks = [item["mark"] for _, item in _values(accelerator)]
    items = "\n".join(
        f"<li>{_mark(mark)} &nbsp;{marks.count(mark)} of {len(marks)}: {escaped(meaning)}</li>"
        for mark, meaning in MARK_WORDS.items()
        if mark in marks
    )
    return f'<ul class="marks">\n{items}\n</ul>'


def table_row(cells: Sequence[str], classes: Sequence[str]) -> str:
    """A table row; the first cell heads it. Cells are HTML already."""
    first = f'<th scope="row" class="{classes[0]}">{cells[0]}</th>'
    rest = (
        f'<td class="{css}">{cell}</td>' for cell, css in zip(cells[1:], classes[1:], strict=True)
    )
    return f"<tr>{first}{''.join(rest)}</tr>"


def scrolled(table: str) -> str:
    """A table that scrolls by itself where it is wider than the page."""
    return f'<div class="scrolled" tabindex="0">\n{table}\n</div>'
