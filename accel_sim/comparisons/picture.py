"""A comparison drawn: bars where they fit a screen, else points of time and energy.

Where the quality of masks is known, it is drawn over time instead.

data: as in compare.json.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from accel_sim.comparisons.data import varying
from accel_sim.comparisons.measures import DRAWN, LOADS, MEASURES, Measure
from accel_sim.comparisons.quality import quality_measure
from sparse_formats.files.pictures import drawable, own_style, write_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

T = TypeVar("T")

MOST_BARS = 26
"""Pairs up to which bars are drawn: a screen."""

_MOST_PANELS = 4

_LEFT = 0.97
"""Ratios up to which a bar of a logarithmic axis has its number on its left."""

_WIDE = 10
"""Ratio of the longest bar to the shortest from which on their axis is logarithmic."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#000000")
MARKS = (
    *("o", "s", "D", "^", "v", "<", ">", "P", "X", "*", "h", "p", "d", "8"),
    *((4, 1, 0), (6, 1, 0), (3, 1, 0), (8, 1, 0), (4, 1, 45), (3, 1, 180)),
)
"""Colours of masks and marks of machines in a scatter, in this order; both begin anew behind the
last."""


def draw_pairs(data: Mapping[str, Any], path: Path) -> None:
    """Write one picture. The same data gives the same bytes."""
    measures = [
        measure
        for measure in MEASURES[data["kind"]]
        if any(pair[measure.key] is not None for pair in data["pairs"])
    ]
    pairs = data["pairs"]
    if len(pairs) > MOST_BARS:
        pairs = [pair for pair in pairs if not pair["is_dense"]]
    with own_style():
        if data["quality"] is not None:
            _scatter(data, [pair for pair in pairs if pair["quality"] is not None], measures, path)
        elif len(pairs) <= MOST_BARS:
            measures = [measure for measure in measures if not measure.is_rate]
            _bars(data, pairs, measures[:_MOST_PANELS], path)
        else:
            _scatter(data, pairs, measures, path)


def _bars(
    data: Mapping[str, Any],
    pairs: Sequence[Mapping[str, Any]],
    measures: Sequence[Measure],
    path: Path,
) -> None:
    """A panel for each figure, over the first pair; dense runs are hatched."""
    from matplotlib.figure import Figure

    keys = varying(data, pairs) or ["mask", "accelerator"]
    labels = [drawable(" · ".join(_text(pair[key]) for key in keys)) for pair in pairs]
    figure = Figure((12.0, 1.6 + 0.3 * len(pairs)), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for axes, measure in zip(panels, measures, strict=True):
        values = [pair["over_first"][measure.key] or 0.0 for pair in pairs]
        is_wide = max(values) > _WIDE * min(values) > 0
        # On a logarithmic axis bars begin at the first pair, and what is better points left.
        begin = 1 if is_wide else 0
        bars = axes.barh(
            np.arange(len(pairs)),
            [value - begin for value in values],
            left=begin,
            height=0.7,
            color=COLOURS[0],
        )
        if is_wide:
            axes.set_xscale("log")
        for bar, pair in zip(bars, pairs, strict=True):
            if pair["is_dense"]:
                bar.set(facecolor="white", edgecolor=COLOURS[0], hatch="////")
        axes.axvline(1, color="black", linewidth=1)
        for row, value in enumerate(values):
            axes.annotate(
                f"{value:.2f}",
                (value, row),
                (-4, 0) if is_wide and value < _LEFT else (4, 0),
                textcoords="offset points",
                ha="right" if is_wide and value < _LEFT else "left",
                va="center",
                fontsize=8,
                in_layout=False,
            )
        axes.set_title(f"{measure.words.removesuffix(' mm²')} / first", fontsize=10)
        if is_wide:
            least = min(values)
            axes.set_xlim(least / 4 if least < _LEFT else 1 / 1.1, max(1, *values) * 4)
        else:
            axes.set_xlim(0, max(values) * 1.25 or 1.0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(pairs)), labels, fontsize=8, parse_math=False)
    panels[0].set_ylim(len(pairs) - 0.4, -0.6)
    write_png(path, figure, 130)


