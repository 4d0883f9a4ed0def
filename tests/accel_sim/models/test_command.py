"""`python -m accel_sim model` as a user types it."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from accel_sim.models.outputs.instructions import VectorUnit
from tests.accel_sim.command_line import call
from tests.accel_sim.models.outputs.small_models import made

CONFIG = {
    "model_type": "gpt2",
    "n_layer": 2,
    "n_embd": 32,
    "n_head": 2,
    "vocab_size": 50,
    "n_positions": 64,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of which only its configuration is there."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


def mask_of(folder: Path, **more: tuple[int, int]) -> Path:
    """Masks of the matrices of the first layer, and of `more`."""
    rng = np.random.default_rng(0)
    shapes = {
        "transformer.h.0.attn.c_attn.weight": (96, 32),
        "transformer.h.0.mlp.c_proj.weight": (32, 128),
        **more,
    }
    path = folder / "masks.npz"
    masks: dict[str, Any] = {name: rng.random(shape) < 0.3 for name, shape in shapes.items()}
    np.savez(path, **masks)
    return path


def test_a_folder_with_a_configuration_and_masks_of_some_matrices(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "report"
    words = ("model", "--model", str(folder), "--mask", str(mask_of(folder)), "--prefill", "9")
    assert call(monkeypatch, *words, "--generate", "3", "--advice", "--out", str(out)) == 0
    text = capsys.readouterr().out
    for word in (
        *("15 of the 16 token columns", "QKᵀ", "softmax", "head", "time to first token"),
        *("time per output token", "peak memory", "pruning", "because what is not pruned stays"),
        *("--cache-bits 8", "--batch 2", "--head-density", "--set vector.elements_per_cycle=128"),
    ):
        assert word in text
    assert "--advice simulates" not in text
    data = json.loads((out / "model.json").read_text())
    assert data["request"]["prefill"] == 9
    assert len(data["mask"]["sha256"]) == 64
    rows = list(csv.DictReader((out / "operators.csv").read_text().splitlines()))
    decode = sum(int(row["cycles"]) for row in rows if row["phase"] == "decode")
    assert decode == data["phases"]["decode"]["cycles"]
    dense = next(note for note in data["notes"] if "run dense" in note)
    assert "lm_head" in dense or "more" in dense


def test_who_did_not_ask_what_would_help_is_told_how(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "model", "--model", str(folder), "--prefill", "4") == 0
    assert "--advice simulates what would help." in capsys.readouterr().out


def test_several_batches_and_contexts_are_a_sweep_with_a_picture(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "sweep"
    words = ("model", "--model", str(folder), "--prefill", "4", "--generate", "2")
    sweep = ("--batch", "1,4", "--context", "0,20", "--out", str(out))
    assert call(monkeypatch, *words, *sweep) == 0
    assert "context" in capsys.readouterr().out
    data = json.loads((out / "model.json").read_text())
    assert [(run["batch"], run["context"]) for run in data["runs"]] == [
        *((1, 0), (1, 20), (4, 0), (4, 20)),
    ]
    assert (out / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_weights_in_eight_bits_run_on_a_machine_of_eight_bits(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import accel_sim.models.weights as weights

    monkeypatch.setattr(weights.MaskedModel, "is_int8", True)
    assert call(monkeypatch, "model", "--model", str(folder), "--prefill", "4") == 0
    assert "the machine was set to array.datatype=int8" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--prefill", "65"], "65 tokens, but the model tells 64 positions"),
        (["--density", "0.5"], "--density belongs to masks generated with --shapes"),
        (["--density", "0.5", "--head-density", "0.2"], "--density belongs to masks generated"),
        (["--include", "c_fc"], "--include chooses among the masks of --mask; leave it out"),
        (["--shapes", "gpt2-small"], "either --model NAME_OR_FOLDER or --shapes NAME"),
        (["--batch", "0"], "--batch"),
        (
            ["--prefill", "64", "--scores", "rows", "--set", "activation_buffer.bytes=5000"],
            # Two blocks of 64 × 64 scores of two bytes.
            "--scores has to be tiles or dram, because scores of 64 queries take 16,384 bytes",
        ),
    ],
)
def test_wrong_words_end_in_one_line(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    assert call(monkeypatch, "model", "--model", str(folder), *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1


def test_a_matrix_that_the_model_lacks_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = mask_of(folder, **{"transformer.h.5.mlp.c_fc.weight": (128, 32)})
    assert call(monkeypatch, "model", "--model", str(folder), "--mask", str(mask)) == 2
    assert "the model has no matrix like transformer.h.5.mlp.c_fc" in capsys.readouterr().err


@pytest.mark.parametrize("is_known", [True, False])
def test_run_says_what_it_leaves_out(
    is_known: bool,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with np.load(mask_of(folder)) as masks:
        # GPT-2 stores its matrices as (in, out).
        weights = {
            name: np.ascontiguousarray(keep.T).astype(np.float32) for name, keep in masks.items()
        }
    save_file(weights, folder / "model.safetensors")
    if not is_known:
        (folder / "config.json").unlink()
    mask = folder / "model.safetensors"
    assert call(monkeypatch, "run", "--mask", str(mask), "--tokens", "3") == 0
    text = capsys.readouterr().out
    if is_known:
        # 50 × 32 weights and 2 · 2 layers · 32 numbers, of two bytes.
        assert "the head (3.20 kB a step)" in text
        assert "the KV cache (256 bytes a cached token and step)" in text
    else:
        assert "Only products of weights are counted" in text


def test_the_output_is_computed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made("gpt2", tmp_path)
    ids, outputs, out = tmp_path / "ids.txt", tmp_path / "outputs.npz", tmp_path / "report"
    ids.write_text("5 7 11 13")
    words = ("model", "--model", str(tmp_path), "--generate", "3", "--check")
    more = ("--token-ids", str(ids), "--outputs", str(outputs), "--out", str(out))
    assert call(monkeypatch, *words, *more) == 0
    text = capsys.readouterr().out
    assert "The logits are those of the masked model in FP64" in text
    with np.load(outputs) as found:
        assert found["outputs"].shape == (1, 3, 60)
        assert found["ids"][0, :4].tolist() == [5, 7, 11, 13]
    data = json.loads((out / "model.json").read_text())
    assert data["request"]["prefill"] == 4
    assert data["output"]["is_equal"]
    assert "The logits are those" in (out / "model.html").read_text()
    # A model that is computed wrongly ends with an exit status of its own.
    monkeypatch.setattr(VectorUnit, "sum", lambda self, x, y: x)
    assert call(monkeypatch, *words, "--prefill", "4") == 1
    assert "The logits are NOT those" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--text", "a"), "--text belongs to --check"),
        (("--outputs", "x.npz"), "--outputs belongs to --check"),
        (("--check",), "is missing|no .safetensors|holds no|no file"),
        (("--check", "--batch", "1,2"), "one --batch"),
        (("--check", "--context", "4"), "--context has cached tokens"),
        (("--check", "--set", "array.datatype=int8"), "datatype of floats"),
    ],
)
def test_an_output_that_cannot_be_computed(
    words: tuple[str, ...],
    said: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    assert call(monkeypatch, "model", "--model", str(folder), *words) == 2
    assert re.search(said, " ".join(capsys.readouterr().err.split()))


def test_a_model_without_masks_says_nothing_of_pruning(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "report"
    assert call(monkeypatch, "model", "--model", str(folder), "--out", str(out)) == 2
    words = ("model", "--model", str(folder), "--prefill", "1", "--out", str(out))
    assert call(monkeypatch, *words) == 0
    text = capsys.readouterr().out
    assert "1 request of 1 token," in text
    assert "1 query at a time" in text
    assert "pruning" not in text
    assert "Pruning:" not in (out / "model.html").read_text()


def test_a_part_of_an_image_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"model_type": "vit", "hidden_size": 32, "num_hidden_layers": 1, "image_size": 16}
    config |= {"patch_size": 8, "num_attention_heads": 2, "intermediate_size": 64}
    (folder / "config.json").write_text(json.dumps(config))
    words = ("model", "--model", str(folder))
    assert call(monkeypatch, *words) == 0
    assert "An image" not in capsys.readouterr().out
    assert call(monkeypatch, *words, "--prefill", "3") == 0
    assert "An image has 5 tokens in this model, of which only 3 are" in capsys.readouterr().out
