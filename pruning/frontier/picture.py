"""The Pareto picture: quality over latency and over energy, a column for each machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sparse_formats.files.pictures import drawable, own_style, write_png

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#666666")
_SHAPES = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Okabe and Ito's colours, and a shape each, so that patterns can be told apart without colour."""

_WIDEST = 100.0
"""How many times the best quality the worst that is drawn may be (chosen)."""

_AXES = (("latency_s", "latency", 1e3, "ms"), ("energy_j", "energy", 1e3, "mJ"))


def draw(data: Mapping[str, Any], path: Path) -> None:
    """Write the picture; data: as in frontier.json. The same data gives the same bytes."""
    from matplotlib.figure import Figure

    machines = list(data["machines"])
    patterns = list(dict.fromkeys(point["pattern"] for point in data["points"] if point["pattern"]))
    with own_style():
        size = (3.4 * len(machines) + 1.8, 6.4)
        figure = Figure(size, layout="constrained", facecolor="white")
        grid = figure.subplots(2, len(machines), sharey=True, squeeze=False)
        for column, machine in enumerate(machines):
            for row, axis in enumerate(_AXES):
                _panel(grid[row][column], data, machine, axis, patterns)
            grid[0][column].set_title(drawable(machine), fontsize=10, parse_math=False)
        for row in range(2):
            grid[row][0].set_ylabel(_quality_label(data), fontsize=9, parse_math=False)
        measure = data["measure"]
        if measure is not None and measure["better"] == "lower":
            grid[0][0].set_yscale("log")
            worst, best = limits(data)
            grid[0][0].set_ylim(worst, best)
            if worst < 10 * best:  # a decade or less has few powers of ten to write
                grid[0][0].yaxis.set_major_formatter("{x:g}")
                grid[0][0].yaxis.set_minor_formatter("{x:g}")
            _say_beyond(grid[0][0], data, worst)
        handles, labels = grid[0][0].get_legend_handles_labels()
        found = _legend(dict(zip(labels, handles, strict=True)), patterns)
        figure.legend(found.values(), found.keys(), loc="outside right center", fontsize=8)
        write_png(path, figure, 130)


def _legend(found: dict[str, Any], patterns: Sequence[str]) -> dict[str, Any]:
    """One entry a pattern, filled even where its points are hollow; then what hollow means."""
    from matplotlib.lines import Line2D

    def marker(shape: str, colour: str, fill: str) -> Line2D:
        return Line2D(
            [], [], marker=shape, color=colour, markerfacecolor=fill, linestyle="none", markersize=5
        )

    drawn = {
        drawable(pattern): marker(_SHAPES[i % len(_SHAPES)], colour, colour)
        for i, pattern in enumerate(patterns)
        for colour in [_COLOURS[i % len(_COLOURS)]]
    }
    hollow = {"hollow: like a floor": marker("o", "black", "none")}
    return {label: drawn.get(label, handle) for label, handle in found.items()} | hollow


def _quality_label(data: Mapping[str, Any]) -> str:
    measure = data["measure"]
    if measure is None:
        return "sparsity"
    return f"{measure['words']} ({measure['better']} is better)"


def _height(point: Mapping[str, Any], data: Mapping[str, Any]) -> float | None:
    return point["sparsity"] if data["measure"] is None else point["quality"]


def limits(data: Mapping[str, Any]) -> tuple[float, float]:
    """The worst and the best quality that are drawn, of one that is better lower.

    Floors do not count: a zeroed model is often so bad that beside it all points look alike.
    """
    found = [point["quality"] for point in data["points"] if point["quality"] is not None]
    best = min(found)
    worst = min(max(found), _WIDEST * best)
    margin = max(1.05, (worst / best) ** 0.1)
    return worst * margin, best / margin


def _say_beyond(axes: Any, data: Mapping[str, Any], worst: float) -> None:
    """Name what is worse than anything that is drawn."""
    beyond = [
        f"{result['name']} ({result['quality']:.4g})"
        for result in (*data["floors"], *data["points"])
        if result["quality"] is not None and result["quality"] > worst
    ]
    if beyond:
        more = f" and {len(beyond) - 1} more" if len(beyond) > 1 else ""
        words = drawable(f"worse than drawn: {beyond[0]}{more}")
        axes.text(0.02, 0.02, words, transform=axes.transAxes, fontsize=6, color="#666666")


def _panel(
    axes: Any,
    data: Mapping[str, Any],
    machine: str,
    axis: tuple[str, str, float, str],
    patterns: Sequence[str],
) -> None:
    quantity, title, scale, unit = axis
    for point in data["points"]:
        height, figures = _height(point, data), point["machines"].get(machine)
        if height is None or figures is None:
            continue
        at = figures[quantity] * scale
        if not point["pattern"]:
            axes.scatter(at, height, s=60, marker="*", color="black", label="dense", zorder=3)
            continue
        which = patterns.index(point["pattern"])
        colour = _COLOURS[which % len(_COLOURS)]
        is_worthless = point["cannot_be_told_from"] is not None
        axes.scatter(
            at,
            height,
            s=34 if figures["on_front"] else 18,
            marker=_SHAPES[which % len(_SHAPES)],
            facecolor="none" if is_worthless else colour,
            edgecolor=colour,
            linewidth=0.8,
            alpha=1.0 if figures["on_front"] else 0.45,
            label=drawable(point["pattern"]),
            zorder=2,
        )
    _front(axes, data, machine, quantity, scale)
    for floor in data["floors"]:
        if data["measure"] is not None and floor["quality"] is not None:
            is_zeroed = floor["kind"] == "zeroed"
            axes.axhline(
                floor["quality"],
                color="#999999",
                linewidth=0.8,
                linestyle="--" if is_zeroed else ":",
                label=floor["kind"],
                zorder=1,
            )
    axes.set_xlabel(f"{title}, {unit}", fontsize=9)
    axes.set_xlim(left=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _front(axes: Any, data: Mapping[str, Any], machine: str, quantity: str, scale: float) -> None:
    """A line along the points that nobody beats in quality and this quantity."""
    if data["measure"] is None:
        return
    sign = 1 if data["measure"]["better"] == "higher" else -1
    chosen = sorted(
        (point["machines"][machine][quantity] * scale, -sign * point["quality"])
        for point in data["points"]
        if point["quality"] is not None and point["cannot_be_told_from"] is None
    )
    line: list[tuple[float, float]] = []
    for at, loss in chosen:
        if not line or loss < line[-1][1]:
            line.append((at, loss))
    if line:
        xs, ys = zip(*((at, -sign * loss) for at, loss in line), strict=True)
        axes.plot(xs, ys, color="black", linewidth=0.8, drawstyle="steps-post", zorder=1)
