"""Do two processes learn what one learns from twice the examples, and stay the same?

Run as a program, this file is a process that forks those that train together: plain models of
torch, so that they need not wait for transformers.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pruning.data.examples import Examples
from pruning.models.matrices import Matrix
from pruning.models.opening import OpenModel
from pruning.processes import ALONE, joined, launched
from pruning.recipe import Recipe
from pruning.training.settings import Training
from sparse_formats.errors import InputError

torch = pytest.importorskip("torch")

ROOT = Path(__file__).parents[3]
CHANGES: Mapping[str, Mapping[str, Any]] = {
    "movement": {},
    "distilled": {"method": "gradual_magnitude", "distill": 0.5},
    "rounded": {"method": "gradual_magnitude", "quantize": "int8"},
    "l0": {"method": "l0"},
    "lora_prune": {"method": "lora_prune"},
    "accumulated": {"accumulate": 2},
}
DRAWN = ("l0",)
"""Cases that draw random numbers beside the examples, where only the processes are compared."""


class Guesser(torch.nn.Module):
    """Guesses the next of 24 tokens from the last, without dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = torch.nn.Embedding(24, 16)
        self.up, self.down = torch.nn.Linear(16, 32), torch.nn.Linear(32, 16)

    def forward(self, input_ids: Any, labels: Any = None) -> SimpleNamespace:
        hidden = self.down(self.up(self.tokens(input_ids[:, :-1])).relu())
        logits = hidden @ self.tokens.weight.T
        if labels is None:
            return SimpleNamespace(logits=logits)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())
        return SimpleNamespace(loss=loss, logits=logits)


def trained(case: str, batch: int, folder: Path | None = None, last: int = 99) -> dict[str, Any]:
    """Losses of five steps, and the weights that they end in."""
    from pruning.training.loop import train
    from pruning.training.pruner import prepare

    class Stopped(Exception):
        pass

    def stop(step: str) -> None:
        if step.startswith(f"step {last} "):
            raise Stopped

    torch.set_num_threads(1)
    torch.manual_seed(3)
    model: Any = Guesser()
    matrices = tuple(
        Matrix(f"{name}.weight", "FFN1", name, getattr(model, name)) for name in ("up", "down")
    )
    opened = OpenModel("guesser", "causal", model, None, matrices, (), (), matrices)
    # Some tokens have no label, so the parts of a step have not equally many.
    rows = [[(i * i + 3 * j) % 24 for j in range(12)] for i in range(30)]
    labels = [[t if (i + t) % 5 else -100 for t in row] for i, row in enumerate(rows)]
    examples = Examples(
        [{"input_ids": r, "labels": seen} for r, seen in zip(rows, labels, strict=True)]
    )
    settings = {"steps": 5, "batch": batch, "learning_rate": 1e-2, "warmup": 1, **CHANGES[case]}
    recipe = Recipe(pattern="fine", sparsity=0.5)
    with joined(torch.device("cpu")) as processes:
        pruner = prepare(opened, recipe, Training(**settings))
        try:
            run = train(opened, pruner, examples, folder, 2, stop, processes=processes)
        except Stopped:
            return {"losses": []}
    weights = {name: p.flatten().tolist() for name, p in model.named_parameters()}
    ranges = [(r.inputs.low, r.inputs.high) for r in run.ranges.values()]
    return {
        "losses": run.losses, "weights": weights, "ranges": ranges, "resumed_at": run.resumed_at
    }  # fmt: skip


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes wrote down, a file for each case and process."""
    folder = tmp_path_factory.mktemp("processes")
    run = subprocess.run(
        [sys.executable, __file__, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr
    return folder


@pytest.mark.parametrize("case", CHANGES)
def test_two_processes_learn_as_one(case: str, together: Path) -> None:
    first, second = (json.loads((together / f"{case}.{rank}").read_text()) for rank in (0, 1))
    # To the bit: both computed the same sums.
    assert first == second
    if case not in DRAWN:
        alone = trained(case, batch=8)
        assert first["losses"] == pytest.approx(alone["losses"], rel=1e-5)
        for (low, high), (lowest, highest) in zip(first["ranges"], alone["ranges"], strict=True):
            assert (low, high) == pytest.approx((lowest, highest), rel=1e-4)


def test_both_are_taken_up_together(together: Path) -> None:
    whole, taken_up = (json.loads((together / f"{name}.0").read_text()) for name in ("l0", "again"))
    assert (whole["resumed_at"], taken_up["resumed_at"]) == (0, 2)
    assert whole["losses"] == taken_up["losses"]
    assert whole["weights"] == taken_up["weights"]
    with pytest.raises(InputError, match="device or number of processes differ"):
        trained("l0", 4, together / "checkpoint")


def test_what_a_launcher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.delenv("RANK", raising=False)
    assert launched() == ALONE
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "2")
    assert (launched().rank, launched().count, launched().is_first) == (2, 4, False)
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    said = "WORLD_SIZE=4, but the other processes cannot be reached .*MASTER_ADDR"
    with pytest.raises(InputError, match=said), joined(torch.device("cpu")):
        pass
    monkeypatch.setenv("RANK", "two")
    with pytest.raises(InputError, match="RANK=two, WORLD_SIZE=4; give whole numbers"):
        launched()


def work(folder: Path, rank: int, ports: Mapping[str, int]) -> None:
    """What one of the two processes does."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}

    def note(name: str, case: str, checkpoint: Path | None = None, last: int = 99) -> None:
        os.environ["MASTER_PORT"] = str(ports[name])
        found = trained(case, 4, checkpoint, last)
        (folder / f"{name}.{rank}").write_text(json.dumps(found))

    for case in CHANGES:
        note(case, case)
    note("stopped", "l0", folder / "checkpoint", last=3)
    note("again", "l0", folder / "checkpoint")


if __name__ == "__main__":
    # Imported once, for both: what training itself imports, and what optimisers import late.
    import torch._dynamo

    import pruning.training.loop
    import pruning.training.pruner  # noqa: F401

    free: dict[str, int] = {}
    for name in (*CHANGES, "stopped", "again"):
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            free[name] = found.getsockname()[1]
    children = []
    for number in range(2):
        if not (child := os.fork()):
            work(Path(sys.argv[1]), number, free)
            os._exit(0)
        children.append(child)
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
