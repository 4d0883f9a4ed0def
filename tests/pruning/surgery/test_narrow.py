"""Is a model whose layers differ the masked one, and does its folder open anywhere, as it is?"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pruning.__main__ import COMMANDS
from pruning.data.examples import text_windows
from pruning.evaluation.head_importance import head_importance, leave_one_out
from pruning.models.opening import OpenModel, assemble, open_model
from pruning.statistics.calibration import calibrated
from pruning.structure.heads import Heads
from pruning.structure.slices import Slice
from pruning.surgery.shrink import shrink
from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_weights, write_masks
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
from sparse_formats.terminal.command import call
from tests.tiers import slow

torch = pytest.importorskip("torch")

Tiny = Callable[..., Any]
TEXT = " ".join(f"w{(i * i + 3 * (i // 7)) % 44}" for i in range(400))
HIDDEN, HEADS, HEAD_DIM, NEURONS = 32, 4, 8, 64
"""Of both tiny families, with two layers."""

TASKS = {
    "Model": "encode",
    "ForMaskedLM": "masked",
    "ForSequenceClassification": "classify",
    "ForQuestionAnswering": "answer",
}
KEPT: dict[str, tuple[list[int], list[int]]] = {
    "uneven": ([2, 3], [60, 7]),
    "a layer without heads": ([0, 4], [64, 9]),
    "a layer without neurons": ([4, 1], [5, 0]),
    "a layer without anything": ([3, 0], [64, 0]),
}
"""Heads and neurons that the two layers keep."""


def build(tiny: Tiny, family: str, ending: str = "ForMaskedLM") -> OpenModel:
    """A tiny model with weights large enough to matter, no bias 0."""
    import transformers

    torch.manual_seed(1)
    model = getattr(transformers, family + ending)(tiny(family.lower()).config)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.3)
        elif parameter.dim() == 2:
            parameter.data *= 5
    return assemble("tiny", TASKS[ending], model, None)


def zero(opened: OpenModel, part: Slice, units: range) -> None:
    lines = [line for unit in units for line in part.lines(unit)]
    matrix = opened.by_name[part.matrix]
    if part.axis == 0:
        matrix.view[lines] = 0
        matrix.module.bias.data[lines] = 0  # type: ignore[union-attr]
    else:
        matrix.view[:, lines] = 0


def mask(opened: OpenModel, heads: list[int], neurons: list[int]) -> None:
    """Leave so many heads and neurons of each layer, the last ones; every way to empty one."""
    for layer, (attention, block) in enumerate(
        zip(opened.attentions, opened.feed_forwards, strict=True)
    ):
        head_lines = attention.out if layer else attention.value
        zero(opened, head_lines, range(attention.heads - heads[layer]))
        zero(opened, block.inputs[0] if layer else block.output, range(NEURONS - neurons[layer]))


def outputs(model: Any) -> list[Any]:
    """All the model says of two texts, one of them padded."""
    ids = torch.arange(4, 44).reshape(2, 20)
    seen = torch.ones_like(ids)
    seen[1, 13:] = 0
    with torch.no_grad():
        found = model(input_ids=ids, attention_mask=seen)
    return [value.float() for value in found.values()]


def apart(one: list[Any], other: list[Any]) -> float:
    return max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(one, other, strict=True))


def narrow(
    tiny: Tiny, family: str = "Bert", ending: str = "ForMaskedLM", what: str = "uneven"
) -> tuple[OpenModel, OpenModel]:
    """A masked model and the narrow one it becomes."""
    masked = build(tiny, family, ending)
    mask(masked, *KEPT[what])
    return masked, shrink(masked, own_code=True).opened


@pytest.mark.parametrize("what", KEPT)
@pytest.mark.parametrize("ending", TASKS)
@pytest.mark.parametrize("family", ["Bert", *slow("DistilBert")])
def test_outputs_are_those_of_the_masked_model(
    family: str, ending: str, what: str, tiny: Tiny
) -> None:
    model, (heads, neurons) = build(tiny, family, ending), KEPT[what]
    dense = outputs(model.model)
    mask(model, heads, neurons)
    small = shrink(model, own_code=True)
    assert small.own_code
    assert small.opened.task == TASKS[ending]
    assert apart(outputs(model.model), outputs(small.opened.model)) <= 1e-5
    assert apart(dense, outputs(model.model)) > 1e-2
    config = small.opened.model.config
    assert (config.layer_heads, config.layer_neurons) == (heads, neurons)
    lost_heads, lost_neurons = 2 * HEADS - sum(heads), 2 * NEURONS - sum(neurons)
    assert (small.heads, small.neurons, small.channels) == (lost_heads, lost_neurons, 0)
    # A head: rows of Q, K, V and their biases, columns of the output. A neuron: two lines, a bias.
    of_head = 4 * HIDDEN * HEAD_DIM + 3 * HEAD_DIM
    of_neuron = 2 * HIDDEN + 1
    assert small.before - small.after == lost_heads * of_head + lost_neurons * of_neuron


def test_what_is_left_where_everything_leaves_is_the_biases(tiny: Tiny) -> None:
    model = build(tiny, "Bert", "Model")
    mask(model, [0, 0], [0, 0])
    small = shrink(model, own_code=True)
    assert (small.heads, small.neurons) == (8, 128)
    assert small.opened.attentions == small.opened.feed_forwards == ()
    bert: Any = small.opened.model
    with torch.no_grad():
        hidden = bert.embeddings(torch.arange(4, 44).reshape(2, 20))
        for layer in bert.encoder.layer:
            for output in (layer.attention.output, layer.output):
                hidden = output.LayerNorm(hidden + output.dense.bias)
    assert apart([hidden], outputs(model.model)[:1]) <= 1e-5


def test_where_stock_words_suffice_the_model_is_a_stock_one(tiny: Tiny) -> None:
    for family, name in (("Bert", "intermediate_size"), ("DistilBert", "hidden_dim")):
        model = build(tiny, family)
        mask(model, [4, 4], [60, 60])
        small = shrink(model, own_code=True)
        assert not small.own_code
        assert type(small.opened.model) is type(model.model)
        assert getattr(small.opened.model.config, name) == 60
    # Heads are missing in both layers alike: BERT has no words for it, Llama has.
    model = build(tiny, "Bert")
    mask(model, [2, 2], [64, 64])
    assert shrink(model, own_code=True).opened.model.config.layer_heads == [2, 2]
    llama = assemble("tiny", "causal", tiny("llama"), None)
    for attention in llama.attentions:
        for head in attention.group(1):
            llama.by_name[attention.out.matrix].view[:, list(attention.out.lines(head))] = 0
    assert not shrink(llama, own_code=True).own_code


FRESH = """
import sys

