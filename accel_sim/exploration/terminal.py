"""A study on the terminal: the front as a table, the knee, and what to type next."""

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from accel_sim.exploration.measures import MEASURES, QUALITY
from accel_sim.exploration.space import WEIGHTS
from accel_sim.reports.number_text import number, quantity, share, value_text
from sparse_formats.terminal.tables import Column, print_table
from sparse_formats.untrusted import printable

MOST_ROWS = 20
"""Of the front on the terminal; all of it stands in the files."""
MOST_BEST = 10
"""Points that are shown where there is one objective, to see how flat the best is."""
_MOST_REASONS = 3
_HEADER_WIDTH = 12


def print_study(data: Mapping[str, Any], new: int, folder: Path | None, console: Console) -> None:
    """What was tried, the front, the knee, and how to run a point again."""
    where = "" if folder is None else f" {folder / 'explore.csv'} has the reason of each."
    for sentence in summary(data, new, where):
        console.print(printable(sentence), soft_wrap=True)
    points = {point["key"]: point for point in data["points"]}
    front = [points[key] for key in data["front"]]
    if not front:
        return
    console.print()
    shown = _spread(front)
    names, wanted = list(data["space"]["axes"]), [each["key"] for each in data["objectives"]]
    if len(wanted) == 1:
        shown = best(data)
    columns = [
        Column("point"),
        *(Column(_header(name), "right") for name in names),
        *(
            Column(_header(measure_words(key, data)), "right", int(key not in wanted))
            for key in measure_keys(data)
        ),
        Column("kept", "right", rank=1 if set(names) & set(WEIGHTS) else 3),
        Column("bound by", rank=2),
    ]
    print_table(console, columns, [row(point, data) for point in shown])
    if len(wanted) == 1:
        console.print(f"These are the best {len(shown)} of {data['feasible']:,}.")
    elif len(shown) < len(front):
        where = "" if folder is None else f"; all of them stand in {folder}"
        console.print(f"{len(shown)} of the {len(front)} points of the front{where}.")
    console.print()
    for sentence in findings(data):
        console.print(printable(sentence), soft_wrap=True)
    for note in data["notes"]:
        console.print(f"note     {printable(note)}", soft_wrap=True)
    if folder is not None:
        path = shlex.quote(str(folder / "points" / f"{data['knee']}.toml"))
        console.print(
            f"again    python -m accel_sim {front[0]['command']} --config {path}", soft_wrap=True
        )
        console.print(f"study    {folder / 'explore.html'}", soft_wrap=True)


def best(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Of one objective, the points that are best in it, the best first."""
    objective = data["objectives"][0]
    sign = 1 if objective["better"] == "lower" else -1
    counted = [point for point in data["points"] if point["reason"] is None]
    return sorted(counted, key=lambda point: sign * point[objective["key"]])[:MOST_BEST]


def summary(data: Mapping[str, Any], new: int | None = None, where: str = "") -> list[str]:
    """How many points there are, were tried and count, and why others do not.

    where: a sentence on where each of these is listed with its reason.
    """
    size, trials, feasible = data["space"]["size"], data["trials"], data["feasible"]
    how = "every one of them" if trials == size else f"{trials:,} by {data['sampler']}"
    known = ""
    if new is not None and new < trials:
        known = f"; {trials - new:,} were known from before"
    found = [f"The space has {_points(size)}; {how} was tried{known}."]
    if trials != size and trials != 1:
        found = [f"The space has {_points(size)}; {how} were tried{known}."]
    if feasible < trials:
        reasons = [
            f"{reason} ({count:,})"
            for reason, count in list(data["reasons"].items())[:_MOST_REASONS]
        ]
        more = len(data["reasons"]) - len(reasons)
        reasons += [f"and {more} further reasons"] if more > 0 else []
        found.append(f"{trials - feasible:,} do not count: {'; '.join(reasons)}.{where}")
    if not feasible:
        found.append(f"No point counts.{_nearest_miss(data)} Change the limits or the space.")
    return found


def _nearest_miss(data: Mapping[str, Any]) -> str:
    """Of each limit, the least that any point has."""
    words = ""
    for key, most in data["limits"].items():
        least = min((point[key] for point in data["points"] if key in point), default=None)
        if least is not None and least > most:
            words += f" The least {key} of all is {least:.4g}, and {most:g} is allowed."
    return words


def findings(data: Mapping[str, Any]) -> list[str]:
    """The front and the knee in words."""
    goals = [each["words"] for each in data["objectives"]]
    points = {point["key"]: point for point in data["points"]}
    knee = points[data["knee"]]
    values = values_text(knee)
    if len(goals) == 1:
        best = _figure(knee, data["objectives"][0])
        return [f"{data['knee']} has the best {goals[0]}, {best}: {values}."]
    listed = f"{', '.join(goals[:-1])} and {goals[-1]}"
    figures = ", ".join(f"{each['words']} {_figure(knee, each)}" for each in data["objectives"])
    return [
        f"{_points(len(data['front']))} of {data['feasible']:,} cannot be beaten in {listed} at "
        "once.",
        f"The knee of the front, nearest to the best of each, is {data['knee']} with {figures}: "
        f"{values}.",
    ]


def _figure(point: Mapping[str, Any], objective: Mapping[str, Any]) -> str:
    return figure(point[objective["key"]], objective["key"])


def figure(value: float | None, key: str) -> str:
    """A measure with its unit."""
    measure = next((each for each in MEASURES.values() if each.key == key), None)
    if value is None or measure is None:
        return number(value, ".4g")
    if measure.is_scaled:
        return quantity(value, measure.unit)
    return f"{value:,.2f} {measure.unit}"


def measure_keys(data: Mapping[str, Any]) -> list[str]:
    """The objectives, then the other measures that points have."""
    wanted = [each["key"] for each in data["objectives"]]
    keys = [measure.key for measure in MEASURES.values()] + [QUALITY]
    present = [key for key in keys if any(key in point for point in data["points"])]
    return [*wanted, *(key for key in present if key not in wanted)]


def measure_words(key: str, data: Mapping[str, Any]) -> str:
    """What a measure is called."""
    words = {measure.key: measure.words for measure in MEASURES.values()}
    words |= {each["key"]: each["words"] for each in data["objectives"]}
    return words.get(key, key)


def values_text(point: Mapping[str, Any]) -> str:
    """`array.lanes 16, queue.depth_entries 4`."""
    return ", ".join(f"{name} {value_text(value)}" for name, value in point["values"].items())


def row(point: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    """The cells of a point: its key, its axes, its measures, what bounds it."""
    mark = " ◄ knee" if point["key"] == data["knee"] and len(data["front"]) > 1 else ""
    return [
        point["key"] + mark,
        *(value_text(point["values"].get(name)) for name in data["space"]["axes"]),
        *(figure(point.get(key), key) for key in measure_keys(data)),
        share(point.get("kept_share")),
        point.get("bound_by") or "–",
    ]


def _header(name: str) -> str:
    """A name on several short lines."""
    if " " in name:
        return "\n".join(textwrap.wrap(name, _HEADER_WIDTH))
    return name.replace(".", ".\n").replace("_", "_\n")


def _spread(front: Sequence[Any]) -> list[Any]:
    """At most `MOST_ROWS` of the front, its ends among them."""
    if len(front) <= MOST_ROWS:
        return list(front)
    return [front[round(i * (len(front) - 1) / (MOST_ROWS - 1))] for i in range(MOST_ROWS)]


def _points(count: int) -> str:
    return f"{count:,} {'point' if count == 1 else 'points'}"
