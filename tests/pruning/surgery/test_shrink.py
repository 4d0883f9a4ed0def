"""Is the smaller model the masked one, does it load anywhere, and does the rest say why not?"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pruning.__main__ import COMMANDS
from pruning.data.examples import labelled, text_windows
from pruning.data.files import Table
from pruning.evaluation.head_importance import head_importance, leave_one_out
from pruning.models.opening import OpenModel, assemble, open_model
from pruning.structure.slices import Slice
from pruning.surgery.shrink import shrink
from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import write_masks
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
from sparse_formats.terminal.command import call

torch = pytest.importorskip("torch")

Tiny = Callable[..., Any]
TEXT = " ".join(f"w{(i * i + 3 * (i // 7)) % 44}" for i in range(400))


def opened(model: Any, task: str = "causal") -> OpenModel:
    # Biases begin at 0, where many mistakes do not show.
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.3)
        elif parameter.dim() == 2:
            parameter.data *= 5
    return assemble("tiny", task, model, None)


def zero(model: OpenModel, part: Slice, units: list[int]) -> None:
    for unit in units:
        lines = list(part.lines(unit))
        view = model.by_name[part.matrix].view
        if part.axis == 0:
            view[lines] = 0
        else:
            view[:, lines] = 0


def same(one: OpenModel, other: OpenModel) -> bool:
    ids = torch.arange(4, 44).reshape(2, 20)
    with torch.no_grad():
        a, b = one.model(input_ids=ids)[0], other.model(input_ids=ids)[0]
    return bool((a - b).abs().max() < 1e-5 * a.abs().max())


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_heads_leave_the_llama_family(family: str, tiny: Tiny) -> None:
    model = opened(tiny(family))
    for layer, attention in enumerate(model.attentions):
        # One key/value head of two, by its values in one layer, by its outputs in the other.
        if layer:
            zero(model, attention.value, [0])
        else:
            zero(model, attention.out, list(attention.group(1)))
    small = shrink(model)
    assert (small.heads, small.neurons) == (4, 0)
    assert small.opened.attentions[0].heads == 2
    assert small.after < small.before
    assert same(model, small.opened)


@pytest.mark.parametrize(
    ("family", "task", "name"),
    [
        ("llama", "causal", "intermediate_size"),
        ("bert", "masked", "intermediate_size"),
        ("gpt2", "causal", "n_inner"),
        ("opt", "causal", "ffn_dim"),
        ("distilbert", "masked", "hidden_dim"),
        ("phi3", "causal", "intermediate_size"),
    ],
)
def test_neurons_leave_every_family(family: str, task: str, name: str, tiny: Tiny) -> None:
    model = opened(tiny(family), task)
    for layer, block in enumerate(model.feed_forwards):
        zero(model, block.output, list(range(layer, layer + 10)))
    small = shrink(model)
    assert small.neurons == 20
    assert getattr(small.opened.model.config, name) == model.feed_forwards[0].width - 10
    assert same(model, small.opened)


def test_a_neuron_with_a_bias_does_not_leave_by_its_row(tiny: Tiny) -> None:
    model = opened(tiny("bert"), "masked")
    for block in model.feed_forwards:
        zero(model, block.inputs[0], [3])
    with pytest.raises(InputError, match="nothing can leave"):
        shrink(model)
    llama = opened(tiny("llama"))
    zero(llama, llama.feed_forwards[0].inputs[0], [3])
    zero(llama, llama.feed_forwards[1].inputs[1], [5])
    small = shrink(llama)
    assert small.neurons == 2
    assert same(llama, small.opened)


def test_a_head_without_queries_does_not_leave(tiny: Tiny) -> None:
    model = opened(tiny("llama"))
    for attention in model.attentions:
        zero(model, attention.query, [0, 1])
        zero(model, attention.key, [0])
    with pytest.raises(InputError, match="nothing can leave"):
        shrink(model)


def silence(model: OpenModel, gone: list[int]) -> None:
    """Let nothing write these channels of the residual stream."""
    model.model.get_input_embeddings().weight.data[:, gone] = 0  # type: ignore[operator]
    for attention, block in zip(model.attentions, model.feed_forwards, strict=True):
        for part in (attention.out, block.output):
            matrix = model.by_name[part.matrix]
            matrix.view[gone] = 0
            if getattr(matrix.module, "bias", None) is not None:
                matrix.module.bias.data[gone] = 0  # type: ignore[union-attr]


def reopened(small: OpenModel, folder: Path) -> OpenModel:
    small.model.save_pretrained(folder)
    return open_model(folder, small.task)


def test_channels_leave_where_no_mean_is_subtracted(tiny: Tiny, tmp_path: Path) -> None:
    for tied in (True, False):
        model = opened(tiny("llama", tie_word_embeddings=tied))
        silence(model, [1, 5, 9, 30])
        small = shrink(model)
        assert (small.channels, small.opened.model.config.hidden_size) == (4, 28)
        assert same(model, reopened(small.opened, tmp_path / str(tied)))
    other = opened(tiny("gpt_neox"))
    silence(other, [1, 5, 30])
    with pytest.raises(InputError, match="normalises with LayerNorm"):
        shrink(other)


def test_sizes_that_the_family_refuses_need_padding(tiny: Tiny, tmp_path: Path) -> None:
    # Llama's heads must divide its hidden size: 27 channels and 4 heads do not go together.
    model = opened(tiny("llama"))
    silence(model, [1, 5, 9, 30, 31])
    with pytest.raises(InputError, match=r"\(27\) is not a multiple .* \(4\).* pad"):
        shrink(model)
    small = shrink(model, pad=True)
    assert (small.channels, small.opened.model.config.hidden_size) == (4, 28)
    assert same(model, reopened(small.opened, tmp_path / "channels"))
    # Nor do 32 channels and 3 heads; with 4 they do.
    model = opened(tiny("llama", num_attention_heads=8, num_key_value_heads=8))
    for attention in model.attentions:
        zero(model, attention.out, [0, 1, 4, 6, 7])
    with pytest.raises(InputError, match=r"\(32\) is not a multiple .* \(3\).* pad"):
        shrink(model)
    small = shrink(model, pad=True)
    assert (small.heads, small.opened.model.config.num_attention_heads) == (8, 4)
    assert same(model, reopened(small.opened, tmp_path / "heads"))


def test_channels_of_an_encoder_are_its_outputs(tiny: Tiny) -> None:
    import transformers

    model = opened(transformers.LlamaModel(tiny("llama").config), "encode")
    silence(model, [1, 5, 9, 30])
    with pytest.raises(InputError, match="channels of an encoder are its outputs"):
        shrink(model)


def test_layers_that_differ_need_padding(tiny: Tiny) -> None:
    model = opened(tiny("llama"))
    zero(model, model.attentions[0].out, [0, 1])
    zero(model, model.feed_forwards[0].output, [0, 1, 2])
    zero(model, model.feed_forwards[1].output, [9])
    with pytest.raises(InputError, match=r"different numbers of heads \(1, 2\).* pad"):
        shrink(model)
    small = shrink(model, pad=True)
    assert (small.heads, small.neurons) == (0, 2)
    assert same(model, small.opened)


@pytest.mark.parametrize(("family", "task"), [("bert", "masked"), ("gpt2", "causal")])
def test_families_without_words_for_fewer_heads_say_so(family: str, task: str, tiny: Tiny) -> None:
    model = opened(tiny(family), task)
    for attention in model.attentions:
        zero(model, attention.out, [2])
    with pytest.raises(InputError, match="cannot say that heads are missing"):
        shrink(model)


def test_the_command_saves_what_transformers_alone_loads(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForCausalLM

    model = opened(tiny("llama"))
    model.model.save_pretrained(tmp_path / "model")
    masks = {m.name: np.ones(m.shape, np.bool_) for m in model.matrices}
    for attention, block in zip(model.attentions, model.feed_forwards, strict=True):
        zero(model, attention.out, [2, 3])
        zero(model, block.output, list(range(16)))
        masks[attention.out.matrix][:, 16:] = False
        masks[block.output.matrix][:, :16] = False
    write_masks(tmp_path / "mask.npz", MaskSet(tuple(MaskedMatrix(n, k) for n, k in masks.items())))
    given = ["shrink", "--model", tmp_path / "model", "--mask", tmp_path / "mask.npz"]
    given = [str(word) for word in [*given, "--out", tmp_path / "small"]]
    call(COMMANDS, *given)
    assert "removed 4 heads, 32 neurons, 0 channels" in capsys.readouterr().out
    loaded: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "small", output_loading_info=True)
    small, report = loaded
    assert not report["missing_keys"] and not report["unexpected_keys"], report
    with torch.no_grad():
        expected = model.model(torch.arange(4, 44).reshape(2, 20)).logits
        found = small(torch.arange(4, 44).reshape(2, 20)).logits
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
    # The next run replaces its own files, and nobody else's.
    call(COMMANDS, *given)
    (tmp_path / "small" / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"config\.json"):
        call(COMMANDS, *given)


def test_head_importance_by_its_definitions(tiny: Tiny, words: Any) -> None:
    model = assemble("tiny", "causal", tiny("gpt2"), words)
    examples = text_windows(words, TEXT, 20, "causal")
    few = type(examples)(examples.rows[:4])
    attention = model.attentions[1]
    columns = [list(attention.out.lines(head)) for head in range(4)]
    view = model.by_name[attention.out.matrix].view
    slopes = np.zeros((4, 4))
    for row in range(4):
        for head in range(4):
            # ∂L/∂ξ by difference: the gate scales the head's columns.
            losses = []
            for gate in (1.02, 0.98):
                before = view[:, columns[head]].clone()
                view[:, columns[head]] *= gate
                inputs = few.batch([row])
                with torch.no_grad():
                    logits = model.model(inputs["input_ids"]).logits.double()[0]
                target = inputs["input_ids"][0, 1:]
                losses.append(torch.nn.functional.cross_entropy(logits[:-1], target).item())
                view[:, columns[head]] = before
            slopes[row, head] = (losses[0] - losses[1]) / 0.04
    by_example = head_importance(model, few, "example", batch=3)[1]
    by_batch = head_importance(model, few, "batch", batch=4)[1]
    by_token = head_importance(model, few, "token", batch=2)[1]
    assert by_example == pytest.approx(np.abs(slopes).mean(0), rel=2e-2, abs=1e-6)
    assert by_batch == pytest.approx(np.abs(slopes.mean(0)), rel=2e-2, abs=1e-6)
    # Sums of absolute values are no smaller than absolute values of sums.
    assert (by_token * 20 >= by_example * (1 - 1e-5)).all()
    assert (by_example >= by_batch * (1 - 1e-5)).all()
    scaled = head_importance(model, few, "example", normalise=True, batch=3)
    assert [np.linalg.norm(layer) for layer in scaled] == pytest.approx([1, 1])
    assert scaled[1] == pytest.approx(by_example / np.linalg.norm(by_example), rel=1e-6)
    with pytest.raises(InputError, match="did you mean 'token'"):
        head_importance(model, few, "tokens")  # type: ignore[arg-type]


def test_a_head_shared_by_layers_counts_in_all_of_them(tiny: Tiny, words: Any) -> None:
    model = opened(tiny("albert"), "masked")
    examples = text_windows(words, TEXT, 20, "causal")
    few = type(examples)(examples.rows[:1])
    (found,) = head_importance(model, few)
    (attention,) = model.attentions
    view = model.by_name[attention.out.matrix].view
    before = view.clone()
    for head in range(4):
        losses = []
        for gate in (1.05, 0.95):
            view[:, list(attention.out.lines(head))] *= gate
            with torch.no_grad():
                losses.append(model.model(**few.batch([0])).loss.item())
            view.copy_(before)
        slope = (losses[0] - losses[1]) / 0.1
        assert found[head] == pytest.approx(abs(slope), rel=2e-2, abs=2e-5)


@pytest.mark.parametrize("variant", ["token", "example"])
def test_padding_changes_no_importance(variant: Any, tiny: Tiny, words: Any) -> None:
    model = assemble("tiny", "classify", tiny("bert_classifier"), words)
    texts = [(" ".join(f"w{(i * j) % 44}" for j in range(1, 3 + 4 * i)),) for i in range(6)]
    examples = labelled(words, Table(tuple(texts), ("0",) * 6), [i % 2 for i in range(6)], 40)
    alone = head_importance(model, examples, variant, batch=1)
    together = head_importance(model, examples, variant, batch=6)
    for one, other in zip(alone, together, strict=True):
        assert other == pytest.approx(one, rel=1e-3)


def test_leave_one_out_is_the_loss_without_the_head(tiny: Tiny, words: Any) -> None:
    model = assemble("tiny", "causal", tiny("llama"), words)
    ids = torch.arange(4, 44).reshape(2, 20)

    def loss(m: OpenModel) -> float:
        with torch.no_grad():
            return m.model(ids, labels=ids).loss.item()

    found = leave_one_out(model, loss)
    before = loss(model)
    zero(model, model.attentions[1].out, [2])
    assert found[1][2] == pytest.approx(loss(model) - before, abs=1e-7)
    assert [len(layer) for layer in found] == [4, 4]


def test_the_command_heads_prints_what_the_functions_find(
    tiny: Tiny, words: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny("gpt2").save_pretrained(tmp_path / "model")
    words.save_pretrained(tmp_path / "model")
    (tmp_path / "text").write_text(TEXT)
    # Of all 20 windows, so that their order does not matter.
    given = ["heads", "--model", tmp_path / "model", "--text", tmp_path / "text", "--length", 20]
    given += ["--samples", 20, "--batch", 7, "--json", "-"]

    def printed(variant: str) -> list[Any]:
        call(COMMANDS, *given, "--variant", variant)
        return [layer["heads"] for layer in json.loads(capsys.readouterr().out)["layers"]]

    model = assemble("tiny", "causal", tiny("gpt2"), words)
    examples = text_windows(words, TEXT, 20, "causal")
    expected = head_importance(model, examples, "example")
    for layer, found in zip(expected, printed("example"), strict=True):
        assert found == pytest.approx(layer, rel=1e-4)
    zero(model, model.attentions[0].out, [1])
    with torch.no_grad():
        without = model.model(**examples.batch(range(20))).loss.item()
        whole = tiny("gpt2")(**examples.batch(range(20))).loss.item()
    assert printed("leave_one_out")[0][1] == pytest.approx(without - whole, abs=1e-5)
    with pytest.raises(InputError, match="did you mean 'token'"):
        printed("tokens")
