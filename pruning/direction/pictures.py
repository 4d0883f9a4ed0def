"""Pictures of a mask from which a person sees its direction."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pruning.direction.analysis import Analysis
from pruning.direction.strength import BANDS
from sparse_formats.files.pictures import drawable, own_style, write_png
from sparse_formats.masks.vectors import ORIENTATIONS, Orientation

THUMBNAIL = 360
"""Pixels of a thumbnail a side, at most (chosen)."""

_DOTS_PER_INCH = 110

_COLOURS: dict[Orientation, str] = {"horizontal": "#1f6fb4", "vertical": "#d1662f"}
_MARKERS: dict[Orientation, str] = {"horizontal": "o", "vertical": "s"}


def write_picture(path: Path, analysis: Analysis) -> None:
    """Write one PNG: the mask with its row and column profiles, κ and retention over length."""
    with own_style():
        write_png(path, draw(analysis), _DOTS_PER_INCH)


def draw(analysis: Analysis) -> Figure:
    """The figure that `write_picture` writes."""
    direction = analysis.direction
    # Places are fixed: finding them from the text sizes would take as long as all the drawing.
    figure = Figure(figsize=(13, 5.2))
    _draw_mask(figure, analysis)
    _draw_kappa(figure.add_axes((0.455, 0.11, 0.24, 0.76)), analysis)
    _draw_retention(figure.add_axes((0.745, 0.11, 0.24, 0.76)), analysis)
    figure.suptitle(
        f"{_shortened(analysis.matrix.name)}   {direction.rows}×{direction.cols}, "
        f"density {direction.density:.3f}   direction: {direction.verdict}   "
        f"(whole lines: D = {direction.strength:+.3f})",
        fontsize=12,
        parse_math=False,
    )
    return figure


def thumbnail(keep: NDArray[np.bool_], longest: int = THUMBNAIL) -> NDArray[np.float64]:
    """`keep` (out, in) as mean densities of equal blocks, at most `longest` a side."""
    sums = keep.astype(np.float64)
    for axis in (0, 1):
        size = keep.shape[axis]
        starts = np.arange(0, size, max(1, -(-size // longest)))
        counts = np.diff(np.append(starts, size))
        sums = np.add.reduceat(sums, starts, axis=axis)
        sums /= counts[:, None] if axis == 0 else counts
    return sums


def _draw_mask(figure: Figure, analysis: Analysis) -> None:
    """The mask, row densities at its right, column densities below it, on one common scale."""
    keep = analysis.matrix.keep
    rows, cols = keep.shape
    picture = figure.add_axes((0.055, 0.29, 0.27, 0.58))
    right = figure.add_axes((0.332, 0.29, 0.065, 0.58), sharey=picture)
    below = figure.add_axes((0.055, 0.11, 0.27, 0.165), sharex=picture)
    if keep.size:
        image = thumbnail(keep)
        picture.imshow(
            image,
            cmap="Greys",
            vmin=0,
            vmax=max(float(np.quantile(image, 0.995)), 1e-9),
            aspect="auto",
            interpolation="nearest",
            extent=(0, cols, rows, 0),
        )
    picture.set_title("mask (dark = kept)", fontsize=10)
    picture.set_ylabel(f"{rows} outputs")
    picture.tick_params(labelbottom=False)
    by_row, by_col = keep.sum(axis=1) / max(cols, 1), keep.sum(axis=0) / max(rows, 1)
    top = max(by_row.max(initial=0), by_col.max(initial=0), 1e-9) * 1.05
    right.fill_betweenx(np.arange(rows) + 0.5, 0, by_row, color=_COLOURS["horizontal"], lw=0)
    right.set_xlim(0, top)
    right.set_xlabel("row density", fontsize=9)
    right.tick_params(labelleft=False, labelsize=8)
    below.fill_between(np.arange(cols) + 0.5, 0, by_col, color=_COLOURS["vertical"], lw=0)
    below.set_ylim(0, top)
    below.set_xlabel(f"{cols} inputs")
    below.set_ylabel("column\ndensity", fontsize=9)
    below.tick_params(labelsize=8)


def _draw_kappa(axes: Axes, analysis: Analysis) -> None:
    direction = analysis.direction
    for orientation in ORIENTATIONS:
        known = [(c.length, c.kappa) for c in direction.of(orientation) if c.kappa is not None]
        _draw_line(axes, known, orientation, f"κ {orientation}")
    for end, _ in BANDS:
        axes.axhline(end, color="0.75", lw=0.8, ls=":", zorder=0)
    axes.axhline(0, color="0.5", lw=0.8, zorder=0)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.01), max(high * 1.05, 0.05))
    for start, end, word in zip(
        (0.0, 0.02, 0.1, 0.3),
        (0.02, 0.1, 0.3, 1.0),
        ("none", "weak", "medium", "strong"),
        strict=True,
    ):
        if start < axes.get_ylim()[1] * 0.97 and end > axes.get_ylim()[1] * 0.05:
            axes.annotate(
                word,
                (1, start),
                xycoords=("axes fraction", "data"),
                xytext=(-3, 2),
                textcoords="offset points",
                ha="right",
                va="bottom",
                color="0.55",
                fontsize=8,
            )
    axes.set_title("coherence κ of aligned vectors", fontsize=10)
    _finish(axes, [c.length for c in direction.horizontal])


def _draw_retention(axes: Axes, analysis: Analysis) -> None:
    for orientation in ORIENTATIONS:
        points = [(r.length, r.best_known(orientation)) for r in analysis.retention]
        known = [(length, value) for length, value in points if value is not None]
        _draw_line(axes, [(1, 1.0), *known], orientation, orientation)
    how = "measured on the kept weights" if analysis.measured else "predicted from κ"
    axes.set_title(f"retention ({how})", fontsize=10)
    axes.set_ylim(0, 1.03)
    _finish(axes, [1, *(r.length for r in analysis.retention)])


def _draw_line(
    axes: Axes, points: list[tuple[int, float]], orientation: Orientation, label: str
) -> None:
    if points:
        lengths, values = zip(*points, strict=True)
        axes.plot(
            np.log2(lengths),
            values,
            color=_COLOURS[orientation],
            marker=_MARKERS[orientation],
            label=label,
        )


def _finish(axes: Axes, lengths: list[int]) -> None:
    axes.set_xticks(np.log2(lengths), [str(length) for length in lengths])
    axes.set_xlabel("vector length")
    axes.grid(axis="y", color="0.92", zorder=0)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9, loc="best")


def _shortened(name: str, longest: int = 60) -> str:
    plain = drawable(name)
    return plain if len(plain) <= longest else f"…{plain[-longest + 1 :]}"
