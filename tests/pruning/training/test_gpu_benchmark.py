"""Does the command that recovers SmolLM2 on a GPU run in small, and go on where it stopped?"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from benchmarks.quality import gpu
from benchmarks.quality.cells import on_gpu
from benchmarks.quality.groups.llm import section

STEPS = 6


@pytest.fixture
def words_of_run(tiny: Callable[..., Any], words: Any, tmp_path: Path) -> list[str]:
    """The command's words for a tiny model, on this processor."""
    model, text = tmp_path / "model", tmp_path / "text.txt"
    tiny("llama").save_pretrained(model)
    words.save_pretrained(model)
    text.write_text(" ".join(f"w{(i * i + 3 * (i // 7)) % 44}" for i in range(300)))
    sizes = ["--steps", str(STEPS), "--batch", "2", "--length", "20", "--device", "cpu"]
    files = {"model": model, "text": text, "test": text}
    files |= {"cells": tmp_path / "cells", "work": tmp_path / "work"}
    return [*sizes, *(part for key, path in files.items() for part in (f"--{key}", str(path)))]


def test_it_goes_on_at_the_last_checkpoint_and_its_cells_are_rows_of_the_table(
    words_of_run: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(name for name, cell in on_gpu().items() if cell.pattern == "fine")
    given, file = [*words_of_run, "--only", name], tmp_path / "cells" / f"{name}.json"

    def stopped(*words: object) -> dict[str, Any]:
        raise OSError("stopped")

    with monkeypatch.context() as patch, pytest.raises(SystemExit, match="stopped"):
        patch.setattr(gpu, "evaluated", stopped)
        gpu.main(given)
    assert not file.exists()
    gpu.main(given)
    cell = json.loads(file.read_text())
    # Every third of the steps has a checkpoint, the end has none.
    assert cell["resumed_at"] == 4
    assert cell["training"]["steps"] == STEPS and cell["training"]["precision"] == "fp32"
    assert cell["density"] == pytest.approx(0.2, abs=1e-3)
    assert cell["figures"]["masked"]["per_token"] != cell["figures"]["dense"]["per_token"]
    before = file.stat().st_mtime_ns
    gpu.main(given)
    assert file.stat().st_mtime_ns == before
    figure = f"{cell['figures']['masked']['per_token']:,.1f}"
    assert any("| fine, steps 300 |" in part and figure in part for part in section([cell]))


def test_small_runs_do_not_get_into_the_table(words_of_run: list[str]) -> None:
    without = [
        w for i, w in enumerate(words_of_run) if "--cells" not in words_of_run[i - 1 : i + 1]
    ]
    assert len(without) == len(words_of_run) - 2
    with pytest.raises(SystemExit, match="give --cells"):
        gpu.main(without)


def test_it_says_which_torch_it_needs(words_of_run: list[str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    place = words_of_run.index("--device") + 1
    given = [*words_of_run[:place], "cuda", *words_of_run[place + 1 :]]
    with pytest.raises(SystemExit, match=r"finds no GPU here; install torch==2\.13\.0"):
        gpu.main(given)
