"""What all pictures share: the same figure gives the same bytes, whatever the user's settings."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sparse_formats.files.atomic import replace_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextlib.contextmanager
def own_style() -> Iterator[None]:
    """Draw by matplotlib's defaults: a matplotlibrc of the user's may hold anything."""
    import matplotlib.style

    with matplotlib.style.context("default"):
        yield


def write_png(path: Path, figure: "Figure", dots_per_inch: int) -> None:
    """Write `figure` to `path`, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=dots_per_inch, metadata={"Software": None})
    with replace_file(path) as file:
        file.write(image.getvalue())


def drawable(text: str) -> str:
    """`text` on one line, with ? for what the font has no shape for: names come from files.

    Draw it with ``parse_math=False``, because a dollar would begin a formula.
    """
    from matplotlib.font_manager import findfont, get_font

    shapes = get_font(findfont("DejaVu Sans")).get_charmap()
    return "".join(char if ord(char) in shapes else "?" for char in " ".join(text.split()))
