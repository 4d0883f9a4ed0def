"""Is a comparison drawn, whatever its masks are called?"""

from pathlib import Path

import matplotlib as mpl
import pytest

from accel_sim.comparisons.picture import draw_pairs

RATIOS = {"latency_s": 1.0, "energy_j": 2.0, "energy_delay_js": 2.0, "area_mm2": 1.0}


@pytest.mark.parametrize(
    ("count", "has_quality"),
    [(1, False), (27, False), (2, True)],
    ids=["bars", "points", "quality"],
)
@pytest.mark.parametrize("name", ["q", "$x_$", "$\\frac{$", "漢字", "a\x1b[31m\0b", ""])
def test_is_a_name_drawn_as_it_is(name: str, count: int, has_quality: bool, tmp_path: Path) -> None:
    pair = {"mask": name, "accelerator": name, "tokens": 1, "is_dense": False, **RATIOS}
    quality = {"measure": name, "better": "higher"} if has_quality else None
    pairs = [{**pair, "quality": 1.0, "over_first": RATIOS}] * count
    data = {"kind": "products", "quality": quality, "pairs": pairs}
    # Warnings are errors here, such as that of a letter that the font lacks.
    draw_pairs(data, tmp_path / "a.png")
    picture = (tmp_path / "a.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    with mpl.rc_context({"text.usetex": True, "savefig.dpi": 7, "figure.facecolor": "black"}):
        draw_pairs(data, tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes() == picture
