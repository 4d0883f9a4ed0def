"""The drawings of docs/concepts.md: one matrix, cut by six patterns, on the lanes of one PE row.

    python docs/concepts/drawing.py

Weights are drawn at random with strong rows and few strong columns, so that a fine-grained mask of
them has a direction. Everything else is computed: the masks by the patterns of `pruning`, the
entries by the rule of docs/microarchitecture.md §2 (all kept weights of one position and unit).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pruning.direction.strength import DirectionStrength, direction_strength
from pruning.patterns import make_pattern
from pruning.patterns.pattern import Target
from sparse_formats.masks.vectors import VectorLayout

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE, LANES, KEPT = 16, 4, 128
PATTERNS = {
    "fine": "fine-grained",
    "2:4": "2:4",
    "block:4": "blocks of 4 × 4",
    "vector:4": "vectors of 4",
    "mvp horizontal": "mixed, horizontal",
    "mvp vertical": "mixed, vertical",
}
"""Each pattern's name for commands, with its orientation if it has one, and for readers."""

PICTURE = Path(__file__).with_suffix(".png")
DIRECTION = PICTURE.with_name("direction.png")
MACHINE = PICTURE.with_name("machine.png")


@dataclass(frozen=True, eq=False)
class Cut:
    """One pattern's mask.

    keep: bool (out, in).
    layout: the vectors that the pattern cut it into, if it does.
    importance: the share of the sum of |w| that is kept.
    entries: bool (entries, lanes), the filled lanes of each entry, in the mode with fewer of them.
    mode: "row" or "column".
    """

    keep: NDArray[np.bool_]
    layout: VectorLayout | None
    importance: float
    entries: NDArray[np.bool_]
    mode: str

    @property
    def filled(self) -> float:
        """The share of lanes that have a weight to multiply."""
        return float(self.entries.mean())


def weights() -> NDArray[np.float32]:
    """|w|, float32 (16, 16): normal values, rows and columns scaled by log-normal factors."""
    draws = np.random.default_rng(2)
    values = np.abs(draws.standard_normal((SIZE, SIZE)))
    rows = np.exp(0.8 * draws.standard_normal((SIZE, 1)))
    columns = np.exp(0.3 * draws.standard_normal((1, SIZE)))
    return (values * rows * columns).astype(np.float32)


def cuts() -> dict[str, Cut]:
    """Half of the weights kept, by each pattern."""
    return {name: _cut(name) for name in PATTERNS}


def direction() -> DirectionStrength:
    """What is measured of the fine-grained mask."""
    return direction_strength(_cut("fine").keep)


def _cut(name: str) -> Cut:
    scores = weights()
    pattern, _, orientation = name.partition(" ")
    knobs = {"orientation": orientation} if orientation else {}
    made = make_pattern(pattern, knobs).masks([Target("w", "Q", scores)], KEPT)[0]
    by_mode = {"row": _entries(made.keep), "column": _entries(made.keep.T)}
    mode = min(by_mode, key=lambda m: len(by_mode[m]))
    importance = float(scores[made.keep].sum() / scores.sum())
    return Cut(made.keep, made.layout, importance, by_mode[mode], mode)


