"""What each layer reaches of the machine's roofline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accel_sim.reports.layer_labels import KIND_STYLES, known_kind, short_names
from accel_sim.reports.picture_frame import new_figure, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def figure_of_roofline(data: Mapping[str, Any]) -> "Figure":
    """Executed MACs per DRAM byte against executed GMAC/s, under the machine's roof."""
    points = roofline_points(data)
    figure = new_figure(17)
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
    title(axes, "What each layer reaches of the machine's roofline", data, note)
    if points:
        figure.legend(loc="outside lower center", ncols=7, frameon=False, fontsize=9)
    return figure


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
