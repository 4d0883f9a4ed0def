"""The points of a study on every machine, over each other's figures."""

from collections.abc import Mapping
from typing import Any

from accel_sim.reports.figures.scatter import Axis, Point, Scatter, State
from accel_sim.reports.number_text import quantity, times
from pruning.frontier.plan import FLOORS
from sparse_formats.untrusted import printable


def scatter(data: Mapping[str, Any]) -> Scatter:
    """data: as in frontier.json. A machine's points look alike."""
    machines, measure = list(data["machines"]), data["measure"]
    axes = [Axis("latency_s", "latency", "s"), Axis("energy_j", "energy", "J")]
    if measure is not None:
        lower = measure["better"] == "lower"
        quality = Axis("quality", printable(measure["words"]), "", lower)
        axes = [axes[0], quality, axes[1], Axis("loss", "loss of quality", "%")]
    axes += [
        Axis("speedup", "times as fast as dense", "×", lower_is_better=False),
        Axis("energy_saving", "times less energy than dense", "×", lower_is_better=False),
        Axis("density", "density", "%"),
    ]
    trained = data["trained_dense"]
    results = [*data["points"], *([] if trained is None else [trained]), *data["floors"]]
    points = [
        _point(result, name, figures, machines.index(name), axes)
        for result in results
        for name, figures in result.get("machines", {}).items()
    ]
    return Scatter("points", axes, points, [printable(name) for name in machines])


def _point(
    result: Mapping[str, Any],
    machine: str,
    figures: Mapping[str, Any],
    group: int,
    axes: list[Axis],
) -> Point:
    values = {axis.key: figures.get(axis.key, result.get(axis.key)) for axis in axes}
    facts = [
        ("machine", machine),
        ("pattern", str(result["pattern"] or "none")),
        ("density", f"{100 * result['density']:.1f} %" if result["density"] is not None else "–"),
        ("quality", "–" if result["quality"] is None else f"{result['quality']:.4g}"),
        ("latency", quantity(figures["latency_s"], "s")),
        ("times as fast as dense", times(figures["speedup"])),
        ("energy", quantity(figures["energy_j"], "J")),
        ("times less energy than dense", times(figures["energy_saving"])),
    ]
    if result.get("cannot_be_told_from"):
        facts.append(("cannot be told from", result["cannot_be_told_from"]))
    return Point(
        label=printable(f"{result['name']} on {machine}"),
        values=values,
        facts=[(title, printable(text)) for title, text in facts],
        state=_state(result, figures),
        group=group,
        commands=[command for commands in result["commands"] for command in commands],
    )


def _state(result: Mapping[str, Any], figures: Mapping[str, Any]) -> State:
    if result["kind"] in FLOORS or result.get("cannot_be_told_from"):
        return "floor"
    if result["kind"] != "pruned":
        return "dense"
    return "front" if figures.get("on_front") else "beaten"