def _entries(lines: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The non-empty aligned pieces of LANES weights, line by line."""
    pieces = lines.reshape(-1, LANES)
    return pieces[pieces.any(axis=1)]


def draw(path: Path = PICTURE) -> None:
    """Write the picture."""
    plt = _pyplot()
    found, scores = cuts(), weights()
    most = max(len(cut.entries) for cut in found.values())
    figure = plt.figure(figsize=(11.5, 5.1), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1, 1.05))
    upper, lower = parts
    masks = upper.subplots(1, len(found) + 1)
    strips = lower.subplots(len(found), 1, sharex=True)
    _grid(masks[0], scores, "Greys", float(np.quantile(scores, 0.97)))
    masks[0].set_title("|weights|\n16 × 16")
    for (name, cut), above, strip in zip(found.items(), masks[1:], strips, strict=True):
        _grid(above, cut.keep, "Blues", 1.6)
        if cut.layout is not None:
            _outline(above, cut.layout)
        above.set_title(f"{PATTERNS[name]}\n{cut.importance:.0%} of importance")
        _grid(strip, cut.entries.T, "Oranges", 1.6)
        count = len(cut.entries)
        strip.set_xlim(-0.5, most - 0.5)
        strip.set_frame_on(False)
        words = f"{PATTERNS[name]}: {count} cycles\n{cut.filled:.0%} of lanes filled"
        strip.set_ylabel(words, rotation=0, ha="right", va="center")
    strips[-1].set_xlabel("cycles of one processing element with four lanes; a white lane idles")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_direction(path: Path = DIRECTION) -> None:
    """Write the picture of the fine-grained mask, with the density of each row and column."""
    plt = _pyplot()
    keep = _cut("fine").keep
    figure, parts = plt.subplots(
        2, 2, figsize=(5.2, 4.6), layout="constrained", width_ratios=(3, 1), height_ratios=(3, 1)
    )
    (mask, rows), (columns, corner) = parts
    _grid(mask, keep, "Blues", 1.6)
    places = np.arange(SIZE)
    for axes, densities, draw_bars in (
        (rows, keep.mean(axis=1), rows.barh),
        (columns, keep.mean(axis=0), columns.bar),
    ):
        draw_bars(places, densities, color="#2171b5")
        axes.set_frame_on(False)
    rows.set(ylim=(SIZE - 0.5, -0.5), yticks=[], xlim=(0, 1), title="rows differ much")
    rows.axvline(keep.mean(), color="black", linewidth=0.8)
    columns.set(xlim=(-0.5, SIZE - 0.5), xticks=[], ylim=(0, 1), xlabel="columns differ less")
    columns.axhline(keep.mean(), color="black", linewidth=0.8)
    mask.set(aspect="auto", title="the fine-grained mask")
    corner.set_axis_off()
    corner.text(0, 0.5, f"D = {direction().strength:+.3f}")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_machine(path: Path = MACHINE) -> None:
    """Write the block diagram of strip, tile, group, pass, entry and lane."""
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(9.5, 4.4), layout="constrained")
    axes.set(xlim=(0, 19), ylim=(8.8, 0), aspect="equal")
    axes.set_axis_off()
    white, light, strong = "white", "#c6dbef", "#6baed6"
    for strip in range(3):
        for tile in range(2):
            colour = strong if (strip, tile) == (1, 0) else light if strip == 1 else white
            _box(axes, (0.6 + 2.5 * tile, 1 + 1.2 * strip), (2.5, 1.2), colour)
    axes.text(0.6, 0.7, "weights: outputs × inputs")
    axes.text(0.7, 2.9, "a tile")
    axes.text(3.2, 2.9, "… of a strip")
    for group in range(3):
        colour = "#fdae6b" if group == 0 else white
        _box(axes, (7 + 1.1 * group, 1), (1.1, 2.5), colour)
    axes.text(7, 0.7, "inputs × tokens")
    axes.text(7.05, 2.3, "group")
    axes.text(6.1, 2.3, "×")
    axes.text(0.6, 5.4, "a tile × a group of tokens is a pass.\nIt runs on the PE rows:", va="top")
    entries = ((1, 1, 1, 1), (1, 1, 0, 0), (1, 1, 1, 0))
    _box(axes, (8.2, 5.2), (2.7, 2.6), white)
    for place, entry in enumerate(entries):
        for lane, filled in enumerate(entry):
            colour = strong if filled else white
            _box(axes, (8.5 + 0.75 * place, 5.3 + 0.6 * lane), (0.55, 0.55), colour)
    axes.text(8.2, 4.95, "queue of entries")
    axes.text(8.3, 8.4, "an entry: what a slot\ntakes in one cycle", va="center", fontsize=8)
    for pe in range(3):
        left = 12.2 + 2.3 * pe
        _box(axes, (left, 5.2), (1.9, 2.6), white)
        for lane in range(4):
            _box(axes, (left + 0.2, 5.3 + 0.6 * lane), (0.7, 0.5), "#fdd0a2")
        _box(axes, (left + 1.15, 5.3), (0.55, 2.3), "#d9d9d9")
    axes.text(12.2, 4.95, "PE row: a PE for each token of the group")
    axes.text(
        12.2, 8.4, "orange: lanes, which multiply; grey: accumulators", va="center", fontsize=8
    )
    axes.annotate("", (12.1, 6.5), (11, 6.5), arrowprops={"arrowstyle": "->"})
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _box(axes: "Axes", corner: tuple[float, float], size: tuple[float, float], colour: str) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle(corner, *size, facecolor=colour, edgecolor="#333333", linewidth=0.8))


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("agg")
    mpl.rcParams["font.size"] = 9
    from matplotlib import pyplot as plt

    return plt


def _grid(axes: "Axes", cells: NDArray[np.generic], colours: str, top: float) -> None:
    """Cells with lines between them, only where there are cells."""
    rows, columns = cells.shape
    x, y = np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5
    axes.pcolormesh(
        x, y, cells, cmap=colours, vmin=0, vmax=top, edgecolors="#bbbbbb", linewidth=0.3
    )
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.invert_yaxis()


def _outline(axes: "Axes", layout: VectorLayout) -> None:
    """Draw the borders of the vectors."""
    from matplotlib.patches import Rectangle

    for line, start, length in zip(layout.lines, layout.starts, layout.lengths, strict=True):
        flat = layout.orientation == "horizontal"
        corner = (start - 0.5, line - 0.5) if flat else (line - 0.5, start - 0.5)
        size = (length, 1) if flat else (1, length)
        axes.add_patch(Rectangle(corner, *size, fill=False, color="#08306b", linewidth=1.3))


if __name__ == "__main__":
    draw()
    draw_direction()
    draw_machine()
    for name, cut in cuts().items():
        print(f"{name}: {cut.importance:.3f} {len(cut.entries)} {cut.filled:.2f} {cut.mode}")
    print(direction())
