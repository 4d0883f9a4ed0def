"""Is a matrix recognised by its name, and are layers put in the order data meets them?"""

import pytest

from sparse_formats.errors import InputError
from sparse_formats.masks.matrix_names import KINDS, kind_of, layer_of, network_order
from sparse_formats.masks.orientation import stored_in_out
from sparse_formats.masks.selection import select

NAMES = [
    # BERT, MiniLM, RoBERTa
    ("encoder.layer.0.attention.self.query.weight", "Q", 0),
    ("bert.encoder.layer.10.attention.self.key.weight", "K", 10),
    ("bert.encoder.layer.10.attention.self.value", "V", 10),
    ("bert.encoder.layer.10.attention.output.dense.weight", "attention out", 10),
    ("encoder.layer.0.intermediate.dense.weight", "FFN1", 0),
    ("encoder/layer/0/output/dense", "FFN2", 0),
    ("embeddings.word_embeddings.weight", "embedding", None),
    ("embeddings.position_ids", "embedding", None),
    ("pooler.dense.weight", "head", None),
    ("cls.predictions.decoder.weight", "head", None),
    ("predictions.decoder.weight", "head", None),
    ("classifier.weight", "head", None),
    # DistilBERT
    ("distilbert.transformer.layer.3.attention.q_lin.weight", "Q", 3),
    ("distilbert.transformer.layer.3.attention.k_lin.weight", "K", 3),
    ("distilbert.transformer.layer.3.attention.v_lin.weight", "V", 3),
    ("distilbert.transformer.layer.3.attention.out_lin.weight", "attention out", 3),
    ("transformer.layer.3.ffn.lin1.weight", "FFN1", 3),
    ("transformer.layer.3.ffn.lin2", "FFN2", 3),
    # GPT-2
    ("h.0.attn.c_attn.weight", "QKV", 0),
    ("transformer.h.11.attn.c_proj.weight", "attention out", 11),
    ("h/11/mlp/c_fc", "FFN1", 11),
    ("h.0.mlp.c_proj.weight", "FFN2", 0),
    ("wte.weight", "embedding", None),
    ("transformer.wpe.weight", "embedding", None),
    # Llama
    ("model.layers.31.self_attn.q_proj.weight", "Q", 31),
    ("model.layers.0.self_attn.k_proj", "K", 0),
    ("model.layers.0.self_attn.v_proj", "V", 0),
    ("model.layers.0.self_attn.o_proj", "attention out", 0),
    ("model.layers.0.mlp.gate_proj.weight", "gate", 0),
    ("model.layers.0.mlp.up_proj.weight", "up", 0),
    ("model.layers.0.mlp.down_proj.weight", "down", 0),
    ("model.embed_tokens.weight", "embedding", None),
    ("lm_head.weight", "head", None),
    # T5, with and without a gate; ModernBERT; Phi; MPNet; GPT-J
    ("encoder.block.2.layer.0.SelfAttention.o.weight", "attention out", 2),
    ("encoder.block.2.layer.1.DenseReluDense.wi.weight", "FFN1", 2),
    ("encoder.block.2.layer.1.DenseReluDense.wi_0.weight", "gate", 2),
    ("encoder.block.2.layer.1.DenseReluDense.wi_1.weight", "up", 2),
    ("encoder.block.2.layer.1.DenseReluDense.wo.weight", "FFN2", 2),
    ("model.layers.3.attn.Wqkv.weight", "QKV", 3),
    ("model.layers.3.attn.Wo.weight", "attention out", 3),
    ("model.layers.3.mlp.Wi.weight", "up", 3),
    ("model.layers.3.mlp.Wo.weight", "down", 3),
    ("model.layers.1.self_attn.dense.weight", "attention out", 1),
    ("encoder.layer.1.attention.attn.o.weight", "attention out", 1),
    ("transformer.h.1.mlp.fc_in.weight", "FFN1", 1),
    ("transformer.h.1.mlp.fc_out.weight", "FFN2", 1),
    # glassllm: gate = x @ W1, up = x @ W3, down = act @ W2
    ("blocks.0.attn.W_Q", "Q", 0),
    ("blocks.3.attn.W_K", "K", 3),
    ("blocks.3.attn.W_V", "V", 3),
    ("blocks.0.attn.W_O", "attention out", 0),
    ("blocks.0.ffn.W1", "gate", 0),
    ("blocks.0.ffn.W3", "up", 0),
    ("blocks.0.ffn.W2", "down", 0),
    ("E", "embedding", None),
    # BLOOM and Falcon, Phi-3, T5's decoder, ModernBERT's head
    ("transformer.h.0.self_attention.query_key_value.weight", "QKV", 0),
    ("transformer.h.0.self_attention.dense.weight", "attention out", 0),
    ("transformer.h.0.mlp.dense_h_to_4h.weight", "FFN1", 0),
    ("model.layers.0.mlp.gate_up_proj.weight", "up", 0),
    ("decoder.block.1.layer.1.EncDecAttention.q.weight", "Q", 1),
    ("decoder.weight", "head", None),
    ("head.dense.weight", "head", None),
    # DeBERTa, ELECTRA, XLNet, Funnel, Mixtral
    ("deberta.encoder.layer.0.attention.self.key_proj.weight", "K", 0),
    ("deberta.encoder.layer.0.attention.self.pos_key_proj.weight", "other", 0),
    ("deberta.encoder.layer.0.attention.self.pos_query_proj.weight", "other", 0),
    ("deberta.encoder.layer.0.attention.self.in_proj.weight", "QKV", 0),
    ("generator_predictions.dense.weight", "head", None),
    ("discriminator_predictions.dense.weight", "head", None),
    ("transformer.layer.1.ff.layer_1.weight", "FFN1", 1),
    ("transformer.layer.1.ff.layer_2.weight", "FFN2", 1),
    ("funnel.encoder.blocks.1.0.attention.q_head.weight", "Q", 1),
    ("funnel.encoder.blocks.1.0.attention.post_proj.weight", "attention out", 1),
    ("funnel.encoder.blocks.1.0.ffn.linear_1.weight", "FFN1", 1),
    ("model.layers.0.block_sparse_moe.experts.1.w2.weight", "down", 0),
    ("model.layers.0.block_sparse_moe.gate.weight", "head", 0),
    ("final_logits_bias", "head", None),
    ("transformer.layer.0.rel_attn.r_w_bias", "embedding", 0),
    # BART's classifier, mixtures of experts, MobileBERT, RWKV, Mamba, LFM2, Nomic BERT, CTRL
    ("classification_head.dense.weight", "head", None),
    ("classification_head.out_proj.weight", "head", None),
    ("logits_proj.weight", "head", None),
    ("model.layers.0.mlp.gate.weight", "head", 0),
    ("model.layers.0.mlp.shared_expert_gate.weight", "head", 0),
    ("model.layers.0.mlp.router.weight", "head", 0),
    ("model.layers.0.mlp.experts.gate_up_proj_bias", "embedding", 0),
    ("layers.0.blocks.0.attention.self.relative_position_bias_table", "embedding", 0),
    ("mobilebert.encoder.layer.0.bottleneck.attention.dense.weight", "other", 0),
    ("mobilebert.encoder.layer.0.attention.output.dense.weight", "attention out", 0),
    ("rwkv.blocks.0.feed_forward.key.weight", "FFN1", 0),
    ("rwkv.blocks.0.feed_forward.value.weight", "FFN2", 0),
    ("rwkv.blocks.0.attention.key.weight", "K", 0),
    ("head.weight", "head", None),
    ("backbone.layers.0.mixer.in_proj.weight", "other", 0),
    ("backbone.layers.0.mixer.A_log", "embedding", 0),
    ("model.layers.0.conv.out_proj.weight", "other", 0),
    ("encoder.layers.0.mlp.fc11.weight", "up", 0),
    ("encoder.layers.0.mlp.fc12.weight", "gate", 0),
    ("transformer.h.0.ffn.0.weight", "FFN1", 0),
    ("transformer.h.0.ffn.2.weight", "FFN2", 0),
    ("transformer.w.weight", "embedding", None),
    # DLMC, short and long file stems
    ("encoder0.attention_q", "Q", 0),
    ("encoder0.attention_k", "K", 0),
    ("encoder0.attention_v", "V", 0),
    ("decoder4.attention_output_transform", "attention out", 4),
    ("encoder0.ffn_conv1", "FFN1", 0),
    ("encoder0.ffn_conv2", "FFN2", 0),
    ("body_decoder_layer_2_encdec_attention_multihead_attention_k_fully_connected", "K", 2),
    (
        "body_encoder_layer_5_self_attention_multihead_attention_output_transform_fully_connected",
        "attention out",
        5,
    ),
    ("body_encoder_layer_5_ffn_conv2_fully_connected", "FFN2", 5),
    ("symbol_modality_33288_512_shared", "embedding", None),
    # what people write by hand, and what nobody can know
    ("layer0.Q", "Q", 0),
    ("layer_7/attention_out", "attention out", 7),
    ("layer0.FFN1", "FFN1", 0),
    ("layer0.qkv", "QKV", 0),
    ("layer10", "other", 10),
    ("W1", "other", None),
    ("c", "other", None),
    ("a.0", "other", 0),
]


