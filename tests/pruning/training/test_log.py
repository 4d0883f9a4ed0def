"""Does the log of a run say what its account says, also when the run was taken up again?"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pruning.training.log import Step, jsonl_log, tensorboard_log
from sparse_formats.errors import InputError

torch = pytest.importorskip("torch")

Run = Callable[..., tuple[int, str, str]]


def step(number: int, loss: float) -> Step:
    return Step(number, loss, 0.5, 1e-3, 2.0, 0.1)


@pytest.fixture
def given(tiny: Callable[..., Any], words: Any, tmp_path: Path) -> Sequence[object]:
    """The arguments of a run of five steps."""
    tiny("gpt2").save_pretrained(tmp_path / "model")
    words.save_pretrained(tmp_path / "model")
    (tmp_path / "text").write_text(" ".join(f"w{(i * i) % 43}" for i in range(200)))
    return (
        "train", "--model", tmp_path / "model", "--text", tmp_path / "text", "--length", 16,
        "--pattern", "fine", "--steps", 5, "--batch", 2, "--out", tmp_path / "run.npz",
    )  # fmt: skip


def test_the_lines_are_the_steps(run: Run, given: Sequence[object], tmp_path: Path) -> None:
    more = ("--log", "jsonl", "--json", tmp_path / "account.json", "--clip", "1e-3")
    status, said, error = run(*given, *more)
    assert status == 0, error
    assert "5 steps of 2 examples" in said and "run.jsonl" in said
    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    account = json.loads((tmp_path / "account.json").read_text())
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    assert [line["loss"] for line in lines] == account["losses"]
    assert [line["density"] for line in lines] == account["densities"]
    # The norm is that before it is clipped.
    assert all(line["gradient_norm"] > 1e-3 for line in lines)
    assert (account["device"], account["processes"]) == ("cpu", 1)


def test_steps_done_again_replace_those_before(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with jsonl_log(path) as log:
        for number in (1, 2, 3):
            log(step(number, number))
    with path.open("a") as file:
        file.write('{"step": 4, "lo')  # killed while it wrote
    with jsonl_log(path) as log:
        log(step(3, 30))
        log(step(4, 40))
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in found] == [(1, 1), (2, 2), (3, 30), (4, 40)]
    with jsonl_log(path) as log:
        log(step(1, 5))
    assert len(path.read_text().splitlines()) == 1, "another run begins anew"


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_reads_the_steps(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for losses in ({1: 3.0, 2: 2.0, 3: 9.0}, {3: 1.0}):
        with tensorboard_log(tmp_path) as log:
            for number, loss in losses.items():
                log(step(number, loss))
    events = EventAccumulator(str(tmp_path)).Reload()
    assert {"loss", "density", "learning_rate", "gradient_norm"} <= set(events.Tags()["scalars"])
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_where_no_log_can_be(run: Run, given: Sequence[object], tmp_path: Path) -> None:
    status, _, said = run(*given, "--log-to", tmp_path / "log.jsonl")
    assert status == 2 and "--log-to goes with --log" in said
    status, _, said = run(*given, "--log", "csv")
    assert status == 2 and "jsonl" in said and "tensorboard" in said
    with pytest.raises(InputError, match="cannot write"), jsonl_log(tmp_path / "no" / "x") as log:
        (tmp_path / "no").write_text("a file")
        log(step(1, 1))
