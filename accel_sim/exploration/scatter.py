"""The points of a study that count, over each other's figures."""

from collections.abc import Mapping
from typing import Any

from accel_sim.exploration.measures import MEASURES
from accel_sim.exploration.terminal import figure, measure_keys, measure_words
from accel_sim.reports.figures.scatter import Axis, Point, Scatter, State
from accel_sim.reports.number_text import share, value_text
from sparse_formats.untrusted import printable


def scatter(data: Mapping[str, Any]) -> Scatter:
    """data: the study as JSON; the objectives are the first axes."""
    keys = measure_keys(data)
    counted = [point for point in data["points"] if point["reason"] is None]
    return Scatter(
        "points",
        [_axis(key, data) for key in keys],
        [_point(point, keys, data) for point in counted],
    )


def _axis(key: str, data: Mapping[str, Any]) -> Axis:
    units = {measure.key: measure.unit for measure in MEASURES.values() if measure.is_scaled}
    better = {each["key"]: each["better"] for each in data["objectives"]}
    words = printable(measure_words(key, data))
    return Axis(key, words, units.get(key, ""), better.get(key, "lower") == "lower")


def _point(point: Mapping[str, Any], keys: list[str], data: Mapping[str, Any]) -> Point:
    facts = [(printable(name), value_text(value)) for name, value in point["values"].items()]
    facts += [
        (printable(measure_words(key, data)), figure(point[key], key))
        for key in keys
        if key in point
    ]
    facts += [("kept", share(point["kept_share"]))] if point.get("kept_share") is not None else []
    if point.get("bound_by"):
        facts.append(("bound by", point["bound_by"].replace("_", " ")))
    return Point(
        label=point["key"],
        values={key: point.get(key) for key in keys},
        facts=[(title, printable(text)) for title, text in facts],
        state=_state(point, data),
        commands=[f"python -m accel_sim {point['command']} --config points/{point['key']}.toml"],
    )


def _state(point: Mapping[str, Any], data: Mapping[str, Any]) -> State:
    if point["key"] == data["knee"]:
        return "knee"
    return "front" if point["is_on_front"] else "beaten"
