"""Do models of many families open, and do names, layouts, heads and neurons mean what we say?"""

import importlib.util
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pruning.data.examples import check_tokens
from pruning.models.masking import apply_keep, apply_masks
from pruning.models.model_files import read_heads
from pruning.models.opening import OpenModel, assemble, open_model
from pruning.structure.couplings import couplings_of
from pruning.structure.slices import Slice
from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_masks, read_weights
from sparse_formats.masks.execution import execution_in
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
from sparse_formats.masks.selection import select
from tests.tiers import slow

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

Tiny = Callable[..., Any]
COMMON = ["bert", "gpt2", "llama", "t5_encoder"]
RARER = ["bert_encoder", "distilbert", "albert", "gpt_neox", "opt", "qwen3", "phi3", "phi", "bloom"]
RARER += ["mpt", "modernbert", "falcon", "falcon_grouped", "gpt_bigcode", "gptj", "mpnet"]
RARER += ["deberta_v2", "xglm", "mobilebert"]
FAMILIES = [*COMMON, *slow(*RARER)]


def saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


def outputs(model: Any) -> Any:
    ids = torch.arange(4, 44).reshape(2, 20)
    with torch.no_grad():
        found = model(input_ids=ids)
    return found.logits if hasattr(found, "logits") else found.last_hidden_state


def zero(opened: OpenModel, part: Slice, unit: int) -> None:
    matrix, lines = opened.by_name[part.matrix], list(part.lines(unit))
    if part.axis == 0:
        matrix.view[lines, :] = 0
        bias = getattr(matrix.module, "bias", None)
        if bias is not None:
            bias.data[lines] = 0
    else:
        matrix.view[:, lines] = 0


@pytest.mark.parametrize("family", FAMILIES)
def test_names_and_values_are_those_of_the_file(family: str, tiny: Tiny, tmp_path: Path) -> None:
    folder = saved(tiny(family), tmp_path / "model")
    opened = open_model(folder)
    weights = read_weights(folder)
    assert len(opened.matrices) >= 6
    for matrix in opened.matrices:
        assert np.array_equal(matrix.weight(), weights[matrix.name]), matrix.name