def _scatter(
    data: Mapping[str, Any],
    pairs: Sequence[Mapping[str, Any]],
    measures: Sequence[Measure],
    path: Path,
) -> None:
    """Time and energy, or quality over time, a panel for each load.

    A mask has a colour, an accelerator a mark.
    """
    from matplotlib.figure import Figure

    known = {measure.key: measure for measure in measures}
    across, up = next(
        (known[x], known[y]) for x, y in DRAWN[data["kind"]] if x in known and y in known
    )
    if data["quality"] is not None:
        up = quality_measure(data["quality"])
    keys = [key for key in varying(data, pairs) if key not in ("mask", "accelerator")]
    by_load: dict[str, list[Mapping[str, Any]]] = {}
    for pair in pairs:
        words = ", ".join(f"{LOADS[data['kind']][key]} {pair[key]:,}" for key in keys)
        by_load.setdefault(words, []).append(pair)
    rows = -(-len(by_load) // _MOST_PANELS)
    columns = -(-len(by_load) // rows)
    figure = Figure((4.0 + 5.0 * columns, 5.5 * rows), layout="constrained", facecolor="white")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    colours = _in_turn([pair["mask"] for pair in pairs], COLOURS)
    marks = _in_turn([pair["accelerator"] for pair in pairs], MARKS)
    for axes, (words, of_load) in zip(panels, by_load.items(), strict=False):
        for pair in of_load:
            axes.plot(
                pair[across.key],
                pair[up.key],
                color=colours[pair["mask"]],
                marker=marks[pair["accelerator"]],
                markersize=8,
                markeredgecolor="white",
                linestyle="none",
            )
        _finish(axes, words, across, up)
        _name_front(axes, of_load, (across, up))
    for axes in panels[len(by_load) :]:
        axes.set_axis_off()
    _legends(figure, colours, marks)
    write_png(path, figure, 130)


def _finish(axes: "Axes", title: str, across: Measure, up: Measure) -> None:
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    more = ", more is better" if up.is_rate else ""
    axes.set(xscale="log", xlabel=across.words)
    axes.set_ylabel(drawable(up.words + more), parse_math=False)
    if up.is_scaled:
        axes.set_yscale("log")
    axes.set_title(title, fontsize=10)
    axes.margins(0.15)
    for axis, measure in ((axes.xaxis, across), (axes.yaxis, up)):
        axis.set_tick_params(which="both", labelsize=8)
        if not measure.is_scaled:
            continue
        axis.set_major_formatter(EngFormatter(measure.unit))
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="both", labelrotation=45)
    axes.grid(visible=True, which="both", color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _name_front(
    axes: "Axes", pairs: Sequence[Mapping[str, Any]], measures: tuple[Measure, Measure]
) -> None:
    """Write the names of the pairs that no other beats in both figures."""
    x, y = (measure.key for measure in measures)
    sign = -1 if measures[1].is_rate else 1
    best, is_above = float("inf"), False
    for pair in sorted(pairs, key=lambda pair: (pair[x], sign * pair[y])):
        if sign * pair[y] < best:
            best, is_above = sign * pair[y], not is_above
            axes.annotate(
                drawable(f"{pair['mask']} · {pair['accelerator']}"),
                (pair[x], pair[y]),
                (6, 5 if is_above else -11),  # in turn, so that neighbours do not overlap
                textcoords="offset points",
                fontsize=8,
                parse_math=False,
            )


def _legends(figure: "Figure", colours: Mapping[str, str], marks: Mapping[str, Any]) -> None:
    from matplotlib.lines import Line2D

    def entry(name: str, colour: str, mark: Any) -> Line2D:
        look = {"color": colour, "marker": mark, "markersize": 8, "linestyle": "none"}
        return Line2D([], [], label=drawable(name), **look)  # type: ignore[arg-type]

    masks = [entry(name, colour, MARKS[0]) for name, colour in colours.items()]
    machines = [entry(name, "0.4", mark) for name, mark in marks.items()]
    places: tuple[tuple[list[Line2D], str, Any], ...] = (
        (masks, "mask", "outside right upper"),
        (machines, "accelerator", "outside right lower"),
    )
    for handles, title, where in places:
        legend = figure.legend(
            handles=handles, title=title, loc=where, frameon=False, fontsize=8, alignment="left"
        )
        for text in legend.get_texts():
            text.set_parse_math(False)


def _in_turn(names: Sequence[str], looks: Sequence[T]) -> dict[str, T]:
    return {name: looks[i % len(looks)] for i, name in enumerate(dict.fromkeys(names))}


def _text(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
