"""What all pictures of a report share: size, title, names of rows."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from accel_sim.reports.layer_labels import elided
from sparse_formats.files.pictures import drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator


MANY_LAYERS = 40
"""Beyond this many bars nobody reads one: they are summed by kind."""


_WIDTH = 10.0


def new_figure(bars: int) -> "Figure":
    from matplotlib.figure import Figure

    return Figure((_WIDTH, 2.3 + 0.27 * bars), layout="constrained", facecolor="white")


def title(axes: "Axes", says: str, data: Mapping[str, Any], note: str) -> None:
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


def _what(data: Mapping[str, Any]) -> str:
    """What was simulated on what, in one line."""
    mask = data.get("mask") or {}
    source = mask.get("source") or "masks"
    if mask.get("shapes"):
        source = f"{mask['shapes']} ({source})"
    machine, tokens = data["accelerator"]["title"], data["total"]["tokens"]
    names = (elided(drawable(str(name)), 44) for name in (source, machine))
    return f"{' on '.join(names)}, {tokens:,} tokens"


def name_rows(axes: "Axes", names: Sequence[str]) -> None:
    """A label per row, or where they would overlap one for every n-th."""
    step = -(-len(names) // MANY_LAYERS)
    rows = range(0, len(names), step)
    axes.set_yticks(rows, [names[row] for row in rows], fontsize=8.5, parse_math=False)
    axes.tick_params(axis="y", length=0)


def whole_numbers() -> "MaxNLocator":
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
