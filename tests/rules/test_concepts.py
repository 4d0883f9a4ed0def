"""Does docs/concepts.md say what its drawing's own code computes?"""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    found = importlib.util.spec_from_file_location("drawing", DOCS / "concepts" / "drawing.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["drawing"] = module  # dataclasses look their module up
    found.loader.exec_module(module)
    return module


def test_the_table_below_the_drawing_is_what_is_drawn(drawing: ModuleType) -> None:
    page = (DOCS / "concepts.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|]+) \| (\d+) % \| (\d+) \| (\d+) % \|$", page, re.MULTILINE)
    found = [
        (
            drawing.PATTERNS[name],
            f"{cut.importance:.0%}",
            str(len(cut.entries)),
            f"{cut.filled:.0%}",
        )
        for name, cut in drawing.cuts().items()
    ]
    assert [(name, f"{kept}%", count, f"{full}%") for name, kept, count, full in rows] == found


def test_every_cut_keeps_half_and_its_entries_hold_every_kept_weight(drawing: ModuleType) -> None:
    for cut in drawing.cuts().values():
        assert cut.keep.sum() == cut.entries.sum() == drawing.KEPT


def test_the_direction_strength_of_the_page_is_the_formula_of_the_page(drawing: ModuleType) -> None:
    keep = drawing.cuts()["fine"].keep
    p, size = keep.mean(), drawing.SIZE
    # Without replacement a line of n of N bits has variance p(1 − p)/n · (N − n)/(N − 1).
    null = (size * size - size) / (size * size - 1) / size
    rows, columns = (float(np.var(keep.mean(axis)) / (p * (1 - p))) for axis in (1, 0))
    strength = (rows - null) / (1 - null) - (columns - null) / (1 - null)
    page = (DOCS / "concepts.md").read_text("utf-8")
    for value in (rows, columns, null, strength):
        assert f"{value:.3f}".lstrip("0") in page
    assert drawing.direction().strength == pytest.approx(strength)


def test_it_can_be_drawn(drawing: ModuleType, tmp_path: Path) -> None:
    for name in ("draw", "draw_direction", "draw_machine"):
        getattr(drawing, name)(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
