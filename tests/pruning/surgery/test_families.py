"""Family by family: does the saved smaller model compute the same, or does an error say why not?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pruning.models.opening import OpenModel, assemble
from pruning.structure.slices import Slice
from pruning.surgery.shrink import shrink
from sparse_formats.errors import InputError
from tests.tiers import slow

torch = pytest.importorskip("torch")

SMALL = {"vocab_size": 48, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
SMALL |= {"max_position_embeddings": 40, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
ENCODER = {**SMALL, "intermediate_size": 64}
DECODER = {**ENCODER, "num_key_value_heads": 2}
T5 = {"vocab_size": 48, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
GPT2 = {"vocab_size": 48, "n_positions": 40, "n_embd": 32, "n_layer": 2, "n_head": 4}
GPT2 |= {"bos_token_id": 1, "eos_token_id": 2}

FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "roberta": ("RobertaForMaskedLM", "RobertaConfig", ENCODER),
    "electra": ("ElectraForMaskedLM", "ElectraConfig", {**ENCODER, "embedding_size": 16}),
    "albert": ("AlbertForMaskedLM", "AlbertConfig", {**ENCODER, "embedding_size": 16}),
    "mpnet": ("MPNetForMaskedLM", "MPNetConfig", ENCODER),
    "deberta_v2": (
        "DebertaV2ForMaskedLM",
        "DebertaV2Config",
        {**ENCODER, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    ),
    "convbert": ("ConvBertForMaskedLM", "ConvBertConfig", {**ENCODER, "embedding_size": 32}),
    "modernbert": (
        "ModernBertForMaskedLM",
        "ModernBertConfig",
        {**ENCODER, "cls_token_id": 1, "sep_token_id": 2},
    ),
    "t5": ("T5EncoderModel", "T5Config", T5),
    "gated t5": ("T5EncoderModel", "T5Config", {**T5, "feed_forward_proj": "gated-gelu"}),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", GPT2),
    "gptj": ("GPTJForCausalLM", "GPTJConfig", {**GPT2, "rotary_dim": 4}),
    "gpt_neox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", ENCODER),
    "falcon": ("FalconForCausalLM", "FalconConfig", {**SMALL, "multi_query": False}),
    "phi": ("PhiForCausalLM", "PhiConfig", ENCODER),
    "mistral": ("MistralForCausalLM", "MistralConfig", DECODER),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", DECODER),
    "gemma": ("GemmaForCausalLM", "GemmaConfig", {**DECODER, "head_dim": 16}),
    "bitnet": ("BitNetForCausalLM", "BitNetConfig", DECODER),
    "ctrl": ("CTRLLMHeadModel", "CTRLConfig", {**GPT2, "dff": 64}),
}
RARER = [family for family in FAMILIES if family not in ("roberta", "t5", "gpt2", "falcon")]
NO_WORDS = "cannot say that heads are missing"
NO_HEADS = {
    **dict.fromkeys(("roberta", "electra", "albert", "mpnet", "deberta_v2"), NO_WORDS),
    **dict.fromkeys(("modernbert", "gpt2", "gptj", "gpt_neox", "ctrl"), NO_WORDS),
    # Positions have a column for each head; a rule of the family; heads are not known; a norm.
    **dict.fromkeys(("t5", "gated t5"), "no place for .*relative_attention_bias"),
    "falcon": "must be divisible by num_heads",
    "convbert": "heads of convbert is not known",
    "bitnet": "cannot be run without what was removed",
}
NO_NEURONS = {"bitnet": "no place for .*norm"}
CHANNELS = ("mistral", "qwen2")


def build(family: str, **changes: Any) -> OpenModel:
    import transformers

    architecture, config, settings = FAMILIES[family]
    torch.manual_seed(1)
    model = getattr(transformers, architecture)(
        getattr(transformers, config)(**settings, **changes)
    ).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.3)
        elif parameter.dim() == 2:
            parameter.data *= 5
        else:
            torch.nn.init.normal_(parameter, 1, 0.2)
    return assemble(family, "encode" if "t5" in family else "causal", model, None)


def zero(opened: OpenModel, part: Slice, units: Sequence[int]) -> None:
    lines = [line for unit in units for line in part.lines(unit)]
    view = opened.by_name[part.matrix].view
    if part.axis == 0:
        view[lines] = 0
    else:
        view[:, lines] = 0


def outputs(model: Any) -> Any:
    with torch.no_grad():
        return model(input_ids=torch.arange(4, 44).reshape(2, 20))[0]


def check(opened: OpenModel, refusal: str | None, folder: Path) -> None:
    """That the smaller model, saved and opened, computes the same; or the error `refusal`."""
    if refusal is not None:
        with pytest.raises(InputError, match=refusal):
            shrink(opened)
        return
    small = shrink(opened)
    assert small.after < small.before
    small.opened.model.save_pretrained(folder)
    loaded: Any = type(small.opened.model).from_pretrained(folder, output_loading_info=True)
    assert not any(loaded[1].values()), loaded[1]
    expected = outputs(opened.model)
    assert (outputs(loaded[0]) - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("family", ["roberta", "t5", "gpt2", "falcon", *slow(*RARER)])
def test_heads(family: str, tmp_path: Path) -> None:
    opened = build(family)
    for layer, attention in enumerate(opened.attentions):
        unit = attention.kv_heads - 1 - layer
        zero(opened, attention.out, list(attention.group(unit)))
    check(opened, NO_HEADS.get(family), tmp_path)


@pytest.mark.parametrize("family", ["roberta", "t5", "gpt2", "falcon", *slow(*RARER)])
def test_neurons(family: str, tmp_path: Path) -> None:
    opened = build(family)
    assert len(opened.feed_forwards) == (1 if family == "albert" else 2)
    for layer, block in enumerate(opened.feed_forwards):
        zero(opened, block.output, range(layer, layer + 10))
    check(opened, NO_NEURONS.get(family), tmp_path)


@pytest.mark.parametrize("family", ["gemma", *CHANNELS])
def test_channels(family: str, tmp_path: Path) -> None:
    opened = build(family)
    gone = [1, 5, 30]
    opened.model.get_input_embeddings().weight.data[:, gone] = 0  # type: ignore[operator, union-attr]
    for attention, block in zip(opened.attentions, opened.feed_forwards, strict=True):
        for part in (attention.out, block.output):
            opened.by_name[part.matrix].view[gone] = 0
    # Gemma multiplies its embeddings by the root of the hidden size, and its norms by 1 + weight.
    check(opened, None if family in CHANNELS else "uses it elsewhere", tmp_path)


def test_a_gate_of_0_closes_only_if_its_activation_is_0_at_0() -> None:
    # sigmoid(0) · up is half of up.
    for activation in ("silu", "sigmoid"):
        opened = build("mistral", hidden_act=activation)
        for block in opened.feed_forwards:
            zero(opened, block.inputs[0], [3])
        if activation == "silu":
            assert shrink(opened).neurons == 2
        else:
            with pytest.raises(InputError, match="nothing can leave"):
                shrink(opened)
        zero(opened, opened.feed_forwards[0].inputs[1], [3])
        zero(opened, opened.feed_forwards[1].inputs[1], [3])
        assert shrink(opened).neurons == 2


def test_a_broken_weight_is_not_taken_for_none() -> None:
    opened = build("roberta")
    for block in opened.feed_forwards:
        zero(opened, block.output, [3, 4])
        opened.by_name[block.output.matrix].view[0, 3] = float("nan")
    with pytest.raises(InputError, match="differ by nan"):
        shrink(opened)