@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_without_values_is_a_head_without_outputs(
    family: str, tiny: Tiny, tmp_path: Path
) -> None:
    folder = saved(tiny(family), tmp_path / "model")
    dense = outputs(open_model(folder).model)
    count = len(open_model(folder).attentions)
    assert count == (1 if family == "albert" else 2)
    for block in range(count):
        values, columns = open_model(folder), open_model(folder)
        attention = values.attentions[block]
        last = attention.kv_heads - 1
        zero(values, attention.value, last)
        for head in attention.group(last):
            zero(columns, attention.out, head)
        assert torch.allclose(outputs(values.model), outputs(columns.model), atol=1e-6)
        assert not torch.allclose(outputs(values.model), dense, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_query_and_key_of_a_head_belong_together(family: str, tiny: Tiny, tmp_path: Path) -> None:
    folder = saved(tiny(family), tmp_path / "model")
    without_queries, without_keys = open_model(folder), open_model(folder)
    attention = without_keys.attentions[-1]
    last = attention.kv_heads - 1
    zero(without_queries, attention.query, last)
    zero(without_keys, attention.key, last)
    # Either way every attention score of these heads is 0.
    assert torch.allclose(outputs(without_queries.model), outputs(without_keys.model), atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_neuron_without_input_is_one_without_output(
    family: str, tiny: Tiny, tmp_path: Path
) -> None:
    folder = saved(tiny(family), tmp_path / "model")
    dense = outputs(open_model(folder).model)
    rows, columns = open_model(folder), open_model(folder)
    block = rows.feed_forwards[-1]
    gated = ("llama", "qwen3", "phi3", "modernbert")
    assert len(block.inputs) == (2 if family in gated else 1)
    for unit in range(block.width - 3, block.width):
        zero(rows, block.inputs[-1], unit)
        zero(columns, block.output, unit)
    assert torch.allclose(outputs(rows.model), outputs(columns.model), atol=1e-6)
    assert not torch.allclose(outputs(rows.model), dense, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_heads_and_neurons_are_the_same_without_torch(
    family: str, tiny: Tiny, tmp_path: Path
) -> None:
    folder = saved(tiny(family), tmp_path / "model")
    opened = open_model(folder)
    shapes = {m.name: m.shape for m in opened.matrices}
    found = couplings_of(shapes, read_heads(folder))
    heads = [c for c in found if c.unit == "head"]
    assert len(heads) == len(opened.attentions) > 0
    for coupling, attention in zip(heads, opened.attentions, strict=True):
        assert coupling.count == attention.heads
        # Where queries share a key and a value, these are of the group, not of a head.
        grouped = attention.heads != attention.kv_heads
        query, *others, out = coupling.parts
        shared = coupling.shared if grouped else tuple(others)
        assert shared == (attention.key, attention.value)
        assert coupling.groups == (attention.kv_heads if grouped else 0)
        for group in range(attention.kv_heads):
            mine = attention.group(group)
            rows = [line for head in mine for line in query.lines(head)]
            assert rows == list(attention.query.lines(group))
            for head in mine:
                assert list(out.lines(head)) == list(attention.out.lines(head))
    neurons = [c for c in found if c.unit == "neuron"]
    assert [c.parts for c in neurons] == [(*b.inputs, b.output) for b in opened.feed_forwards]
    assert [c.count for c in neurons] == [b.width for b in opened.feed_forwards] != []


@pytest.mark.parametrize("family", ["bloom", "falcon_grouped", "gpt_bigcode", "phi3"])
def test_a_pruned_head_adds_nothing_and_check_needs_no_counts(
    family: str, tiny: Tiny, tmp_path: Path
) -> None:
    from pruning.__main__ import COMMANDS
    from sparse_formats.files.mask_file import read_masks
    from sparse_formats.terminal.command import call

    folder, mask = saved(tiny(family, hidden_size=64), tmp_path / "model"), tmp_path / "mask.npz"
    words = ["prune", "--model", folder, "--pattern", "coupled", "--sparsity", "0.6", "--out", mask]
    call(COMMANDS, *words)
    call(COMMANDS, "check", "--mask", mask, "--pattern", "coupled")
    opened, masks = open_model(folder), read_masks(mask)
    keep = {m.name: m.keep for m in masks.matrices}
    for attention in opened.attentions:
        out = keep[attention.out.matrix]
        for unit in range(attention.kv_heads):
            columns = [out[:, list(attention.out.lines(h))] for h in attention.group(unit)]
            values = keep[attention.value.matrix][list(attention.value.lines(unit))]
            assert all(part.all() == part.any() for part in (values, *columns))
            # Values stay as long as one of their heads does.
            assert values.all() == any(part.any() for part in columns)
    assert 0 < sum(m.nnz for m in masks.matrices) < 0.6 * sum(m.keep.size for m in masks.matrices)


def test_an_encoder_finds_the_names_of_a_file_with_a_head(tiny: Tiny, tmp_path: Path) -> None:
    folder = saved(tiny("bert"), tmp_path / "model")
    opened = open_model(folder, task="encode")
    assert all(matrix.name.startswith("bert.") for matrix in opened.matrices)
    assert {m.name for m in opened.matrices} <= read_weights(folder).keys()


def test_a_state_dict_in_bin_opens(tiny: Tiny, tmp_path: Path) -> None:
    model = tiny("bert")
    saved(model, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    assert torch.equal(outputs(open_model(tmp_path).model), outputs(model))


def test_weights_that_are_no_numbers_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    model = tiny("llama")
    model.model.layers[1].mlp.up_proj.weight.data[2, 3] = float("nan")
    saved(model, tmp_path)
    with pytest.raises(InputError, match=r"layers\.1\.mlp\.up_proj\.weight holds nan"):
        open_model(tmp_path)


def test_a_bin_that_would_run_code_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    saved(tiny("bert"), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (marker,)

    torch.save({"x": Payload()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="cannot be opened"):
        open_model(tmp_path)
    assert not marker.exists()


def test_remote_code_is_never_run(tiny: Tiny, tmp_path: Path) -> None:
    saved(tiny("bert"), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "code.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(InputError, match="cannot be opened"):
        open_model(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_what_cannot_be_opened_says_why(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; give a local directory"):
        open_model(Path("bert-base-uncased"))
    with pytest.raises(InputError, match=r"no config\.json"):
        open_model(tmp_path)
    folder = saved(tiny("bert"), tmp_path / "model")
    with pytest.raises(InputError, match="no usable weights for classifier"):
        open_model(folder, task="classify")
    with pytest.raises(InputError, match="did you mean 'causal'"):
        open_model(folder, task="casual")
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"vocab_size": 48', '"vocab_size": 40'))
    with pytest.raises(InputError, match=r"is stored as 48(×32)?, but config\.json says 40"):
        open_model(folder)
    (folder / "model.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match="cannot be opened"):
        open_model(folder)


def test_masks_are_applied_under_either_name(tiny: Tiny, tmp_path: Path) -> None:
    folder = saved(tiny("bert"), tmp_path / "model")
    by_file, by_base = open_model(folder), open_model(folder)
    name = by_file.matrices[0].name
    keep = np.random.default_rng(0).random((32, 32)) < 0.5
    apply_masks(by_file, MaskSet((MaskedMatrix(name, keep),)))
    apply_masks(by_base, MaskSet((MaskedMatrix(name.removeprefix("bert."), keep),)))
    assert np.array_equal(by_file.matrices[0].weight() != 0, keep)
    assert torch.equal(outputs(by_file.model), outputs(by_base.model))


def test_weights_of_the_mask_file_replace_the_models(tiny: Tiny, tmp_path: Path) -> None:
    opened = open_model(saved(tiny("gpt2"), tmp_path / "model"))
    matrix = opened.by_name["transformer.h.0.attn.c_attn.weight"]
    updated = np.where(np.arange(96)[:, None] % 2, matrix.weight() + 1, 0).astype(np.float32)
    masks = MaskSet((MaskedMatrix(matrix.name, updated != 0, updated),))
    assert apply_masks(opened, masks) == 1
    assert np.array_equal(matrix.weight(), updated)


def test_masks_of_another_model_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    opened = open_model(saved(tiny("bert"), tmp_path / "model"))
    wrong = np.zeros((8, 8), np.bool_)
    with pytest.raises(InputError, match="give masks of this model"):
        apply_masks(opened, MaskSet((MaskedMatrix(opened.matrices[0].name, wrong),)))
    with pytest.raises(InputError, match="fits no matrix"):
        apply_masks(opened, MaskSet((MaskedMatrix("h.0.attn.c_attn.weight", wrong),)))


def test_of_a_mixture_all_but_the_experts_can_be_masked(tiny: Tiny, tmp_path: Path) -> None:
    folder = saved(tiny("mixtral"), tmp_path / "model")
    opened = open_model(folder)
    names = select(read_weights(folder), exclude=["experts"])
    assert sorted(names) == sorted(matrix.name for matrix in opened.matrices)
    masks = [MaskedMatrix(m.name, np.zeros(m.shape, np.bool_)) for m in opened.matrices]
    apply_masks(opened, MaskSet(tuple(masks)))
    expert = next(name for name in read_weights(folder) if "experts" in name)
    with pytest.raises(InputError, match='with exclude "experts"'):
        apply_masks(opened, MaskSet((*masks, MaskedMatrix(expert, np.zeros((48, 32), np.bool_)))))


def test_a_model_of_more_than_words_is_refused() -> None:
    import transformers

    parts = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
    parts |= {"num_attention_heads": 4}
    text = {**parts, "vocab_size": 48, "bos_token_id": 1, "eos_token_id": 2}
    config = transformers.CLIPConfig(text_config=text, vision_config={**parts, "image_size": 32})
    opened = assemble("clip", "encode", transformers.CLIPModel(config), None)
    with pytest.raises(InputError, match="reads more than text"):
        check_tokens(opened, [{"input_ids": [1]}])


def glassllm_weights() -> Path:
    spec = importlib.util.find_spec("glassllm")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package glassllm is not installed")
    return Path(spec.submodule_search_locations[0]) / "weights" / "en.npz"


def test_glassllm_says_the_same_as_its_own_package() -> None:
    file = glassllm_weights()
    glassllm = pytest.importorskip("glassllm")
    opened = open_model(file)
    text = "It was the best of times,\nit was  the worst — naïve café 漢字 of <unk> times. " * 3
    ids = glassllm.Tokenizer.load(file.with_name("en.tokenizer.json")).encode(text)
    assert opened.tokenizer is not None
    assert opened.tokenizer(text, add_special_tokens=False).input_ids == ids
    theirs = glassllm.GlassLM.load(file, dtype=np.float64)
    with glassllm.no_grad():
        expected = theirs.forward(np.array([ids[:100]])).data
    with torch.no_grad():
        ours = opened.model.double()(torch.tensor([ids[:100]])).logits.numpy()
    # transformers computes the rotary angles in float32 whatever the model's type.
    assert np.abs(ours - expected).max() < 1e-5 * np.abs(expected).max()


def test_masks_of_glassllm_have_its_row_order() -> None:
    file = glassllm_weights()
    opened = open_model(file)
    stored = read_weights(file)
    keep = {name: np.abs(w) > 0.05 for name, w in stored.items() if name in opened.by_name}
    assert len(keep) == 28
    apply_keep(opened, keep)
    for name, mask in keep.items():
        expected = np.where(mask, stored[name], 0).astype(np.float32)
        assert np.array_equal(opened.by_name[name].weight(), expected)


def test_a_damaged_glassllm_is_refused(tmp_path: Path) -> None:
    with np.load(glassllm_weights()) as data:
        arrays = {key: data[key] for key in data.files}
    del arrays["blocks.2.attn.W_V"]
    np.savez(tmp_path / "cut.npz", **arrays)
    with pytest.raises(InputError, match=r"blocks\.2\.attn\.W_V is missing"):
        open_model(tmp_path / "cut.npz")
    shutil.copy(tmp_path / "cut.npz", tmp_path / "cut.gguf")
    with pytest.raises(InputError):
        open_model(tmp_path / "cut.gguf")


def test_layers_that_share_weights_run_as_often_as_is_said(tmp_path: Path) -> None:
    from transformers import AlbertConfig, AlbertModel

    config = AlbertConfig(
        vocab_size=64, embedding_size=8, hidden_size=16, num_attention_heads=2,
        intermediate_size=24, num_hidden_layers=5, num_hidden_groups=2, inner_group_num=2,
    )  # fmt: skip
    model = AlbertModel(config).eval()
    ran: dict[str, int] = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(
                lambda *_, name=name: ran.update({name: ran.get(name, 0) + 1})
            )
    with torch.no_grad():
        model(input_ids=torch.arange(4, 12)[None])
    found = read_masks(saved(model, tmp_path))
    said = execution_in(found.header)
    names = [matrix.name.removesuffix(".weight") for matrix in found.matrices]
    mine = {name: said.runs_of(name) for name in names if "albert_layers" in name}
    assert mine == {name: count for name, count in ran.items() if "albert_layers" in name}
    assert set(mine.values()) == {2, 3}
    assert assemble("a", "encode", model, None).execution == said


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_weights_outside_the_folder_are_not_opened(name: str, tiny: Tiny, tmp_path: Path) -> None:
    folder = saved(tiny("llama"), tmp_path / "model")
    (folder / "model.safetensors").rename(tmp_path / "other.safetensors")
    index = {"metadata": {}, "weight_map": {"lm_head.weight": "../other.safetensors"}}
    (folder / f"{name}.index.json").write_text(json.dumps(index))
    with pytest.raises(
        InputError, match=r"names the shard '\.\./other\.safetensors', which is not"
    ):
        open_model(folder)


def test_a_pipe_in_a_folder_is_not_opened(tiny: Tiny, tmp_path: Path) -> None:
    folder = saved(tiny("llama"), tmp_path / "model")
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")
    with pytest.raises(InputError, match="is a pipe or a device"):
        open_model(folder)
