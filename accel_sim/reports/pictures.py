"""The report in four pictures: cycles, energy, load of the PEs, and the roofline.

Each figure is drawn from the report as JSON, whatever its number of layers. matplotlib is loaded
only when something is drawn, and used without pyplot, so that nothing outlives a call.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.costs.energy import COMPONENTS
from accel_sim.dataflows.registry import causes_of
from accel_sim.reports.layer_labels import KIND_STYLES, elided, known_kind, short_names
from sparse_formats.files.pictures import drawable, own_style, write_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

MANY_LAYERS = 40
"""Beyond this many bars nobody reads one: they are summed by kind."""

_WIDTH = 10.0
_DOTS_PER_INCH = 130


def draw(data: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the pictures of `PICTURES` into `folder`; the same data gives the same bytes.

    data: the report as JSON (`report.as_json`).

    Raises:
        InputError: the folder cannot be written.
    """
    written = []
    with own_style():
        for name, figure_of in PICTURES.items():
            if figure_of is figure_of_load and not all(item["pe_load"] for item in data["layers"]):
                continue  # a dataflow that deals no entries out has no load to compare
            write_png(folder / name, figure_of(data), _DOTS_PER_INCH)
            written.append(folder / name)
    return written


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


def figure_of_cycles(data: Mapping[str, Any]) -> "Figure":
    """A bar per layer, its cycles by cause, with the ideal marked on it."""
    from matplotlib.patheffects import withStroke

    bars = bars_of(data, "cycles_by_cause", list(data["layers"][0]["cycles_by_cause"]))
    known = causes_of(data["accelerator"]["dataflow"])
    colours = {name: cause.colour for name, cause in known.items()}
    figure, axes = _figure_of_bars(bars, colours, "Where the cycles went", data)
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
    axes.xaxis.set_major_locator(_whole_numbers())
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
    figure, axes = _figure_of_bars(bars, colours, "Where the energy went", data, hatched="dram")
    _label_ends(axes, bars.ends, [f"{end:,.3g} {unit}" for end in bars.ends])
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set_xlabel(f"energy in {unit} (hatched: DRAM; the rest is the core)")
    _legend_below(figure, axes)
    return figure


def relative_load(data: Mapping[str, Any]) -> NDArray[np.float64]:
    """Load of each PE row over the mean of its layer, (layers, PE rows); NaN without any load."""
    load = np.array([layer["pe_load"] for layer in data["layers"]], np.float64)
    mean = load.mean(axis=1, keepdims=True)
    return np.divide(load, mean, out=np.full_like(load, np.nan), where=mean > 0)


def figure_of_load(data: Mapping[str, Any]) -> "Figure":
    """Layers × PE rows: load over the layer's mean; beside it the heaviest row of each layer."""
    from matplotlib import colormaps

    load = relative_load(data)
    names = short_names(data["layers"])
    figure = _figure(min(len(names), MANY_LAYERS))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(4, 1))
    # Symmetric about 1 = balanced, never so narrow that one entry more or less looks dramatic.
    off = np.abs(load[np.isfinite(load)] - 1).max(initial=0.0)
    reach = float(np.clip(off, 0.05, 1.0))
    colours = colormaps["RdBu_r"].with_extremes(bad="#DDDDDD")
    image = left.imshow(
        load, cmap=colours, vmin=1 - reach, vmax=1 + reach, aspect="auto", interpolation="nearest"
    )
    if load.shape[1] > 500 or len(names) > 500:
        image.set_interpolation("auto")
    figure.colorbar(
        image,
        ax=[left, right],
        location="bottom",
        aspect=60,
        shrink=0.5,
        pad=0.3 / figure.get_figheight(),
        extend="max" if off > reach else "neither",
        label="load of the PE row / mean of the layer (1 = balanced; grey = no work)",
    )
    _name_rows(left, names)
    left.set_xlabel("PE row")
    left.xaxis.set_major_locator(_whole_numbers())
    _show_imbalance(right, [layer["imbalance"] for layer in data["layers"]])
    _title(left, "How evenly the PE rows were loaded", data, "")
    return figure


