"""Cycles by cause and energy by component: a bar a layer, its parts stacked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.costs.energy import COMPONENTS
from accel_sim.dataflows.registry import causes_of
from accel_sim.reports.layer_labels import known_kind, short_names
from accel_sim.reports.picture_frame import (
    MANY_LAYERS,
    name_rows,
    new_figure,
    title,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def figure_of_cycles(data: Mapping[str, Any]) -> "Figure":
    """A bar per layer, its cycles by cause, with the ideal marked on it."""
    from matplotlib.patheffects import withStroke

    bars = bars_of(data, "cycles_by_cause", list(data["layers"][0]["cycles_by_cause"]))
    known = causes_of(data["accelerator"]["dataflow"])
    colours = {name: cause.colour for name, cause in known.items()}
    figure, axes = _stacked(bars, colours, "Where the cycles went", data)
    axes.plot(
        bars.ideal,
        np.arange(len(bars.labels)),
        marker="|",
        markersize=14,
        markeredgewidth=2,
        linestyle="none",
        color="black",
        label="ideal cycles",
        path_effects=[withStroke(linewidth=4, foreground="white")],
    )
    _label_ends(axes, bars.ends, [f"{end:,.0f}" for end in bars.ends], beyond=bars.ideal)
    axes.xaxis.set_major_locator(whole_numbers())
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("cycles on the critical path")
    _legend_below(figure, axes)
    return figure


def figure_of_energy(data: Mapping[str, Any]) -> "Figure":
    """A bar per layer, its energy by component; DRAM is hatched, the rest is the core."""
    bars = bars_of(data, "energy_by_component_j", tuple(COMPONENTS))
    factor, unit = _energy_unit(float(bars.ends.max(initial=0.0)))
    bars = Bars(
        bars.labels,
        {part: values * factor for part, values in bars.parts.items()},
        bars.ideal,
        bars.is_by_kind,
    )
    colours = {name: component.colour for name, component in COMPONENTS.items()}
    figure, axes = _stacked(bars, colours, "Where the energy went", data, hatched="dram")
    _label_ends(axes, bars.ends, [f"{end:,.3g} {unit}" for end in bars.ends])
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set_xlabel(f"energy in {unit} (hatched: DRAM; the rest is the core)")
    _legend_below(figure, axes)
    return figure


@dataclass(frozen=True)
class Bars:
    """Bars to stack: a label each, and for every part one value per bar."""

    labels: Sequence[str]
    parts: Mapping[str, NDArray[np.float64]]
    ideal: NDArray[np.float64]
    is_by_kind: bool

    @property
    def ends(self) -> NDArray[np.float64]:
        """Length of each whole bar."""
        return sum(self.parts.values(), np.zeros(len(self.labels)))


def bars_of(data: Mapping[str, Any], key: str, order: Sequence[str]) -> Bars:
    """The parts `layers[].key` in `order`, by layer, or by kind where there are many layers."""
    layers = data["layers"]
    labels = short_names(layers)
    groups = np.arange(len(layers))
    is_by_kind = len(layers) > MANY_LAYERS
    if is_by_kind:
        kinds = [known_kind(layer) for layer in layers]
        found = list(dict.fromkeys(kinds))
        labels = [f"{kind} (sum of {kinds.count(kind)})" for kind in found]
        groups = np.array([found.index(kind) for kind in kinds])

    def grouped(values: list[float]) -> NDArray[np.float64]:
        sums = np.zeros(len(labels))
        np.add.at(sums, groups, values)
        return sums

    return Bars(
        labels,
        {part: grouped([layer[key][part] for layer in layers]) for part in order},
        grouped([layer["ideal_cycles"] for layer in layers]),
        is_by_kind,
    )


def _stacked(
    bars: Bars,
    colours: Mapping[str, str],
    says: str,
    data: Mapping[str, Any],
    hatched: str = "",
) -> "tuple[Figure, Axes]":
    """Stacked horizontal bars of the parts that occur, first bar on top."""
    figure = new_figure(len(bars.labels))
    axes = figure.subplots()
    start = np.zeros(len(bars.labels))
    for part, values in bars.parts.items():
        if not values.any():
            continue
        axes.barh(
            np.arange(len(bars.labels)),
            values,
            left=start,
            height=0.78,
            color=colours[part],
            hatch="////" if part == hatched else None,
            edgecolor="white",
            linewidth=0.3,
            label=part.replace("_", " "),
        )
        start = start + values
    name_rows(axes, bars.labels)
    axes.set_ylim(len(bars.labels) - 0.4, -0.6)
    axes.spines[["top", "right"]].set_visible(False)
    title(axes, says, data, "summed by kind" if bars.is_by_kind else "")
    return figure, axes


def _label_ends(
    axes: "Axes",
    ends: NDArray[np.float64],
    labels: Sequence[str],
    beyond: NDArray[np.float64] | None = None,
) -> None:
    """The length of each bar in figures behind it, and behind the mark that may stand further."""
    stands = ends if beyond is None else np.maximum(ends, beyond)
    for index, (end, label) in enumerate(zip(stands, labels, strict=True)):
        axes.annotate(
            label,
            (end, index),
            (7, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color="#444444",
            in_layout=False,  # stands inside the axes; measuring it would only take time
        )
    axes.set_xlim(0, float(stands.max(initial=0.0)) * 1.12 or 1.0)


def _legend_below(figure: "Figure", axes: "Axes") -> None:
    """The parts in the order in which they are stacked, then the mark of the ideal."""
    handles, labels = axes.get_legend_handles_labels()
    marks = len(axes.lines)
    if handles:
        figure.legend(
            [*handles[marks:], *handles[:marks]],
            [*labels[marks:], *labels[:marks]],
            loc="outside lower center",
            ncols=6,
            frameon=False,
            fontsize=9,
        )


def _energy_unit(joule: float) -> tuple[float, str]:
    """Factor and unit in which the largest bar is at least 1."""
    units = ((1.0, "J"), (1e3, "mJ"), (1e6, "µJ"), (1e9, "nJ"))
    return next((unit for unit in units if joule * unit[0] >= 1), (1e12, "pJ"))