class NotOurs:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pruning", "sparse_formats"):
            raise ImportError(f"{name} belongs to the project")

sys.meta_path.insert(0, NotOurs())
import numpy as np, torch, transformers

given = np.load(sys.argv[1])
ids, seen = torch.from_numpy(given["ids"]), torch.from_numpy(given["seen"])

def check(folder, auto, **settings):
    made, report = getattr(transformers, auto).from_pretrained(
        folder, trust_remote_code=True, output_loading_info=True, **settings
    )
    assert not any(report.values()), report
    with torch.no_grad():
        found = next(iter(made.eval()(input_ids=ids, attention_mask=seen).values())).float()
    expected = torch.from_numpy(given[f"{folder.rpartition('/')[2]}"])
    return made, float((found - expected).abs().max() / expected.abs().max())

for folder, auto in zip(sys.argv[2::2], sys.argv[3::2]):
    for attention in ("eager", "sdpa"):
        made, apart = check(folder, auto, attn_implementation=attention)
        assert apart <= 1e-5, (folder, attention, apart)
        assert made.config._attn_implementation == attention
    assert check(folder, auto, dtype=torch.float16)[1] <= 2e-2
    made.save_pretrained(folder.replace("/once/", "/again/"))
    assert check(folder.replace("/once/", "/again/"), auto)[1] <= 1e-5
    # The folder of a classifier holds an encoder.
    transformers.AutoModel.from_pretrained(folder, trust_remote_code=True)
