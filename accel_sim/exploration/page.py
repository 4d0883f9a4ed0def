"""The page of a study: what was found, the points over each other, the front, every point."""

from collections.abc import Mapping, Sequence
from typing import Any

from accel_sim.exploration.scatter import scatter
from accel_sim.exploration.terminal import (
    best,
    figure,
    findings,
    measure_keys,
    measure_words,
    summary,
    values_text,
)
from accel_sim.reports.html import again, document, drawn, folded, footer, note_list, section
from accel_sim.reports.html_tables import scrolled, table_row
from accel_sim.reports.number_text import share, value_text
from accel_sim.reports.verdict import answers
from sparse_formats.untrusted import escaped

_MOST_ROWS = 1000
"""Of all points on the page."""


def study_page(data: Mapping[str, Any], picture: str) -> str:
    """The page. picture: the URL of one that shows how the search went."""
    points = {point["key"]: point for point in data["points"]}
    listed = " Each stands below with its reason."
    tried = summary(data, where=listed)
    found = " ".join(findings(data)) if data["front"] else ""
    body = [
        f"<header>\n<h1>Machines like {escaped(data['accelerator'])}</h1>\n</header>",
        section(
            "What was found",
            answers({"What was tried": escaped(" ".join(tried)), "What is best": escaped(found)}),
        ),
    ]
    if data["front"]:
        is_single = len(data["objectives"]) == 1
        shown = best(data) if is_single else [points[key] for key in data["front"]]
        title = f"The best {len(shown)}" if is_single else "The front"
        body += [
            section("Every point that counts", _SCATTER_WORDS + drawn("points", "Points")),
            section(title, _table(shown, data) + _again(data)),
            section("How the search went", _picture(picture)),
        ]
    body += [
        section("The space", _space(data)),
        section("Every point", _every(data)),
        section("What to know about this study", note_list(data["notes"]) + again(data["command"])),
        footer(data),
    ]
    figures = {"scatters": [scatter(data).as_data()]} if data["front"] else {}
    return document(f"Machines like {data['accelerator']}", body, figures)


_SCATTER_WORDS = (
    "<p>Hold the pointer on a point to see what it is, and click it for its command. The line "
    "joins the points that none beats in the two figures shown. Commands are for the folder of the "
    "study.</p>\n"
)


def _table(points: Sequence[Mapping[str, Any]], data: Mapping[str, Any]) -> str:
    axes, measures = list(data["space"]["axes"]), measure_keys(data)
    headers = [*axes, *(measure_words(key, data) for key in measures)]
    classes = ["text", *("number" for _ in headers), "number", "text"]
    head = "".join(
        f'<th scope="col" class="{css}">{escaped(header)}</th>'
        for header, css in zip(["point", *headers, "kept", "bound by"], classes, strict=True)
    )
    rows = []
    for point in points:
        mark = f" ({'knee' if len(data['objectives']) > 1 else 'best'})"
        mark = mark if point["key"] == data["knee"] else ""
        cells = [
            f"<code>{escaped(point['key'])}</code>{mark}",
            *(escaped(value_text(point["values"].get(name))) for name in axes),
            *(escaped(figure(point.get(key), key)) for key in measures),
            escaped(share(point.get("kept_share"))),
            escaped(str(point.get("bound_by") or "–").replace("_", " ")),
        ]
        rows.append(table_row(cells, classes))
    body = "\n".join(rows)
    return scrolled(
        f'<table class="sortable">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n'
        "</table>"
    )


def _again(data: Mapping[str, Any]) -> str:
    command = f"python -m accel_sim {data['points'][0]['command']} --config points/POINT.toml"
    return f"\n<p>In the folder of the study, <code>{command}</code> runs a point again.</p>"


def _picture(name: str) -> str:
    words = (
        "The last panel shows the hypervolume after each trial: how much of the box between the "
        "best and the worst of all points lies behind some point that was tried."
    )
    return (
        f'<figure>\n<img src="{escaped(name)}" alt="{escaped(words)}">\n'
        f"<figcaption>{escaped(words)}</figcaption>\n</figure>"
    )


def _space(data: Mapping[str, Any]) -> str:
    space = data["space"]
    items = [
        f"{name}: {', '.join(value_text(value) for value in values)}"
        for name, values in space["axes"].items()
    ]
    items += [f"{name} = {text}" for name, text in space["links"].items()]
    items += [f"{key}: at most {most:g}" for key, most in data["limits"].items()]
    listed = "\n".join(f"<li>{escaped(item)}</li>" for item in items)
    return f"<ul>\n{listed}\n</ul>"


def _every(data: Mapping[str, Any]) -> str:
    """All points, folded away; those that do not count with their reasons."""
    shown = data["points"][:_MOST_ROWS]
    counted = [point for point in shown if point["reason"] is None]
    others = [point for point in shown if point["reason"] is not None]
    parts = [_table(counted, data)] if counted else []
    if others:
        head = '<th scope="col">point</th><th scope="col">values</th><th scope="col">why not</th>'
        rows = "\n".join(
            table_row(
                [
                    f"<code>{escaped(point['key'])}</code>",
                    escaped(values_text(point)),
                    escaped(point["reason"]),
                ],
                ["text", "text", "text"],
            )
            for point in others
        )
        table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"
        parts += ["<p>These points do not count:</p>", scrolled(table)]
    if more := len(data["points"]) - len(shown):
        parts.append(f"<p>{more:,} further points stand in explore.csv.</p>")
    title = f"{len(data['points']):,} points that were tried"
    return folded(title, "\n".join(parts))
