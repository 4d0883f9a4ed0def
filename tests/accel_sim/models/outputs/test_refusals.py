"""What is not computed is refused, by name."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from accel_sim.machines.load import load_machine
from accel_sim.models.config import read_model
from accel_sim.models.outputs.check import check_machine, check_output, check_request
from accel_sim.models.outputs.parameters import read_parameters
from accel_sim.models.outputs.prompt import prompt_ids, read_prompt
from accel_sim.models.simulate import Request, simulate_model
from accel_sim.models.weights import MaskedModel
from sparse_formats.errors import InputError
from sparse_formats.memory import OWN_BYTES, budget
from tests.accel_sim.models.outputs.small_models import made, masked_model, masks_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made("llama", tmp_path)
    return tmp_path


def dense(folder: Path) -> MaskedModel:
    return MaskedModel(read_model(folder), {})


def change(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def change_tensors(folder: Path, **tensors: Any) -> None:
    """With __ for the dots of names; None takes one away."""
    path = folder / "model.safetensors"
    found = load_file(path)
    for name, tensor in tensors.items():
        found.pop(name.replace("__", "."), None)
        if tensor is not None:
            found[name.replace("__", ".")] = tensor
    save_file(found, path)


def test_a_family_that_is_not_computed(folder: Path) -> None:
    change(folder, model_type="gemma2")
    with pytest.raises(InputError, match=r"output of a model of gemma2 is not computed.*llama"):
        read_parameters(folder, dense(folder))


@pytest.mark.parametrize(
    "values",
    [
        {"rope_parameters": {"rope_type": "llama3", "factor": 8.0}},
        {"rope_scaling": {"type": "linear", "factor": 2.0}},
        {"partial_rotary_factor": 0.5},
    ],
)
def test_positions_that_are_not_computed(values: dict[str, Any], folder: Path) -> None:
    change(folder, **values)
    with pytest.raises(InputError, match="not computed"):
        read_parameters(folder, dense(folder))


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("model__norm__weight", None, "norm model.norm is missing"),
        ("model__norm__weight", np.ones(31, np.float32), "has 31 numbers, not 32"),
        ("model__layers__1__mlp__up_proj__weight", None, "no weights of model.layers.1.mlp.up"),
        ("model__layers__1__self_attn__sinks", np.ones(4, np.float32), "nothing of llama is"),
        ("lm_head__weight", None, "no weights of lm_head"),
    ],
)
def test_a_folder_that_is_not_the_model(name: str, tensor: Any, words: str, folder: Path) -> None:
    change_tensors(folder, **{name: tensor})
    with pytest.raises(InputError, match=words):
        read_parameters(folder, dense(folder))


def test_masks_of_another_model(folder: Path) -> None:
    """As of glassllm's own file, whose rows of Q and K have another order."""
    first, *others = masks_of(folder)
    assert first.weight is not None
    moved = replace(first, keep=first.keep[::-1], weight=first.weight[::-1])
    found = masked_model(folder, [moved, *others])
    with pytest.raises(InputError, match=r"weights of .*q_proj.* are not those of"):
        read_parameters(folder, found)


def test_masks_without_weights_lie_on_those_of_the_folder(folder: Path) -> None:
    masks = masks_of(folder)
    bare = [replace(each, weight=None) for each in masks]
    found, again = (
        read_parameters(folder, masked_model(folder, each)).products for each in (bare, masks)
    )
    for name, product in found.items():
        np.testing.assert_array_equal(product.weight, again[name].weight)


def test_what_is_not_used_is_named(tmp_path: Path) -> None:
    made("bert", tmp_path)
    found = read_parameters(tmp_path, dense(tmp_path))
    assert found.unused == ("pooler.dense", "pooler.dense.bias")


def test_a_machine_of_integers() -> None:
    with pytest.raises(InputError, match=r"datatype of floats, but tf_mvp has int8"):
        check_machine(load_machine("tf_mvp", ["array.datatype=int8"]))


def test_requests_whose_values_are_not_known() -> None:
    with pytest.raises(InputError, match="context has cached tokens"):
        check_request(Request(prefill=3, context=2), 16)
    with pytest.raises(InputError, match="cache_bits is 8"):
        check_request(Request(prefill=3, cache_bits=8), 16)
    check_request(Request(prefill=3, cache_bits=16), 16)


def test_prompts(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("[3, 1\n4 1,5]\n")
    found = read_prompt(tmp_path, None, path)
    assert found.tokens == 5
    ids, origin = prompt_ids(found, 2, 3, 10, 0)
    assert ids.tolist() == [[3, 1, 4]] * 2
    assert origin == f"the first 3 of 5 of {path}"
    with pytest.raises(InputError, match=r"is 6, but .* has 5 tokens"):
        prompt_ids(found, 1, 6, 10, 0)
    with pytest.raises(InputError, match=r"token 5 is not in .* 0 … 4"):
        prompt_ids(found, 1, 5, 5, 0)
    drawn, origin = prompt_ids(read_prompt(tmp_path, None, None), 2, 50, 7, 3)
    assert drawn.shape == (2, 50)
    assert set(drawn.ravel()) == set(range(7))
    assert (drawn[0] != drawn[1]).any()
    assert origin == "drawn at random from the vocabulary with seed 3"


@pytest.mark.parametrize("text", ["", "one two", "3.5", "99999999999999999999999"])
def test_a_file_without_whole_numbers(text: str, tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_text(text)
    with pytest.raises(InputError):
        read_prompt(tmp_path, None, path)


def test_a_text_needs_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        read_prompt(tmp_path, "a text", None)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="is no tokenizer"):
        read_prompt(tmp_path, "a text", None)
    with pytest.raises(InputError, match="not both"):
        read_prompt(tmp_path, "a text", tmp_path / "ids.txt")


def test_an_output_that_takes_too_much_memory(folder: Path) -> None:
    found = dense(folder)
    run = simulate_model(found, Request(prefill=38), load_machine("tf_mvp"), threads=1)
    parameters, ids = read_parameters(folder, found), np.ones((1, 38), np.int64)
    with budget(OWN_BYTES + 100_000), pytest.raises(InputError, match="computing the output takes"):
        check_output(run, parameters, ids, "ones")
    with budget(OWN_BYTES + 10_000_000):
        assert check_output(run, parameters, ids, "ones").is_equal
