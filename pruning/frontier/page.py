"""The page of a study: the verdict, the points over each other, every point."""

from collections.abc import Mapping, Sequence
from typing import Any

from accel_sim.reports.html import (
    again,
    card_grid,
    document,
    drawn,
    folded,
    footer,
    note_list,
    section,
)
from accel_sim.reports.html_tables import scrolled, table_row
from accel_sim.reports.number_text import quantity, times
from pruning.frontier.plan import FLOORS
from pruning.frontier.scatter import scatter
from pruning.frontier.words import percent
from sparse_formats.untrusted import escaped

_TIMES_FROM = 10
"""Losses beyond are said as a multiple, and nobody asks for their error."""


def page(data: Mapping[str, Any]) -> str:
    """The page; data: as in frontier.json."""
    title = f"Frontier of {data['study']['name']}"
    body = [
        _heading(data, title),
        section("Verdict", _verdict(data)),
        card_grid(_cards(data)),
        section("Points over each other", _SCATTER_WORDS + drawn("points", "Points")),
        section("Every point", _table(data)),
        section("What to know about this study", note_list(data["notes"]) + again(data["command"])),
        section("The commands of every point", folded("Commands", _commands(data))),
        footer(data),
    ]
    figures = scatter(data)
    return document(title, body, {"scatters": [figures.as_data()] if figures.points else []})


_SCATTER_WORDS = (
    "<p>Hold the pointer on a point to see what it is, and click it for the commands that make it. "
    "The line joins the points that none beats in the two figures shown.</p>\n"
)


def _heading(data: Mapping[str, Any], title: str) -> str:
    facts = " · ".join(data["study"]["facts"])
    return f'<header>\n<h1>{escaped(title)}</h1>\n<p class="facts">{escaped(facts)}</p>\n</header>'


def _verdict(data: Mapping[str, Any]) -> str:
    said = data["verdict"] or ["No point of this study can be recommended."]
    return "\n".join(f'<p class="verdict">{escaped(sentence)}</p>' for sentence in said)


def _cards(data: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (name, quantity(machine["dense_latency_s"], "s"), f"dense; {machine['area_mm2']:.1f} mm²")
        for name, machine in data["machines"].items()
    ]


def _table(data: Mapping[str, Any]) -> str:
    machines = list(data["machines"])
    titles = ["model", "density", "importance kept", "quality", "loss", "worth"]
    for name in machines:
        titles += [f"{name}: latency", "× faster", "energy", "× less"]
    heads = "".join(
        f'<th scope="col" class="{"text" if i in (0, 5) else "number"}">{escaped(title)}</th>'
        for i, title in enumerate(titles)
    )
    rows = "\n".join(_row(each, machines) for each in every_row(data))
    return scrolled(
        f'<table class="parts sortable">\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n'
        "</tbody>\n</table>"
    )


def every_row(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows of the table: points, the dense model that was trained too, floors."""
    trained = data["trained_dense"]
    return [*data["points"], *([] if trained is None else [trained]), *data["floors"]]


def _row(point: Mapping[str, Any], machines: Sequence[str]) -> str:
    cells = [
        escaped(point["name"]),
        _share(point["density"]),
        _share(point["importance_kept"]),
        "–" if point["quality"] is None else f"{point['quality']:.4g}",
        loss_text(point),
        escaped(worth(point)),
    ]
    for name in machines:
        figures = point.get("machines", {}).get(name)
        if figures is None:
            cells += ["–"] * 4
            continue
        cells += [
            quantity(figures["latency_s"], "s"),
            times(figures["speedup"]),
            quantity(figures["energy_j"], "J"),
            times(figures["energy_saving"]),
        ]
    kinds = [
        "text",
        "number",
        "number",
        "number",
        "number",
        "text",
        *["number"] * (4 * len(machines)),
    ]
    return table_row(cells, kinds)


def worth(point: Mapping[str, Any]) -> str:
    """Where a point is on the front, or the floor that it is like."""
    if point["kind"] != "pruned":
        return "floor" if point["kind"] in FLOORS else ""
    if point["cannot_be_told_from"]:
        return f"like the {point['cannot_be_told_from'].replace('zeroed', 'zeroed model')}"
    fronts = [name for name, figures in point["machines"].items() if figures["on_front"]]
    if len(fronts) == len(point["machines"]):
        return "front"
    return f"front on {', '.join(fronts)}" if fronts else ""


def loss_text(point: Mapping[str, Any]) -> str:
    """The share of quality that is lost, with its standard error."""
    if point.get("loss") is None:
        return "–"
    if not point["loss_error"] or point["loss"] > _TIMES_FROM:
        return percent_signed(point["loss"])
    return f"{percent_signed(point['loss'])} ± {100 * point['loss_error']:.2g}"


def percent_signed(share: float) -> str:
    """0.031 → "3.1 %"; −0.02 → "−2.0 %"."""
    if share > _TIMES_FROM:
        return f"{share + 1:.3g}×"
    return f"{100 * share:.1f} %".replace("-", "−")


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value)


def _commands(data: Mapping[str, Any]) -> str:
    rows = "\n".join(
        table_row(
            (
                escaped(point["name"]),
                f"<code>{escaped(folder)}</code>",
                "<br>".join(f"<code>{escaped(command)}</code>" for command in commands),
            ),
            ("text", "text", "text"),
        )
        for point in every_row(data)
        for folder, commands in zip(point["folders"], point["commands"], strict=True)
    )
    heads = "".join(
        f'<th scope="col" class="text">{t}</th>' for t in ("model", "folder", "commands")
    )
    return scrolled(
        f'<table class="parts">\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n'
        "</table>"
    )