def figure_of_roofline(data: Mapping[str, Any]) -> "Figure":
    """Executed MACs per DRAM byte against executed GMAC/s, under the machine's roof."""
    points = roofline_points(data)
    figure = _figure(17)
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    peak, bandwidth = _roof_of(data)
    for kind, (colour, marker) in KIND_STYLES.items():
        own = [point for point in points if point.kind == kind]
        if own:
            axes.scatter(
                [point.macs_per_byte for point in own],
                [point.gmacs_per_second for point in own],
                color=colour,
                marker=marker,
                s=60,
                alpha=0.8,
                linewidths=0.6,
                edgecolors="white",
                label=kind,
                zorder=3,
            )
    _show_roof(axes, peak, bandwidth, points)
    _label_extremes(axes, points)
    axes.grid(color="#EEEEEE", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("executed MACs per DRAM byte (MAC/B)")
    axes.set_ylabel("executed GMAC/s")
    left_out = len(data["layers"]) - len(points)
    note = f"{left_out} without executed MACs left out" if left_out else ""
    _title(axes, "What each layer reaches of the machine's roofline", data, note)
    if points:
        figure.legend(loc="outside lower center", ncols=7, frameon=False, fontsize=9)
    return figure


PICTURES: dict[str, Callable[[Mapping[str, Any]], "Figure"]] = {
    "cycles_by_cause.png": figure_of_cycles,
    "energy_by_component.png": figure_of_energy,
    "pe_load.png": figure_of_load,
    "roofline.png": figure_of_roofline,
}
"""File name → what draws it."""


@dataclass(frozen=True)
class RooflinePoint:
    """Where one layer stands under the roof."""

    label: str
    kind: str
    macs_per_byte: float
    gmacs_per_second: float


def roofline_points(data: Mapping[str, Any]) -> list[RooflinePoint]:
    """The layers that a logarithmic picture can show: those that executed MACs, from DRAM."""
    return [
        RooflinePoint(
            label,
            known_kind(layer),
            layer["macs_executed"] / layer["dram_bytes"],
            layer["macs_executed"] / layer["latency_s"] / 1e9,
        )
        for label, layer in zip(short_names(data["layers"]), data["layers"], strict=True)
        if layer["macs_executed"] and layer["dram_bytes"] and layer["latency_s"]
    ]


def _what(data: Mapping[str, Any]) -> str:
    """What was simulated on what, in one line."""
    mask = data.get("mask") or {}
    source = mask.get("source") or "masks"
    if mask.get("shapes"):
        source = f"{mask['shapes']} ({source})"
    machine, tokens = data["accelerator"]["title"], data["total"]["tokens"]
    names = (elided(drawable(str(name)), 44) for name in (source, machine))
    return f"{' on '.join(names)}, {tokens:,} tokens"


def _title(axes: "Axes", says: str, data: Mapping[str, Any], note: str) -> None:
    """In bold what the picture shows, below it of what."""
    count = len(data["layers"])
    lines = f"{_what(data)}, {count} {'matrix' if count == 1 else 'matrices'}"
    lines += f"; {note}" if note else ""
    axes.set_title(f"{says}\n", loc="left", fontsize=13, fontweight="bold")
    axes.annotate(
        lines,
        (0, 1),
        (0, 6),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=9.5,
        color="#444444",
        parse_math=False,
    )


def _figure(bars: int) -> "Figure":
    from matplotlib.figure import Figure

    return Figure((_WIDTH, 2.3 + 0.27 * bars), layout="constrained", facecolor="white")


def _figure_of_bars(
    bars: Bars,
    colours: Mapping[str, str],
    says: str,
    data: Mapping[str, Any],
    hatched: str = "",
) -> "tuple[Figure, Axes]":
    """Stacked horizontal bars of the parts that occur, first bar on top."""
    figure = _figure(len(bars.labels))
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
    _name_rows(axes, bars.labels)
    axes.set_ylim(len(bars.labels) - 0.4, -0.6)
    axes.spines[["top", "right"]].set_visible(False)
    _title(axes, says, data, "summed by kind" if bars.is_by_kind else "")
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


def _name_rows(axes: "Axes", names: Sequence[str]) -> None:
    """A label per row, or where they would overlap one for every n-th."""
    step = -(-len(names) // MANY_LAYERS)
    rows = range(0, len(names), step)
    axes.set_yticks(rows, [names[row] for row in rows], fontsize=8.5, parse_math=False)
    axes.tick_params(axis="y", length=0)


def _whole_numbers() -> "MaxNLocator":
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])


