"""Is a model stored (in, out) read as its family stores it, whatever its sizes are?"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_masks, read_weights, sha256_of
from sparse_formats.masks.orientation import stored_in_out

D = 8


def gpt2(ffn: int, layers: int = 2, is_biased: bool = True) -> dict[str, NDArray[np.float32]]:
    """A GPT-2 as Hugging Face stores it."""
    rng = np.random.default_rng(0)
    sizes = {"attn.c_attn": (D, 3 * D), "attn.c_proj": (D, D)}
    sizes |= {"mlp.c_fc": (D, ffn), "mlp.c_proj": (ffn, D)}
    arrays = {}
    for layer in range(layers):
        for name, size in sizes.items():
            arrays[f"h.{layer}.{name}.weight"] = rng.random(size, np.float32)
            if is_biased:
                arrays[f"h.{layer}.{name}.bias"] = np.zeros(size[1], np.float32)
    return arrays


def folder(tmp_path: Path, arrays: dict[str, Any], config: dict[str, Any] | None) -> Path:
    save_file(arrays, tmp_path / "model.safetensors")
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


CONFIGS = [
    {"model_type": "gpt2"},
    {"architectures": ["GPT2LMHeadModel"]},
    {"model_type": "vision-encoder-decoder", "decoder": {"model_type": "gpt2"}},
]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("ffn", [2, 5, 8, 32])
@pytest.mark.parametrize("is_biased", [True, False])
@pytest.mark.parametrize("is_file", [True, False])
def test_is_gpt2_turned_however_narrow_it_is(
    tmp_path: Path, config: dict[str, Any], ffn: int, is_biased: bool, is_file: bool
) -> None:
    arrays = gpt2(ffn, is_biased=is_biased)
    path = folder(tmp_path, arrays, config)
    path = path / "model.safetensors" if is_file else path
    masks = read_masks(path)
    weights = read_weights(path)
    assert len(weights) == 8
    for name, weight in weights.items():
        assert (weight == arrays[name].T).all()
    assert [m.shape for m in masks.matrices] == [w.shape for w in weights.values()]
    assert masks.header["stored_in_out"] == sorted(weights)
    assert masks.header["orientation"] == "config.json's model_type gpt2"


@pytest.mark.parametrize("ffn", [2, 5, 8, 32])
@pytest.mark.parametrize("is_turned", [True, False])
def test_do_widths_and_biases_tell_without_a_config(ffn: int, is_turned: bool) -> None:
    sizes = {name: a.shape for name, a in gpt2(ffn).items()}
    if not is_turned:  # somebody has transposed the matrices
        sizes = {name: s[::-1] for name, s in sizes.items()}
    found = stored_in_out(sizes)
    assert found.names == ({n for n in sizes if n.endswith("weight")} if is_turned else set())
    assert not found.is_close


def test_is_a_guess_told_as_such(tmp_path: Path) -> None:
    arrays = {f"h.{i}.mlp.c_fc.weight": np.ones((D, 2 * D), np.float32) for i in range(2)}
    header = read_masks(folder(tmp_path, arrays, None)).header
    assert header["stored_in_out"] == sorted(arrays)
    assert "nearly fit both ways" in header["orientation"]


@pytest.mark.parametrize("model_type", ["gpt_bigcode", "gpt_neo"])
def test_are_families_of_linear_layers_left_as_they_are(tmp_path: Path, model_type: str) -> None:
    # Stored (out, in), and narrow: the sizes of one matrix alone would say the opposite.
    arrays = {"h.0.mlp.c_fc.weight": np.ones((4, D), np.float32)}
    masks = read_masks(folder(tmp_path, arrays, {"model_type": model_type}))
    assert masks.matrices[0].shape == (4, D) and "stored_in_out" not in masks.header


def test_is_a_config_that_the_biases_contradict_refused(tmp_path: Path) -> None:
    arrays = {n: np.ascontiguousarray(a.T) for n, a in gpt2(32).items()}
    with pytest.raises(InputError, match=r"c_attn\.bias has 24 numbers .* says the opposite"):
        read_masks(folder(tmp_path, arrays, {"model_type": "gpt2"}))


def test_does_a_config_that_turns_matrices_change_the_hash(tmp_path: Path) -> None:
    path = folder(tmp_path, {"h.0.mlp.c_fc.weight": np.ones((D, D), np.float32)}, None)
    plain, file = sha256_of(path), sha256_of(path / "model.safetensors")
    (path / "config.json").write_text('{"model_type": "bert"}')
    assert (sha256_of(path), sha256_of(path / "model.safetensors")) == (plain, file)
    (path / "config.json").write_text('{"model_type": "gpt_neo"}')
    turned = sha256_of(path), sha256_of(path / "model.safetensors")
    assert turned[0] != plain and turned[1] != file


@pytest.mark.parametrize("text", ["[1]", "{", "\xff"])
def test_is_a_config_that_is_none_refused(tmp_path: Path, text: str) -> None:
    path = folder(tmp_path, gpt2(32), None)
    (path / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"config\.json"):
        read_masks(path)
