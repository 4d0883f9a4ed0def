"""Does the command answer, go on where it was stopped, and say what is wrong?"""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from accel_sim.__main__ import COMMANDS as SIMULATE
from pruning.__main__ import COMMANDS
from pruning.frontier import evaluate
from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_masks
from sparse_formats.terminal.command import call
from tests.real_models import GLASSLLM

pytest.importorskip("torch")

TEXT = " ".join(f"w{(i * i + i // 7) % 40}" for i in range(400))


@pytest.fixture
def given(tiny: Callable[..., Any], words: Any, tmp_path: Path) -> list[object]:
    """A model, its text, and two patterns on one machine."""
    tiny("llama").save_pretrained(tmp_path / "model")
    words.save_pretrained(tmp_path / "model")
    (tmp_path / "text").write_text(TEXT)
    return [
        *("frontier", "--model", tmp_path / "model", "--text", tmp_path / "text", "--length", 20),
        *("--patterns", "fine,2:4", "--out", tmp_path / "study"),
    ]


def data_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "study" / "frontier.json").read_text())


def test_a_study_goes_on_and_its_commands_give_the_same(
    given: list[object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    call(COMMANDS, *given, "--sparsities", ".5")
    assert "5 points were computed, 0 were there already" in capsys.readouterr().out
    first = data_of(tmp_path)
    call(COMMANDS, *given, "--sparsities", ".5", "--accelerators", "tf_mvp")
    assert "0 points were computed, 5 were there already" in capsys.readouterr().out
    assert data_of(tmp_path) == first
    # More of everything: a sparsity brings its floor and one pattern, and a machine only reports.
    measured: list[str] = []
    monkeypatch.setattr(
        evaluate,
        "_measure",
        _noting(measured, evaluate._measure),  # pyright: ignore[reportPrivateUsage]
    )
    call(COMMANDS, *given, "--sparsities", ".5,.8", "--accelerators", "tf_mvp,tensor_core_2_4")
    assert sorted(measured) == ["fine_0.8_seed0", "random_mask_0.8_seed0"]
    printed = capsys.readouterr().out
    assert "2:4 has one sparsity of its own, 50 %, and was left out at 80 %." in printed
    data = data_of(tmp_path)
    for point in data["points"]:
        assert list(point["machines"]) == ["tf_mvp", "tensor_core_2_4"]
    _repeat(next(p for p in data["points"] if p["name"] == "single weights at 80 %"), tmp_path)
    page = (tmp_path / "study" / "frontier.html").read_text()
    assert page.index("Verdict") < page.index('id="points"') < page.index("Every point")


def _noting(names: list[str], measure: Callable[..., None]) -> Callable[..., None]:
    def noted(task: Any, tell: Any) -> None:
        names.append(task.point.name)
        measure(task, tell)

    return noted


def _repeat(point: dict[str, Any], folder: Path) -> None:
    """Run the commands of a point: they give its mask, its quality and its cycles."""
    (commands,) = point["commands"]
    (place,) = point["folders"]
    prune, measure, on_first, _ = (shlex.split(command) for command in commands)
    out = folder / "again.npz"
    prune[prune.index("--out") + 1] = str(out)
    call(COMMANDS, *prune[3:])
    kept = {m.name: m.keep.tolist() for m in read_masks(out).matrices}
    there = read_masks(folder / "study" / place / "mask.npz")
    assert kept == {m.name: m.keep.tolist() for m in there.matrices}
    call(COMMANDS, *measure[3:], "--json", folder / "eval.json")
    figures = json.loads((folder / "eval.json").read_text())["figures"]["masked"]
    assert figures["per_token"] == point["quality"]
    call(SIMULATE, *on_first[3:], "--json", folder / "run.json")
    total = json.loads((folder / "run.json").read_text())["total"]
    assert total["cycles"] == point["machines"]["tf_mvp"]["cycles"]
    assert total["energy_j"] == point["machines"]["tf_mvp"]["energy_j"]
    assert total["speedup_vs_dense"] == pytest.approx(point["machines"]["tf_mvp"]["speedup"])


def test_a_model_that_was_changed_is_measured_anew(
    given: list[object],
    tiny: Callable[..., Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    call(COMMANDS, *given, "--sparsities", ".5")
    tiny("llama", initializer_range=0.3).save_pretrained(tmp_path / "model")
    call(COMMANDS, *given, "--sparsities", ".5")
    assert "5 points were computed" in capsys.readouterr().out.split("page")[-2]


def test_a_pattern_that_the_model_cannot_have_is_said(
    given: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given[given.index("fine,2:4")] = "fine,head"
    call(COMMANDS, *given, "--sparsities", ".5", "--heads", 3)
    data = data_of(tmp_path)
    assert [point["pattern"] for point in data["points"]] == ["", "fine"]
    (impossible,) = data["impossible"]
    assert impossible["pattern"] == "head" and "3" in impossible["reason"]
    assert "head at 50 % cannot be on this model: " in capsys.readouterr().out


def test_every_point_is_trained_where_that_is_asked_for(
    given: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train").write_text(TEXT)
    trained = ["--recover", 4, "--train-text", tmp_path / "train", "--seeds", "0,1"]
    given[given.index("fine,2:4")] = "fine"
    call(COMMANDS, *given, *trained, "--sparsities", ".5")
    data = data_of(tmp_path)
    (dense, point) = data["points"]
    assert (dense["seeds"], point["seeds"]) == ([0], [0, 1])
    assert data["reference"] in ("dense", "dense, trained as long")
    assert data["trained_dense"]["seeds"] == [0, 1]
    assert [floor["kind"] for floor in data["floors"]] == ["zeroed", "random mask"]
    assert point["commands"][1][0].startswith("python -m pruning train")
    # Of the magnitude before the training, in units of each matrix's mean.
    weights = load_file(tmp_path / "model" / "model.safetensors")
    shares = []
    for folder in point["folders"]:
        kept = whole = 0.0
        for mask in read_masks(tmp_path / "study" / folder / "mask.npz").matrices:
            magnitude = np.abs(weights[mask.name])
            kept += magnitude[mask.keep].sum() / magnitude.mean()
            whole += magnitude.size
        shares.append(kept / whole)
    assert point["importance_kept"] == pytest.approx(np.mean(shares), rel=1e-5)
    assert data["trained_dense"]["importance_kept"] is None
    # What was trained can be measured again: the model stands in the folder.
    measure = shlex.split(point["commands"][1][1])
    call(COMMANDS, *measure[3:], "--json", tmp_path / "eval.json")
    capsys.readouterr()
    figure = json.loads((tmp_path / "eval.json").read_text())["figures"]["dense"]["per_token"]
    place = tmp_path / "study" / point["folders"][1]
    (known,) = json.loads((place / "quality.json").read_text())["measures"].values()
    assert figure == pytest.approx(known["figures"]["per_token"], rel=1e-6)
    call(COMMANDS, *given, *trained, "--sparsities", ".5")
    assert "0 points were computed" in capsys.readouterr().out


def test_a_whole_model_is_simulated(given: list[object], tmp_path: Path) -> None:
    call(COMMANDS, *given, "--sparsities", ".5", "--prefill", 8, "--generate", 4)
    for point in data_of(tmp_path)["points"]:
        figures = point["machines"]["tf_mvp"]
        assert figures["latency_s"] > figures["time_to_first_token_s"] > 0
        assert figures["time_per_token_s"] > 0
        command = shlex.split(point["commands"][0][-1])
        call(SIMULATE, *command[3:], "--json", tmp_path / "model.json")
        answer = json.loads((tmp_path / "model.json").read_text())["answer"]
        assert answer["time_to_first_token_s"] == figures["time_to_first_token_s"]


def test_a_pattern_that_cannot_be_drawn_stops_no_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["frontier", "--shapes", "64x64", "--patterns", "fine,coupled", "--sparsities", ".5"]
    call(COMMANDS, *words, "--out", tmp_path / "study")
    data = data_of(tmp_path)
    assert [point["pattern"] for point in data["points"]] == ["", "fine"]
    (impossible,) = data["impossible"]
    assert "no matrix of matrix0 … matrix0 is known to have any" in impossible["reason"]
    assert "coupled at 50 % cannot be on these shapes: " in capsys.readouterr().out


def test_shapes_are_compared_without_quality(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["frontier", "--shapes", "64x64", "--patterns", "fine,2:4,vector:8", "--sparsities"]
    call(COMMANDS, *words, ".5,.8", "--out", tmp_path / "study")
    printed = capsys.readouterr().out
    assert "At 50 % on tf_mvp the fastest are" in printed
    assert "Quality was not measured" in printed
    assert not (tmp_path / "study" / "masks.toml").exists()
    point = data_of(tmp_path)["points"][1]
    (command,) = point["commands"][0]
    call(SIMULATE, *shlex.split(command)[3:], "--json", tmp_path / "run.json")
    total = json.loads((tmp_path / "run.json").read_text())["total"]
    assert total["cycles"] == point["machines"]["tf_mvp"]["cycles"]


def files(folder: Path) -> dict[str, bytes]:
    """All that a study wrote; only the reports of machines say when it was."""
    return {
        str(path.relative_to(folder)): re.sub(rb"20\d\d-\d\d-\d\dT[\d:+]+", b"", path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow  # the workers load torch
def test_a_cluster_writes_the_same_bytes(given: list[object], tmp_path: Path, cluster: Any) -> None:
    given[given.index("fine,2:4")] = "fine"
    words = [*given, "--sparsities", ".5"]
    call(COMMANDS, *words)
    alone = files(tmp_path / "study")
    (tmp_path / "study").rename(tmp_path / "alone")
    call(COMMANDS, *words, "--jobs", 2)
    assert files(tmp_path / "study") == alone
    (tmp_path / "study").rename(tmp_path / "two")
    call(COMMANDS, *words, "--cluster", cluster.scheduler_address)
    assert files(tmp_path / "study") == alone


def test_memories_and_values_make_machines_of_their_own(tmp_path: Path) -> None:
    words = ["frontier", "--shapes", "64x64", "--patterns", "fine", "--sparsities", ".5"]
    changed = [
        "--memory",
        "ddr4_3200",
        "--set",
        "array.pe_rows=4,8",
        "--set",
        "queue.depth_entries=2",
    ]
    call(COMMANDS, *words, *changed, "--out", tmp_path / "study")
    point = data_of(tmp_path)["points"][1]
    (commands,) = point["commands"]
    assert list(point["machines"]) == ["tf_mvp pe_rows=4", "tf_mvp pe_rows=8"]
    for figures, command in zip(point["machines"].values(), commands, strict=True):
        call(SIMULATE, *shlex.split(command)[3:], "--json", tmp_path / "run.json")
        run = json.loads((tmp_path / "run.json").read_text())
        assert run["total"]["cycles"] == figures["cycles"]
        assert "--memory ddr4_3200" in command and "queue.depth_entries=2" in command
    few, many = (figures["cycles"] for figures in point["machines"].values())
    assert few > many


@pytest.mark.skipif(GLASSLLM is None, reason="glassllm is not installed")
def test_a_model_in_one_file_runs_as_a_whole_too(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(TEXT[:200])
    words = [
        "--patterns",
        "fine",
        "--sparsities",
        ".5",
        "--prefill",
        4,
        "--out",
        tmp_path / "study",
    ]
    call(COMMANDS, "frontier", "--model", GLASSLLM, "--text", tmp_path / "text", *words)
    point = data_of(tmp_path)["points"][1]
    call(SIMULATE, *shlex.split(point["commands"][0][-1])[3:], "--json", tmp_path / "model.json")
    answer = json.loads((tmp_path / "model.json").read_text())["answer"]
    assert answer["time_to_first_token_s"] == point["machines"]["tf_mvp"]["latency_s"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "array.lnes=4"], "did you mean 'array.lanes'"),
        (["--shapes", "64x64"], "give either --model FOLDER or --shapes NAME"),
        (["--generate", 4], "goes with --prefill"),
        (["--tokens", 4, "--prefill", 4], "give it or --prefill"),
        (["--recover", 4], "--recover needs one file to learn from"),
        (["--train-text", "text"], "goes with --recover STEPS"),
        (["--accelerators", "tf_mpv"], "did you mean 'tf_mvp'"),
        (["--table", "text"], "give one of --text, --table, --squad, --documents"),
        (["--sparsities", "1.5"], "--sparsities is 1.5; give a finite number from 0 to 1"),
    ],
)
def test_what_does_not_go_together_is_refused(
    given: list[object], more: list[object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        call(COMMANDS, *given, *more)
    assert not (tmp_path / "study" / "points").exists()


def test_the_study_of_another_model_is_not_written_over(tmp_path: Path) -> None:
    words = ["frontier", "--patterns", "fine", "--sparsities", ".5", "--out", tmp_path / "study"]
    call(COMMANDS, *words, "--shapes", "64x64")
    before = data_of(tmp_path)
    with pytest.raises(InputError, match=r"study holds the study of 64x64, not of 32x32; give an"):
        call(COMMANDS, *words, "--shapes", "32x32")
    assert data_of(tmp_path) == before


@pytest.mark.parametrize("stopped", ["_make_masks", "_measure", "_simulate"])
def test_a_study_that_was_stopped_anywhere_ends_in_the_same(
    stopped: str, given: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*given, "--sparsities", ".5"]
    call(COMMANDS, *words)
    whole = {
        str(file.relative_to(tmp_path / "study")): file.read_bytes()
        for file in (tmp_path / "study").rglob("*")
        if file.name in ("frontier.csv", "mask.npz", "quality.json", "figures.json")
    }
    shutil.rmtree(tmp_path / "study")
    part, calls = getattr(evaluate, stopped), []

    def stopping(*arguments: Any) -> Any:
        calls.append(None)
        found = part(*arguments)
        if len(calls) % 2 == 0:  # when its files are there, and the point is not at its end
            raise RuntimeError("stopped")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(evaluate, stopped, stopping)
        with pytest.raises(RuntimeError, match="stopped"):
            call(COMMANDS, *words)
    call(COMMANDS, *words)
    for name, content in whole.items():
        assert (tmp_path / "study" / name).read_bytes() == content, name
    assert len(list((tmp_path / "study" / "points").iterdir())) == 5
