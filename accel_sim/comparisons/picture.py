"""The grid of a comparison as bars: each quantity over that of the first pair."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sparse_formats.files.pictures import drawable, own_style, write_png

_TITLES = {
    "latency_s": "time",
    "energy_j": "energy",
    "energy_delay_js": "energy × delay",
    "area_mm2": "area",
}


def draw_pairs(data: Mapping[str, Any], path: Path) -> None:
    """Write one picture; data: as in compare.json. The same data gives the same bytes."""
    from matplotlib.figure import Figure

    pairs = data["pairs"]
    labels = [drawable(f"{pair['mask']} on {pair['accelerator']}") for pair in pairs]
    with own_style():
        figure = Figure((12.0, 1.6 + 0.3 * len(pairs)), layout="constrained", facecolor="white")
        panels = figure.subplots(1, len(_TITLES), sharey=True, squeeze=False)[0]
        for axes, (quantity, title) in zip(panels, _TITLES.items(), strict=True):
            values = [pair["over_first"][quantity] or 0.0 for pair in pairs]
            axes.barh(np.arange(len(pairs)), values, height=0.7, color="#0072B2")
            axes.axvline(1, color="black", linewidth=1)
            for row, value in enumerate(values):
                axes.annotate(
                    f"{value:.2f}",
                    (value, row),
                    (4, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=8,
                    in_layout=False,
                )
            axes.set_title(f"{title} / first", fontsize=10)
            axes.set_xlim(0, max(values) * 1.25 or 1.0)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(axis="y", length=0)
        panels[0].set_yticks(range(len(pairs)), labels, fontsize=8, parse_math=False)
        panels[0].set_ylim(len(pairs) - 0.4, -0.6)
        write_png(path, figure, 130)
