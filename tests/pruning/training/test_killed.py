"""Does the command, killed while it runs and started again, write the same weights?"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pruning.command_line import app
from sparse_formats.mask_file import read_masks

pytest.importorskip("torch")

ROOT = Path(__file__).parents[3]
RECIPE = """
pattern = "mvp"
menu = [1, 4, 8]
sparsity = 0.7
[training]
steps = 120
batch = 2
length = 16
every = 50
warmup = 20
"""


def test_killed_at_any_moment(tiny: Callable[..., Any], words: Any, tmp_path: Path) -> None:
    tiny("bert", hidden_dropout_prob=0.1).save_pretrained(tmp_path / "model")
    words.add_special_tokens({"mask_token": "w0"})
    words.save_pretrained(tmp_path / "model")
    (tmp_path / "text").write_text(" ".join(f"w{(i * i) % 43}" for i in range(600)))

    (tmp_path / "recipe.toml").write_text(RECIPE)

    def given(name: str) -> list[str]:
        options = {
            "--model": "model",
            "--text": "text",
            "--recipe": "recipe.toml",
            "--out": f"{name}.npz",
            "--checkpoint": name,
            "--json": f"{name}.json",
        }
        parts = [part for key, value in options.items() for part in (key, str(tmp_path / value))]
        return ["train", *parts, "--save-every", "20"]

    process = subprocess.Popen(
        [sys.executable, "-m", "pruning", *given("killed")], cwd=ROOT, stderr=subprocess.PIPE
    )
    index = tmp_path / "killed" / "checkpoint.json"
    deadline = time.monotonic() + 120
    while not index.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said.decode()
    assert not (tmp_path / "killed.npz").exists()
    assert 20 <= json.loads(index.read_text())["step"] < 120
    for name in ("killed", "whole"):
        app(given(name), standalone_mode=False)
    account = json.loads((tmp_path / "killed.json").read_text())
    assert account["resumed_at"] >= 20
    assert account["losses"] == json.loads((tmp_path / "whole.json").read_text())["losses"]
    killed, whole = (read_masks(tmp_path / f"{name}.npz") for name in ("killed", "whole"))
    assert len(killed.matrices) == 12
    for one, other in zip(killed.matrices, whole.matrices, strict=True):
        assert one.vectors is not None
        assert np.array_equal(one.keep, other.keep)
        assert one.weight is not None and other.weight is not None
        assert np.array_equal(one.weight, other.weight)
