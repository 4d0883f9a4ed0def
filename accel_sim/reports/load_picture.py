"""How evenly the PE rows were loaded."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.reports.layer_labels import short_names
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


def figure_of_load(data: Mapping[str, Any]) -> "Figure":
    """Layers × PE rows: load over the layer's mean; beside it the heaviest row of each layer."""
    from matplotlib import colormaps

    load = relative_load(data)
    names = short_names(data["layers"])
    figure = new_figure(min(len(names), MANY_LAYERS))
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
    name_rows(left, names)
    left.set_xlabel("PE row")
    left.xaxis.set_major_locator(whole_numbers())
    _show_imbalance(right, [layer["imbalance"] for layer in data["layers"]])
    title(left, "How evenly the PE rows were loaded", data, "")
    return figure


def relative_load(data: Mapping[str, Any]) -> NDArray[np.float64]:
    """Load of each PE row over the mean of its layer, (layers, PE rows); NaN without any load."""
    load = np.array([layer["pe_load"] for layer in data["layers"]], np.float64)
    mean = load.mean(axis=1, keepdims=True)
    return np.divide(load, mean, out=np.full_like(load, np.nan), where=mean > 0)


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
