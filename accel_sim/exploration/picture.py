"""The points of a study as a picture: each pair of objectives, and how the search went."""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparse_formats.files.pictures import drawable, own_style, write_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DOTS_PER_INCH = 130
_SIDE = 4.2
_POINT, _FRONT, _KNEE = "#B0B0B0", "#332288", "#CC3311"


def draw_study(data: Mapping[str, Any], path: Path) -> None:
    """A panel for each pair of objectives, and one for the hypervolume over the trials.

    Of one objective its cost over the trials takes the place of the pairs.

    Raises:
        InputError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    pairs = list(combinations(data["objectives"], 2))
    count = max(1, len(pairs)) + 1
    with own_style():
        figure = Figure(figsize=(_SIDE * min(count, 3), _SIDE * -(-count // 3)))
        panels = [figure.add_subplot(-(-count // 3), min(count, 3), i + 1) for i in range(count)]
        if pairs:
            for panel, (across, up) in zip(panels, pairs, strict=False):
                _draw_pair(panel, data, across, up)
        else:
            _draw_single(panels[0], data)
        _draw_search(panels[-1], data)
        figure.tight_layout()
        write_png(path, figure, _DOTS_PER_INCH)


def _draw_pair(
    panel: "Axes", data: Mapping[str, Any], across: Mapping[str, Any], up: Mapping[str, Any]
) -> None:
    for points, colour, size, label in _groups(data):
        panel.scatter(
            [point[across["key"]] for point in points],
            [point[up["key"]] for point in points],
            s=size,
            color=colour,
            label=label,
            linewidths=0,
        )
    _name(panel.set_xlabel, across)
    _name(panel.set_ylabel, up)
    if data["front"]:
        panel.legend(fontsize=8, frameon=False)
    panel.ticklabel_format(scilimits=(-2, 4))
    panel.grid(alpha=0.2)


def _draw_single(panel: "Axes", data: Mapping[str, Any]) -> None:
    objective = data["objectives"][0]
    for points, colour, size, label in _groups(data):
        at = {point["key"]: i + 1 for i, point in enumerate(data["points"])}
        panel.scatter(
            [at[point["key"]] for point in points],
            [point[objective["key"]] for point in points],
            s=size,
            color=colour,
            label=label,
            linewidths=0,
        )
    panel.set_xlabel("trial")
    panel.set_xlim(0.5, len(data["points"]) + 0.5)
    _name(panel.set_ylabel, objective)
    panel.grid(alpha=0.2)


def _draw_search(panel: "Axes", data: Mapping[str, Any]) -> None:
    volumes = data["hypervolume"]
    panel.plot(range(1, len(volumes) + 1), volumes, color=_FRONT, drawstyle="steps-post")
    panel.set_xlabel("trial")
    panel.set_xlim(0.5, len(volumes) + 0.5)
    panel.set_ylabel("hypervolume (share of the box of all points)")
    panel.set_ylim(0, 1)
    panel.grid(alpha=0.2)


def _groups(data: Mapping[str, Any]) -> list[tuple[list[Any], str, int, str]]:
    """Points, colour, size and name of what is drawn, the most important last."""
    counted = [point for point in data["points"] if point["reason"] is None]
    rest = [point for point in counted if not point["is_on_front"]]
    front = [point for point in counted if point["is_on_front"]]
    knee = [point for point in front if point["key"] == data["knee"]]
    groups = [(rest, _POINT, 10, "beaten"), (front, _FRONT, 22, "front"), (knee, _KNEE, 44, "knee")]
    return [group for group in groups if group[0]]


def _name(label: Any, objective: Mapping[str, Any]) -> None:
    unit = f" ({objective['unit']})" if objective["unit"] else ""
    better = ", more is better" if objective["better"] == "higher" else ""
    label(drawable(f"{objective['words']}{unit}{better}"), parse_math=False)
