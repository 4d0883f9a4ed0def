"""The pairs of a comparison over each other's figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from accel_sim.comparisons.measures import DRAWN, LOADS, MEASURES, Measure
from accel_sim.comparisons.quality import quality_measure
from accel_sim.reports.figures.scatter import Axis, Point, Scatter, State
from accel_sim.reports.number_text import UNKNOWN, share, times
from sparse_formats.untrusted import printable


def scatter(data: Mapping[str, Any]) -> Scatter:
    """data: as in compare.json. An accelerator's pairs look alike."""
    pairs, kind = data["pairs"], data["kind"]
    measures = [m for m in MEASURES[kind] if any(pair[m.key] is not None for pair in pairs)]
    known = [measure.key for measure in measures]
    first = next((drawn for drawn in DRAWN[kind] if set(drawn) <= set(known)), ())
    measures.sort(key=lambda m: first.index(m.key) if m.key in first else len(first))
    axes = [Axis(m.key, m.words, m.unit if m.is_scaled else "", not m.is_rate) for m in measures]
    if data["quality"] is not None:
        quality = quality_measure(data["quality"])
        axes.append(Axis("quality", printable(quality.words), "", not quality.is_rate))
    groups = list(dict.fromkeys(pair["accelerator"] for pair in pairs))
    front = _front(pairs, axes[:2])
    points = [
        Point(
            label=printable(f"{pair['mask']} on {pair['accelerator']}"),
            values={axis.key: pair[axis.key] for axis in axes},
            facts=[(title, printable(text)) for title, text in _facts(pair, data, measures)],
            state=_state(pair, front),
            group=groups.index(pair["accelerator"]),
            commands=[pair["command"]] if pair.get("command") else [data["command"]],
        )
        for pair in pairs
    ]
    return Scatter("pairs", axes, points, [printable(name) for name in groups])


def _facts(
    pair: Mapping[str, Any], data: Mapping[str, Any], measures: Sequence[Measure]
) -> list[tuple[str, str]]:
    facts = [("mask", pair["mask"]), ("accelerator", pair["accelerator"])]
    facts += [(words, f"{pair[key]:,}") for key, words in LOADS[data["kind"]].items()]
    facts.append(("kept", share(pair["density"])))
    for measure in measures:
        over = times(pair["over_dense"][measure.key])
        beside = "" if pair["is_dense"] or over == UNKNOWN else f" ({over} of dense)"
        facts.append((measure.words, f"{measure.text(pair[measure.key])}{beside}"))
    if data["quality"] is not None:
        measure = quality_measure(data["quality"])
        facts.append((measure.words, measure.text(pair["quality"])))
    facts.append(("bound by", (pair["bound_by"] or UNKNOWN).replace("_", " ")))
    return facts


def _state(pair: Mapping[str, Any], front: Sequence[Mapping[str, Any]]) -> State:
    if pair["is_dense"]:
        return "dense"
    return "front" if pair in front else "beaten"


def _front(pairs: Sequence[Mapping[str, Any]], axes: Sequence[Axis]) -> list[Mapping[str, Any]]:
    """The pruned pairs that no other beats in these figures."""

    def figures(pair: Mapping[str, Any]) -> tuple[float, ...]:
        return tuple(pair[a.key] if a.lower_is_better else -pair[a.key] for a in axes)

    known = [
        pair
        for pair in pairs
        if not pair["is_dense"] and all(pair[axis.key] is not None for axis in axes)
    ]
    return [
        pair
        for pair in known
        if not any(
            other is not pair
            and figures(other) != figures(pair)
            and all(a <= b for a, b in zip(figures(other), figures(pair), strict=True))
            for other in known
        )
    ]
