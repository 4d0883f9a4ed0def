"""Is what the commands write whole, when they are killed or run twice at once?"""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_is_what_is_left_whole() -> None:
    words = "kills pairs --count 3 --only run --only prune --only train"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.reliability", *words.split()],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in ("run", "prune", "train"):
        assert f"{name}: 1 kills" in done.stdout and f"{name}: 1 pairs" in done.stdout
