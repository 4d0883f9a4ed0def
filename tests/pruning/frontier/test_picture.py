"""Does the picture show how points differ, whatever the floors are?"""

from pathlib import Path
from typing import Any

import pytest

from pruning.frontier.picture import draw, limits


def study(*qualities: float, floor: float) -> dict[str, Any]:
    """Points of these perplexities beside a zeroed model."""
    figures = {"latency_s": 1e-3, "energy_j": 1e-3, "on_front": True}
    points = [
        {"name": f"point {i}", "pattern": "fine", "sparsity": 0.5, "quality": quality,
         "cannot_be_told_from": None, "machines": {"tf_mvp": figures}}
        for i, quality in enumerate(qualities)
    ]  # fmt: skip
    zeroed = {"name": "zeroed", "kind": "zeroed", "quality": floor}
    measure = {"words": "perplexity", "better": "lower"}
    return {"machines": {"tf_mvp": {}}, "points": points, "floors": [zeroed], "measure": measure}


def test_a_floor_far_away_does_not_press_the_points_together(tmp_path: Path) -> None:
    data = study(20, 30, floor=1e9)
    worst, best = limits(data)
    assert 15 < best < 20 and 30 < worst < 40
    draw(data, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 5_000


def test_a_point_far_away_does_not_either() -> None:
    worst, best = limits(study(20, 30, 1e6, floor=1e9))
    assert best < 20 and worst == pytest.approx(2000 * 100**0.1)