@pytest.mark.parametrize(("name", "kind", "layer"), NAMES)
def test_which_kind_and_layer_has_this_name(name: str, kind: str, layer: int | None) -> None:
    assert kind_of(name) == kind
    assert kind in KINDS
    if kind not in ("embedding", "head"):
        assert layer_of(name) == layer


def test_are_layers_ordered_by_number_and_matrices_by_use() -> None:
    bert = "encoder.layer.{}.{}.weight".format
    ordered = [
        "embeddings.word_embeddings.weight",
        *(
            bert(layer, part)
            for layer in (0, 2, 10)
            for part in (
                "attention.self.query",
                "attention.self.key",
                "attention.self.value",
                "attention.output.dense",
                "intermediate.dense",
                "output.dense",
            )
        ),
        "pooler.dense.weight",
    ]
    assert network_order(sorted(ordered)) == ordered


def test_does_the_decoder_follow_the_encoder_and_cross_attention_self_attention() -> None:
    ordered = [
        "encoder0.attention_q",
        "encoder1.attention_q",
        "body_decoder_layer_0_self_attention_q",
        "body_decoder_layer_0_self_attention_output",
        "body_decoder_layer_0_encdec_attention_q",
        "body_decoder_layer_0_ffn_conv1",
    ]
    assert network_order(reversed(ordered)) == ordered


