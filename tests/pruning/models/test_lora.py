"""Does an adapter that is merged into a sparse model change its kept weights, and these alone?"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pruning.models.lora import merge_lora
from pruning.models.opening import assemble, open_model
from sparse_formats.errors import InputError

torch = pytest.importorskip("torch")

Tiny = Callable[..., Any]


def write_adapter(folder: Path, factors: dict[str, Any], **config: Any) -> Path:
    """A folder as PEFT writes it."""
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "bias": "none", **config}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    named = {f"base_model.model.{name}.weight": tensor for name, tensor in factors.items()}
    save_file(named, folder / "adapter_model.safetensors")
    return folder


def half_sparse(model: Any) -> Any:
    for matrix in assemble("tiny", "causal", model, None).matrices:
        weight = matrix.view
        weight[weight.abs() < weight.abs().median()] = 0
    return model


@pytest.mark.parametrize(
    ("family", "module"),
    [("llama", "model.layers.1.mlp.up_proj"), ("gpt2", "transformer.h.1.mlp.c_fc")],
)
def test_zeros_stay_and_the_rest_takes_the_update(
    family: str, module: str, tiny: Tiny, tmp_path: Path
) -> None:
    opened = assemble("tiny", "causal", half_sparse(tiny(family)), None)
    before = {m.name: m.weight() for m in opened.matrices}
    (matrix,) = (m for m in opened.matrices if m.module_name == module)
    out, width = matrix.shape
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((2, width), (out, 2)))
    factors = {f"{module}.lora_A": torch.from_numpy(a), f"{module}.lora_B": torch.from_numpy(b)}
    (done,) = merge_lora(opened, write_adapter(tmp_path / "adapter", factors))
    old = before[matrix.name]
    update = 6 / 2 * b.astype(np.float64) @ a
    assert matrix.weight() == pytest.approx(np.where(old == 0, 0, old + update), abs=1e-5)
    assert np.array_equal(matrix.weight() == 0, old == 0)
    assert done.density == pytest.approx(0.5, abs=0.01)
    assert done.taken == pytest.approx((update[old != 0] ** 2).sum() / (update**2).sum())
    others = [m for m in opened.matrices if m is not matrix]
    assert all(np.array_equal(m.weight(), before[m.name]) for m in others)


def test_a_stabilised_rank_divides_by_its_root(tiny: Tiny, tmp_path: Path) -> None:
    module = "model.layers.0.mlp.up_proj"
    factors = {f"{module}.lora_A": torch.ones(2, 32), f"{module}.lora_B": torch.ones(48, 2)}
    opened = assemble("tiny", "causal", tiny("llama"), None)
    old = opened.model.get_parameter(f"{module}.weight").detach().clone()
    merge_lora(opened, write_adapter(tmp_path / "adapter", factors, use_rslora=True))
    new = opened.model.get_parameter(f"{module}.weight").detach()
    assert (new - old).numpy() == pytest.approx(2 * 6 / 2**0.5, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"use_dora": True}, "has use_dora True, which cannot be merged"),
        ({"peft_type": "IA3"}, "has peft_type 'IA3'"),
        ({"alpha_pattern": {"up_proj": 4}}, "has alpha_pattern"),
    ],
)
def test_what_cannot_be_merged(
    change: dict[str, Any], says: str, tiny: Tiny, tmp_path: Path
) -> None:
    opened = assemble("tiny", "causal", tiny("llama"), None)
    folder = write_adapter(tmp_path / "adapter", {}, **change)
    with pytest.raises(InputError, match=says):
        merge_lora(opened, folder)


def test_adapters_of_another_model_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    opened = assemble("tiny", "causal", tiny("llama"), None)
    up = "model.layers.0.mlp.up_proj"
    for factors, says in [
        ({f"{up}.lora_A": torch.ones(2, 32)}, "is no factor"),
        ({"lm_head": torch.ones(2, 2)}, "is no factor"),
        ({f"{up}.lora_A": torch.ones(2, 8), f"{up}.lora_B": torch.ones(48, 2)}, "which is 48×32"),
        ({"a.lora_A": torch.ones(2, 32), "a.lora_B": torch.ones(48, 2)}, "no such linear layer"),
    ]:
        with pytest.raises(InputError, match=says):
            merge_lora(opened, write_adapter(tmp_path / "adapter", factors))
    with pytest.raises(InputError, match=r"has no adapter_config\.json"):
        merge_lora(opened, tmp_path)


def test_the_command_merges_and_says_what_was_left_out(
    run: Callable[..., tuple[int, str, str]], tiny: Tiny, tmp_path: Path
) -> None:
    half_sparse(tiny("llama")).save_pretrained(tmp_path / "model")
    module = "model.layers.0.mlp.up_proj"
    factors = {f"{module}.lora_A": torch.ones(2, 32), f"{module}.lora_B": torch.ones(48, 2)}
    adapter = write_adapter(tmp_path / "adapter", factors)
    status, said, error = run(
        "merge", "--model", tmp_path / "model", "--adapter", adapter, "--out", tmp_path / "out"
    )
    assert status == 0, error
    assert "merged updates into 1 matrices" in " ".join(said.split())
    old = open_model(tmp_path / "model").by_name
    # The update is 1 everywhere, so its energy falls as the weights lie.
    share = np.mean(old["model.layers.0.mlp.up_proj.weight"].weight() != 0)
    assert f"{share:.1%} of their energy" in " ".join(said.split())
    new = open_model(tmp_path / "out").by_name
    for name, matrix in old.items():
        assert np.array_equal(matrix.weight() == 0, new[name].weight() == 0)
