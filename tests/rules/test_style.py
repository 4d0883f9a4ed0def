"""Is the code clean for the linter, the formatter and the type checker?"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("check", ["ruff check", "ruff format --check", "pyright"])
def test_the_repository_is_clean(check: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *check.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{check}:\n{done.stdout}{done.stderr}"
