"""The picture of `inspect`: bits per element over density, and where the matrices lie."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sparse_formats.errors import InputError
from sparse_formats.files.pictures import own_style, write_png
from sparse_formats.formats.registry import FORMATS
from sparse_formats.inspect.cost_formulas import CURVES, density_at
from sparse_formats.inspect.format_costs import CLAIMED_RATIO, FP16_BITS, Inspection

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(path: Path, layers: Sequence[Inspection], value_bits: int) -> None:
    """Write the picture of `layers` to the PNG file `path`.

    Curves: closed formulas for random masks of the most frequent shape; dots: what each matrix
    takes. A ring marks where a curve crosses dense.

    Raises:
        InputError: the path cannot be written, or no matrix has an entry.
    """
    layers = [part for part in layers if part.entries]
    if not layers:
        raise InputError(f"cannot draw {path}: every matrix is empty; leave the picture out")
    with own_style():
        write_png(path, _figure(layers, value_bits), 120)


def _figure(layers: Sequence[Inspection], value_bits: int) -> "Figure":
    from matplotlib.figure import Figure

    shapes = [(part.rows or 0, part.cols or 0) for part in layers]
    rows, cols = max(shapes, key=lambda shape: (shapes.count(shape), shape))
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    axes = figure.add_subplot()
    density = np.linspace(0.001, 1, 400)
    held = [name for name in FORMATS if any(name in part.storage for part in layers)]
    for i, name in enumerate(held):
        color = f"C{i % 10}"
        marker = "os^vD*PX<>dhp"[i % 13]
        if name in CURVES:
            bits = [CURVES[name](d, rows, cols, value_bits) for d in density]
            axes.plot(density, bits, color=color, lw=1.2)
            even = density_at(value_bits, name, rows, cols, value_bits)
            if name != "dense" and even is not None and even < 1:
                axes.plot(even, value_bits, "o", mfc="none", mec=color, ms=9)
                axes.annotate(
                    f"{even:.3f}",
                    (even, value_bits),
                    (0, 8 + 11 * (i % 3)),
                    rotation=0,
                    textcoords="offset points",
                    ha="center",
                    color=color,
                    fontsize=8,
                )
        holding = [part for part in layers if name in part.storage]
        axes.scatter(
            [part.density or 0 for part in holding],
            [part.bits_per_element(name) or 0 for part in holding],
            s=16,
            color=color,
            marker=marker,
            label=name.replace("_", " "),
            zorder=3,
        )
    axes.axhline(FP16_BITS / CLAIMED_RATIO, color="0.4", lw=0.8, ls=":")
    axes.text(
        0.995,
        FP16_BITS / CLAIMED_RATIO,
        "a quarter of FP16",
        ha="right",
        va="bottom",
        fontsize=8,
        color="0.3",
    )
    axes.set(
        xlim=(0, 1),
        ylim=(0, value_bits * 1.45),
        xlabel="density (kept fraction)",
        ylabel=f"bits per element, {value_bits}-bit values",
        title=f"Dots are {len(layers)} matrices. Curves are random masks of {rows}×{cols}, for "
        "mixed-length vectors of length 16. Rings are break-even with dense.",
    )
    axes.title.set_fontsize(9)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return figure