def _energy_unit(joule: float) -> tuple[float, str]:
    """Factor and unit in which the largest bar is at least 1."""
    units = ((1.0, "J"), (1e3, "mJ"), (1e6, "µJ"), (1e9, "nJ"))
    return next((unit for unit in units if joule * unit[0] >= 1), (1e12, "pJ"))


def _show_imbalance(axes: "Axes", imbalance: Sequence[float | None]) -> None:
    known = np.array([1.0 if value is None else value for value in imbalance])
    axes.barh(np.arange(len(known)), known - 1, left=1, height=0.78, color="#67001F")
    if len(known) <= MANY_LAYERS:
        for row, value in enumerate(imbalance):
            axes.annotate(
                "–" if value is None else f"{value:.3f}",
                (known[row], row),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color="#444444",
                in_layout=False,
            )
    axes.set_xlim(1, 1 + max(0.05, float(known.max(initial=1.0)) - 1) * 1.35)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.locator_params(axis="x", nbins=2)
    axes.set_xlabel("heaviest row / mean")


def _roof_of(data: Mapping[str, Any]) -> tuple[float, float]:
    """Peak in GMAC/s and DRAM bandwidth in GB/s."""
    machine = data["accelerator"]
    clock = machine["clock"]["clock_hz"]["value"]
    bandwidth = machine["dram"]["bytes_per_cycle"]["value"] * clock / 1e9
    return data["peak_macs_per_cycle"] * clock / 1e9, bandwidth


def _show_roof(
    axes: "Axes", peak: float, bandwidth: float, points: Sequence[RooflinePoint]
) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    ridge = peak / bandwidth
    xs = [ridge, *(point.macs_per_byte for point in points)]
    ys = [peak, *(point.gmacs_per_second for point in points)]
    low, high = min(xs) / 3, max(xs) * 3
    axes.plot([low, ridge, high], [low * bandwidth, peak, peak], color="black", linewidth=1.8)
    axes.set_xlim(low, high)
    axes.set_ylim(min(ys) / 3, max(ys) * 2)
    axes.annotate(
        f"all multipliers busy: {peak:,.4g} GMAC/s",
        (high, peak),
        (-6, 5),
        textcoords="offset points",
        ha="right",
        fontsize=9,
    )
    axes.annotate(
        f"DRAM busy: {bandwidth:,.4g} GB/s",
        ((low * ridge) ** 0.5, (low * ridge) ** 0.5 * bandwidth),
        (-8, 4),
        textcoords="offset points",
        ha="right",
        fontsize=9,
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:,g}")
        axis.set_minor_locator(NullLocator())


def _label_extremes(axes: "Axes", points: Sequence[RooflinePoint]) -> None:
    """Name the slowest, the fastest, and those with the most and the least reuse."""
    from matplotlib.patheffects import withStroke

    if not points:
        axes.text(0.7, 0.3, "no layer executed a MAC", transform=axes.transAxes, ha="center")
        return
    by_speed = sorted(points, key=lambda point: point.gmacs_per_second)
    by_reuse = sorted(points, key=lambda point: point.macs_per_byte)
    extremes = {
        by_speed[0]: ((0, -14), "center"),
        by_speed[-1]: ((0, 8), "center"),
        by_reuse[0]: ((-9, -3), "right"),
        by_reuse[-1]: ((9, -3), "left"),
    }
    for point, (offset, side) in extremes.items():
        axes.annotate(
            point.label,
            (point.macs_per_byte, point.gmacs_per_second),
            offset,
            textcoords="offset points",
            ha=side,
            fontsize=8.5,
            parse_math=False,
            path_effects=[withStroke(linewidth=3, foreground="white")],
            zorder=4,
        )