assert "pruning" not in sys.modules
print("done")
"""


@pytest.mark.slow
def test_a_fresh_process_without_the_project_opens_the_folder(tiny: Tiny, tmp_path: Path) -> None:
    ids = torch.arange(4, 44).reshape(2, 20)
    seen = torch.ones_like(ids)
    seen[1, 13:] = 0
    arrays, words = {"ids": ids.numpy(), "seen": seen.numpy()}, []
    for family, ending, auto, what in (
        ("Bert", "ForSequenceClassification", "AutoModelForSequenceClassification", "uneven"),
        ("Bert", "ForMaskedLM", "AutoModelForMaskedLM", "a layer without anything"),
        ("DistilBert", "ForQuestionAnswering", "AutoModelForQuestionAnswering", "uneven"),
        ("DistilBert", "Model", "AutoModel", "a layer without anything"),
    ):
        masked, small = narrow(tiny, family, ending, what)
        folder = tmp_path / "once" / (family + ending)
        small.model.save_pretrained(folder)
        arrays[folder.name] = outputs(masked.model)[0].numpy()
        words += [str(folder), auto]
    np.savez(tmp_path / "expected.npz", **arrays)
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", FRESH, tmp_path / "expected.npz", *words],
        cwd=tmp_path / "elsewhere",
        env={**os.environ, "PYTHONPATH": "", "HF_MODULES_CACHE": str(tmp_path / "modules")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"


def test_our_own_code_opens_the_folder_and_the_code_inside_never_runs(
    tiny: Tiny, tmp_path: Path
) -> None:
    for family, ending in (("Bert", "ForSequenceClassification"), ("DistilBert", "ForMaskedLM")):
        masked, small = narrow(tiny, family, ending, "a layer without anything")
        folder = tmp_path / family
        small.model.save_pretrained(folder)
        code = folder / "modeling_narrow.py"
        code.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n" + code.read_text())
        opened = open_model(folder)
        assert opened.task == TASKS[ending]
        assert apart(outputs(masked.model), outputs(opened.model)) <= 1e-5
        weights = read_weights(folder)
        assert all(np.array_equal(m.weight(), weights[m.name]) for m in opened.matrices)
        assert all(matrix.view.numel() for matrix in opened.matrices)
        again = tmp_path / f"{family} again"
        opened.model.save_pretrained(again)
        assert (again / "config.json").read_text() == (folder / "config.json").read_text()
        assert apart(outputs(masked.model), outputs(open_model(again).model)) == 0
        torch.save(opened.model.state_dict(), again / "state.bin")
        opened.model.load_state_dict(torch.load(again / "state.bin", weights_only=True))
        assert apart(outputs(masked.model), outputs(opened.model)) <= 1e-5
    encoder = open_model(tmp_path / "Bert", task="encode")
    assert all(matrix.name.startswith("bert.") for matrix in encoder.matrices)
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("layer_heads", [2], "layer_heads must be 2 numbers from 0 to 4"),
        ("layer_heads", [2, 5], "layer_heads must be 2 numbers from 0 to 4"),
        ("layer_neurons", [60, -1], "layer_neurons must be 2 numbers from 0 to 64"),
        ("layer_neurons", ["60", 7], "layer_neurons must be 2 numbers from 0 to 64"),
        # Not what the weights have.
        ("layer_heads", [3, 3], "weights and config must belong to one model"),
    ],
)
def test_a_damaged_folder_says_so(
    key: str, value: Any, said: str, tiny: Tiny, tmp_path: Path
) -> None:
    _, small = narrow(tiny)
    small.model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(InputError, match=said):
        open_model(tmp_path)


def test_heads_are_counted_layer_by_layer(tiny: Tiny, words: Any) -> None:
    masked, small = narrow(tiny, what="uneven")
    words.mask_token = "w0"
    small = assemble("tiny", "masked", small.model, words)
    assert [a.heads for a in small.attentions] == [2, 3]
    assert {a.head_dim for a in small.attentions} == {HEAD_DIM}
    assert [b.width for b in small.feed_forwards] == [60, 7]
    assert small.heads == Heads(4, 4, HEAD_DIM)
    ids = torch.arange(4, 44).reshape(2, 20)

    def loss(opened: OpenModel) -> float:
        with torch.no_grad():
            return opened.model(ids, labels=ids).loss.item()

    # What is left are the last heads of each layer.
    alone, before = leave_one_out(small, loss), leave_one_out(masked, loss)
    assert [len(layer) for layer in alone] == [2, 3]
    for few, many in zip(alone, before, strict=True):
        assert few == pytest.approx(many[-len(few) :], abs=1e-5)
    examples = text_windows(words, TEXT, 20, "masked")
    few = type(examples)(examples.rows[:4])
    found, expected = (head_importance(m, few, "token") for m in (small, masked))
    for layer, whole in zip(found, expected, strict=True):
        assert layer == pytest.approx(whole[-len(layer) :], rel=1e-3)
    _, headless = narrow(tiny, what="a layer without heads")
    assert [a.out.matrix.split(".")[3] for a in headless.attentions] == ["1"]


def test_attention_weights_are_those_of_the_heads_that_are_left(tiny: Tiny) -> None:
    for family in ("Bert", "DistilBert"):
        _, small = narrow(tiny, family, "Model", "a layer without heads")
        small.model.set_attn_implementation("eager")
        found = small.model(torch.arange(4, 44).reshape(2, 20), output_attentions=True).attentions
        assert [tuple(weights.shape) for weights in found] == [(2, 0, 20, 20), (2, 4, 20, 20)]


def test_statistics_are_those_of_the_lines_that_are_left(tiny: Tiny, words: Any) -> None:
    masked, small = narrow(tiny, what="uneven")
    words.mask_token = "w0"
    masked, small = (assemble("tiny", "masked", m.model, words) for m in (masked, small))
    examples = text_windows(words, TEXT, 20, "masked")
    few = type(examples)(examples.rows[:4])
    found = []
    for opened in (masked, small):
        with calibrated(opened, few, ["input_squares"]) as known:
            found.append({name: mine.input_squares for name, mine in known.items()})
    before, after = found
    assert before.keys() == after.keys()
    for name, squares in after.items():
        assert squares == pytest.approx(before[name][-len(squares) :], rel=1e-4)


def test_a_narrow_model_becomes_narrower(tiny: Tiny) -> None:
    masked, small = narrow(tiny, what="a layer without neurons")
    with pytest.raises(InputError, match="nothing can leave"):
        shrink(small)
    with pytest.raises(InputError, match="pad is not needed"):
        shrink(small, pad=True)
    for opened in (masked, small):
        zero(opened, opened.attentions[0].out, range(1))
        # Five neurons are left of the first layer, the last ones.
        width = opened.feed_forwards[0].width
        zero(opened, opened.feed_forwards[0].output, range(width - 3, width))
    smaller = shrink(small)
    assert (smaller.heads, smaller.neurons, smaller.own_code) == (1, 3, True)
    config = smaller.opened.model.config
    assert (config.layer_heads, config.layer_neurons) == ([3, 1], [2, 0])
    assert apart(outputs(masked.model), outputs(smaller.opened.model)) <= 1e-5


def test_the_commands_take_a_mask_of_the_original(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = build(tiny, "DistilBert", "ForSequenceClassification")
    model.model.save_pretrained(tmp_path / "model")
    keep = {m.name: np.ones(m.shape, np.bool_) for m in model.matrices}
    for layer, heads in enumerate([3, 0]):
        out = model.attentions[layer].out
        keep[out.matrix][:, heads * HEAD_DIM :] = False
        keep[model.feed_forwards[layer].output.matrix][:, 40 * layer :] = False
    write_masks(tmp_path / "mask.npz", MaskSet(tuple(MaskedMatrix(n, k) for n, k in keep.items())))
    for name, mask in keep.items():
        model.by_name[name].view.mul_(torch.from_numpy(mask))

    def run(*words: Any) -> str:
        call(COMMANDS, *words)
        return capsys.readouterr().out

    given = ["shrink", "--model", tmp_path / "model", "--mask", tmp_path / "mask.npz"]
    given += ["--out", tmp_path / "small"]
    with pytest.raises(InputError, match=r"different numbers of heads \(3, 0\).*own_code"):
        run(*given)
    with pytest.raises(InputError, match="give one of them"):
        run(*given, "--own-code", "--pad")
    assert not (tmp_path / "small").exists()
    told = run(*given, "--own-code")
    assert "removed 5 heads, 88 neurons, 0 channels" in told
    assert "trust_remote_code=True" in told
    small = open_model(tmp_path / "small")
    assert apart(outputs(model.model), outputs(small.model)) <= 1e-5
    # The narrow folder is pruned head by head itself, and shrinks with the mask that comes of it.
    folder = ["--model", tmp_path / "small"]
    run("prune", *folder, "--pattern", "head", "--sparsity", 0.3, "--out", tmp_path / "two.npz")
    told = run("shrink", *folder, "--mask", tmp_path / "two.npz", "--out", tmp_path / "smaller")
    assert "removed 1 heads, 0 neurons" in told
    assert open_model(tmp_path / "smaller").model.config.layer_heads == [2, 0]
    with pytest.raises(InputError, match=r"give masks of this model|fits no matrix"):
        run("shrink", *folder, "--mask", tmp_path / "mask.npz", "--out", tmp_path / "wrong")


def test_what_has_no_code_of_ours_says_so(tiny: Tiny) -> None:
    import transformers

    settings: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 48}
    settings |= {"num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 40}
    config = transformers.RobertaConfig(**settings)
    models = [tiny("llama"), tiny("gpt2"), transformers.RobertaForMaskedLM(config)]
    models += [transformers.BertForPreTraining(tiny("bert").config)]
    models += [transformers.BertLMHeadModel(tiny("bert", is_decoder=True).config)]
    for model in models:
        opened = assemble("tiny", "masked", model, None)
        view = opened.by_name[opened.feed_forwards[0].output.matrix].view
        view[:, :3] = 0
        with pytest.raises(InputError, match="own code is there for BERT and DistilBERT"):
            shrink(opened, own_code=True)
    bert = build(tiny, "Bert")
    mask(bert, [2, 2], [64, 64])
    with pytest.raises(InputError, match=r"heads are missing.*own_code"):
        shrink(bert)