def test_do_unknown_names_keep_the_files_order_behind_the_known() -> None:
    assert network_order(["z9", "b", "layer1.Q", "a", "layer0.K"]) == [
        "layer0.K",
        "layer1.Q",
        "z9",
        "b",
        "a",
    ]


def _gpt2(d: int, turned: bool) -> dict[str, tuple[int, int]]:
    stored = {
        "wte.weight": (50257, d),
        "h.0.attn.c_attn.weight": (d, 3 * d),
        "h.0.attn.c_proj.weight": (d, d),
        "h.0.mlp.c_fc.weight": (d, 4 * d),
        "h.0.mlp.c_proj.weight": (4 * d, d),
    }
    if not turned:
        return stored
    return {n: s if n == "wte.weight" else (s[1], s[0]) for n, s in stored.items()}


def test_which_matrices_of_gpt2_are_stored_in_out() -> None:
    conv1d = _gpt2(768, turned=False)
    assert stored_in_out(conv1d).names == frozenset(conv1d) - {"wte.weight"}
    assert stored_in_out(_gpt2(768, turned=True)).names == frozenset()


def test_is_conv1d_assumed_where_shapes_tell_nothing() -> None:
    assert stored_in_out({"h.0.attn.c_proj.weight": (8, 8)}).names == {"h.0.attn.c_proj.weight"}


def test_is_glassllm_turned_and_bert_not() -> None:
    glass = {
        "E": (1024, 128),
        "blocks.0.attn.W_Q": (128, 128),
        "blocks.0.attn.W_K": (128, 64),
        "blocks.0.ffn.W1": (128, 341),
        "blocks.0.ffn.W2": (341, 128),
    }
    assert stored_in_out(glass).names == frozenset(glass) - {"E"}
    assert stored_in_out({n: (s[1], s[0]) for n, s in glass.items()}).names == frozenset()
    assert (
        stored_in_out({"encoder.layer.0.intermediate.dense.weight": (1536, 384)}).names
        == frozenset()
    )


MODEL = ["embeddings.word_embeddings.weight", "layer0.Q", "layer0.FFN1", "extra", "lm_head.weight"]


def test_are_embeddings_and_heads_left_alone_unless_asked_for() -> None:
    assert select(MODEL) == ["layer0.Q", "layer0.FFN1", "extra"]
    assert select(MODEL, include=["embed", "Q$"]) == [
        "embeddings.word_embeddings.weight",
        "layer0.Q",
    ]
    assert select(MODEL, exclude=["Q$"]) == ["layer0.FFN1", "extra"]
    assert select(MODEL, include=["layer"], exclude=["FFN"]) == ["layer0.Q"]


def test_is_everything_taken_where_no_layer_is_recognised() -> None:
    assert select(["A", "B", "E"]) == ["A", "B", "E"]
    mamba = ["embeddings.weight", "layers.0.mixer.in_proj.weight"]
    assert select(mamba) == mamba[1:]


@pytest.mark.parametrize(
    ("include", "exclude", "says"),
    [
        (["("], [], r"^include '\(' is not a regular expression"),
        ([], ["*"], r"^exclude '\*' is not a regular expression"),
        (["nothing"], [], r"no matrix is left .*layer0\.Q"),
        ([], ["."], r"no matrix is left"),
    ],
)
def test_what_does_a_bad_selection_say(include: list[str], exclude: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        select(MODEL, include, exclude)


@pytest.mark.parametrize("name", ["layers.{}.query", "{}", "experts.{}.w1", "mlp.experts.w1[{}]"])
def test_a_number_of_thousands_of_digits_is_no_layer_and_no_expert(name: str) -> None:
    from sparse_formats.masks.execution import expert_of

    long = name.format("1" * 5000)
    assert layer_of(long) is None
    assert expert_of(long) is None
    assert network_order([long]) == [long]
