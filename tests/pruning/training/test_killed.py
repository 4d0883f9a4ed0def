"""Does training, killed while it runs and started again, end in the same weights?

Run as a program, this file is the process that gets killed: a plain model of torch, so that the
process need not wait for transformers.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pruning.data.examples import Examples
from pruning.models.matrices import Matrix
from pruning.models.opening import OpenModel
from pruning.recipe import Recipe
from pruning.training.settings import Training
from sparse_formats.masks.matrix import MaskSet

torch = pytest.importorskip("torch")

ROOT = Path(__file__).parents[3]
STEPS, SAVE_EVERY = 60, 10
RECIPE = Recipe(pattern="mvp", menu=(1, 4, 8), sparsity=0.7)
TRAINING = Training(steps=STEPS, batch=4, learning_rate=1e-2, every=12, warmup=6)


class Guesser(torch.nn.Module):
    """Guesses the next of 24 tokens from the last; drops out, so random numbers must go on too."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = torch.nn.Embedding(24, 16)
        self.up, self.down = torch.nn.Linear(16, 32), torch.nn.Linear(32, 16)

    def forward(self, input_ids: Any, labels: Any, **_: Any) -> SimpleNamespace:
        hidden = self.up(self.tokens(input_ids[:, :-1])).relu()
        hidden = self.down(torch.nn.functional.dropout(hidden, 0.1, self.training))
        logits = hidden @ self.tokens.weight.T
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())
        return SimpleNamespace(loss=loss)


def run(folder: Path | None, tell: Callable[[str], None] = lambda step: None) -> Any:
    from pruning.training.loop import train
    from pruning.training.pruner import prepare

    torch.set_num_threads(1)
    torch.manual_seed(3)
    model: Any = Guesser()
    matrices = tuple(
        Matrix(f"{name}.weight", "other", name, getattr(model, name)) for name in ("up", "down")
    )
    opened = OpenModel("guesser", "causal", model, None, matrices, (), ())
    windows = [[(i * i + 3 * j) % 24 for j in range(12)] for i in range(30)]
    examples = Examples([{"input_ids": w, "labels": w} for w in windows])
    return train(opened, prepare(opened, RECIPE, TRAINING), examples, folder, SAVE_EVERY, tell)


def assert_equal(ours: MaskSet, theirs: MaskSet) -> None:
    for one, other in zip(ours.matrices, theirs.matrices, strict=True):
        assert one.vectors is not None
        assert np.array_equal(one.keep, other.keep)
        assert one.weight is not None and other.weight is not None
        assert np.array_equal(one.weight, other.weight)


MOMENTS = ("a step", "the tensors", "the index")
"""Killed while it computes; while it writes the tensors of its second checkpoint; the file that
names them."""


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path: Path) -> None:
    runs = subprocess.Popen(
        [sys.executable, __file__, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
    )
    whole = run(None)
    for moment in MOMENTS:
        folder = tmp_path / moment
        deadline = time.monotonic() + 120
        while not (folder / "now").exists():
            assert runs.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        os.kill(int((folder / "now").read_text()), signal.SIGKILL)
    _, said = runs.communicate()
    assert runs.returncode == 0, said.decode()
    for moment in MOMENTS:
        folder = tmp_path / moment
        assert json.loads((folder / "checkpoint.json").read_text())["step"] == SAVE_EVERY
        assert len(list(folder.glob(".mvpsim-*.new"))) == (moment != "a step")
        assert not (folder / "step-000020.safetensors").exists()
        taken_up = run(folder)
        assert taken_up.resumed_at == SAVE_EVERY
        assert taken_up.losses == whole.losses
        assert_equal(taken_up.masks, whole.masks)
        assert not list(folder.glob(".mvpsim-*.new"))


def test_the_command_takes_a_checkpoint_up(
    tiny: Callable[..., Any], words: Any, tmp_path: Path
) -> None:
    from pruning.__main__ import COMMANDS
    from sparse_formats.files.mask_file import read_masks
    from sparse_formats.terminal.command import call

    tiny("gpt2").save_pretrained(tmp_path / "model")
    words.save_pretrained(tmp_path / "model")
    (tmp_path / "text").write_text(" ".join(f"w{(i * i) % 43}" for i in range(200)))
    given: Sequence[object] = (
        "train", "--model", tmp_path / "model", "--text", tmp_path / "text", "--length", 16,
        "--pattern", "mvp", "--steps", 10, "--batch", 2, "--checkpoint", tmp_path / "saved",
        "--save-every", 4, "--json", tmp_path / "account.json",
    )  # fmt: skip
    masks: list[MaskSet] = []
    for resumed_at in (0, 8):
        out = ["--out", str(tmp_path / f"{resumed_at}.npz")]
        call(COMMANDS, *given, *out)
        assert json.loads((tmp_path / "account.json").read_text())["resumed_at"] == resumed_at
        masks.append(read_masks(tmp_path / f"{resumed_at}.npz"))
    assert_equal(*masks)


def wait_for_the_kill(folder: Path) -> None:
    (folder / "pid").write_text(str(os.getpid()))
    (folder / "pid").rename(folder / "now")
    time.sleep(120)


def run_until(folder: Path, moment: str) -> None:
    """Train until `moment`, say so, and wait there."""
    # A checkpoint has its two files, the manifest, the two files again, and two folders.
    writes, fsync = iter((*[""] * 7, "the tensors", "the index")), os.fsync

    def slow_write(file: int) -> None:
        if next(writes) == moment:
            wait_for_the_kill(folder)
        fsync(file)

    def tell(step: str) -> None:
        if moment == "a step" and step.startswith("step 13 "):
            wait_for_the_kill(folder)

    os.fsync = slow_write  # type: ignore[assignment]
    folder.mkdir()
    run(folder, tell)


if __name__ == "__main__":
    # Imported once, for all runs: what training itself imports, and what optimisers import late.
    import torch._dynamo

    import pruning.training.loop
    import pruning.training.pruner  # noqa: F401

    born: dict[int, str] = {}
    for when in MOMENTS:
        if not (child := os.fork()):
            run_until(Path(sys.argv[1]) / when, when)
            os._exit(1)
        born[child] = when
    for child, when in born.items():
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, when
