"""Does a permuted model say the same, and do vectors fit it better?"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pruning.models.order import Axis, Move, Permutation, Place, apply, as_json, from_json, order_of
from pruning.models.outputs import apart, example_inputs, in_double, outputs_of
from pruning.permutation.partition import best_order
from pruning.permutation.permute import permute, undo
from sparse_formats.errors import InputError

Tiny = Callable[..., Any]
Run = Callable[..., tuple[int, str, str]]

FAMILIES = ["bert", "distilbert", "gpt2", "opt", "llama", "mistral", "gemma", "phi3", "vit"]


def _opened(model: Any) -> Any:
    """The model with biases and norms that are not all alike, as after training."""
    import torch

    from pruning.models.opening import assemble

    drawn = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=drawn)
    task = "encode" if type(model).__name__ == "BertModel" else "causal"
    return assemble("tiny", task, model, None)


def _state(model: Any) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def _moved(opened: Any, pattern: str) -> set[str]:
    """The kinds of units that moved, after checking that outputs stay and undoing brings back."""
    before, inputs = _state(opened.model), example_inputs(opened)
    with in_double(opened.model):
        first = outputs_of(opened, inputs)
    found = permute(opened, pattern, 0.3)
    with in_double(opened.model):
        assert apart(first, outputs_of(opened, inputs)) <= 1e-10
    assert any((tensor != before[name]).any() for name, tensor in _state(opened.model).items())
    undo(opened)
    assert order_of(opened.model) is None
    assert all((tensor == before[name]).all() for name, tensor in _state(opened.model).items())
    return {kind for kind, (done, _) in found.moved.items() if done}


@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_are_those_before_and_undoing_gives_the_same_weights(
    tiny: Tiny, family: str
) -> None:
    assert _moved(_opened(tiny(family)), "vector:4") == {"stream", "neurons"}


def test_blocks_move_dimensions_of_heads_but_not_those_that_rotary_embeddings_turn(
    tiny: Tiny,
) -> None:
    units = {"stream", "neurons", "value dimensions"}
    assert _moved(_opened(tiny("bert")), "block:4") == {*units, "query dimensions"}
    opened = _opened(tiny("llama"))
    assert _moved(opened, "block:4") == units
    assert "query dimensions keep their order" in " ".join(permute(opened, "block:4", 0.3).notes)


def test_an_encoder_keeps_the_order_of_its_stream(tiny: Tiny) -> None:
    import torch

    opened = _opened(tiny("bert_encoder"))
    ids = torch.arange(20).reshape(2, 10)
    with torch.inference_mode():
        before = opened.model(ids).last_hidden_state
        assert "stream" not in permute(opened, "vector:4", 0.3).moved
        assert torch.allclose(opened.model(ids).last_hidden_state, before, atol=1e-4)


def test_members_that_matter_on_the_same_lines_come_together() -> None:
    rng = np.random.default_rng(0)
    kinds = rng.permutation(np.repeat(np.arange(4), 4))
    scores = np.eye(4, dtype=np.float32)[kinds] + 0.01
    order = best_order([scores], 4, 0.25)
    assert all(len(set(kinds[order[start : start + 4]])) == 1 for start in range(0, 16, 4))


def test_an_order_that_is_best_already_stays() -> None:
    scores = np.repeat(np.eye(4, dtype=np.float32), 4, axis=0)
    assert best_order([scores], 4, 0.25).tolist() == list(range(16))


def test_a_permutation_reads_back_and_refuses_an_order_with_a_member_twice(tiny: Tiny) -> None:
    axis = Axis("neurons", 0, 3, (Place("a.weight", 1),))
    permutation = Permutation((Move(axis, (2, 0, 1)),), "vector:16", 0.2)
    data = as_json(permutation)
    assert from_json(data, "here") == permutation
    data["moves"][0]["order"] = "2 2 1"
    with pytest.raises(InputError, match="here: its permutation is damaged: the order of neurons"):
        from_json(data, "here")
    data["moves"][0]["axis"]["count"] = 10**15
    with pytest.raises(InputError, match="here: its permutation is damaged"):
        from_json(data, "here")
    huge = Axis("neurons", 0, 3, (Place("lm_head.weight", 1, size=10**15),))
    with pytest.raises(InputError, match=r"along axis 1 of lm_head\.weight, which is of shape"):
        apply(tiny("llama"), Permutation((Move(huge, (2, 0, 1)),), "vector:16", 0.2))
    with pytest.raises(InputError, match=r"moves a\.weight, which this model does not have"):
        apply(tiny("llama"), permutation)


def test_the_command_permutes_and_brings_back(tiny: Tiny, tmp_path: Path, run: Run) -> None:
    from safetensors.numpy import load_file

    model, permuted, back = (tmp_path / name for name in ("model", "permuted", "back"))
    _opened(tiny("llama")).model.save_pretrained(model)
    status, out, _ = run("permute", "--model", model, "--for", "vector:4", "--save", permuted)
    assert status == 0
    assert "moved: stream (1 of 1 axes), neurons (2 of 2 axes)" in out
    assert (permuted / "permutation.json").is_file()
    assert run("permute", "--model", permuted, "--undo", "--save", back)[0] == 0
    first, moved, last = (
        load_file(folder / "model.safetensors") for folder in (model, permuted, back)
    )
    assert any((first[name] != moved[name]).any() for name in first)
    assert all((first[name] == last[name]).all() for name in first)
    assert not (back / "permutation.json").exists()
    status, _, err = run("permute", "--model", back, "--undo", "--save", tmp_path / "more")
    assert status == 2
    assert "was not permuted" in err


def test_a_mask_of_a_permuted_model_fits_the_model_as_it_was(
    tiny: Tiny, tmp_path: Path, run: Run
) -> None:
    import torch

    from pruning.models.masking import apply_masks
    from pruning.models.opening import open_model
    from sparse_formats.files.mask_file import read_masks

    model, out, mask = tmp_path / "model", tmp_path / "permuted", tmp_path / "m.npz"
    _opened(tiny("llama")).model.save_pretrained(model)
    settings = ("--pattern", "vector:4", "--orientation", "kind", "--sparsity", 0.5)
    assert run("prune", "--model", model, "--permute", *settings, "--out", mask)[0] == 0
    knobs = ("--for", "vector:4", "--density", 0.5)
    assert run("permute", "--model", model, *knobs, "--save", out)[0] == 0
    ids = torch.arange(20).reshape(2, 10)
    logits = []
    for folder in (model, out):
        opened = open_model(folder)
        apply_masks(opened, read_masks(mask))
        with torch.inference_mode():
            logits.append(opened.model(ids).logits)
    assert torch.allclose(*logits, atol=1e-5)
    other = tmp_path / "other"
    assert run("permute", "--model", model, "--for", "block:4", "--save", other)[0] == 0
    with pytest.raises(InputError, match="in another order than"):
        apply_masks(open_model(other), read_masks(mask))


def test_patterns_without_vectors_and_statistics_of_another_order_are_refused(
    tiny: Tiny, tmp_path: Path, run: Run
) -> None:
    model = tmp_path / "model"
    tiny("llama").save_pretrained(model)
    status, _, err = run("permute", "--model", model, "--for", "2:4", "--save", tmp_path / "p")
    assert status == 2
    assert "--for has no vectors and no blocks" in err
    status, _, err = run("permute", "--model", model, "--for", "head", "--save", tmp_path / "p")
    assert status == 2
    assert "--for has no vectors and no blocks" in err
    given = ("--model", model, "--permute", "--statistics", model / "config.json")
    status, _, err = run("prune", *given, "--out", tmp_path / "m.npz")
    assert status == 2
    assert "--statistics were collected on the model before its units move" in err
