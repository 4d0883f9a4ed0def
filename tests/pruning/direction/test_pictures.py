"""Is a mask drawn, whatever its file calls it and whatever the user's matplotlib is set to?"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from pruning.direction.analysis import analyze
from pruning.direction.pictures import write_picture
from sparse_formats.masks.matrix import MaskedMatrix


@pytest.mark.parametrize(
    "name", ["q", "$x_$", "$\\frac{$", "漢字", "a\x1b[31m\0b", "$" * 99, "q" * 300, ""]
)
def test_is_a_name_drawn_as_it_is(name: str, tmp_path: Path) -> None:
    keep = np.random.default_rng(0).random((8, 8)) < 0.5
    # Warnings are errors here, such as that of a letter that the font lacks.
    write_picture(tmp_path / "a.png", analyze(MaskedMatrix(name, keep)))
    picture = (tmp_path / "a.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    with mpl.rc_context({"text.usetex": True, "savefig.dpi": 7, "figure.facecolor": "black"}):
        write_picture(tmp_path / "b.png", analyze(MaskedMatrix(name, keep)))
    assert (tmp_path / "b.png").read_bytes() == picture
