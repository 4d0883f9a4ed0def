"""Which parameter name is which matrix of a transformer layer: one table and its uses."""

import re
from collections.abc import Iterable

KINDS = (
    "Q",
    "K",
    "V",
    "QKV",
    "attention out",
    "FFN1",
    "gate",
    "up",
    "FFN2",
    "down",
    "embedding",
    "head",
    "other",
)
"""What a matrix can do in its model, in the order in which a layer uses them."""

NOT_IN_A_LAYER = ("embedding", "head", "other")

# End of a projection's name: nothing, or the word some code bases hang behind it.
_END = r"(?:_?(?:proj|lin|linear|head|fully_connected))?$"

# First match wins; searched in the name with "/" as "." and without a trailing "weight".
_KIND_PATTERNS: tuple[tuple[str, str], ...] = (
    ("head", r"lm_head|unembed|embed_out$|(?:^|\.)cls\.|predictions\.|classifier|qa_outputs"),
    ("head", r"(?:^|\.)(?:lm|mlm)_loss$|final_logits_bias$|^decoder$|^head\.dense$"),
    ("head", r"pooler|vocab_(?:transform|projector)$|(?:^|\.)score$|classification_head\."),
    ("head", r"(?:^|\.)logits_proj$|sequence_summary\.|^head$"),
    ("embedding", r"embed|(?:^|\.)w[tp]e$|(?:^|\.)shared$|symbol_modality|position_ids$"),
    ("embedding", r"relative_attention_bias$|(?-i:^E$)|^transformer\.w$"),
    # Biases and tables with two axes, of each expert, head or channel: no matrix multiplies.
    ("embedding", r"bias(?:_table)?$|mixer\.a_log$"),
    # As GGUF calls them.
    ("head", r"^output$|blk\.\d+\.ffn_gate_inp"),
    ("embedding", r"(?:^|\.)(?:token_embd|position_embd|per_layer_token_embd|token_types)$"),
    ("attention out", r"blk\.\d+\.(?:attn_output|(?:attn|cross_attn)_o)$"),
    ("gate", r"blk\.\d+\.ffn_gate_(?:exps|shexp)$"),
    ("up", r"blk\.\d+\.ffn_up_(?:exps|shexp)$"),
    ("down", r"blk\.\d+\.ffn_down_(?:exps|shexp)$"),
    # A router tells experts apart as a classifier does classes.
    ("head", r"(?:moe|mlp|mixer)\.gate$|shared_expert_gate$|(?:moe|mlp|feed_forward)\.router$"),
    # DeBERTa's keys and queries of positions are no heads' rows.
    ("other", r"(?:^|[._])pos_(?:key|query|q)?_?proj$"),
    # What MobileBERT narrows the layer with; Mamba's and LFM2's convolutions in attention's place.
    ("other", r"(?:^|\.)bottleneck\.|(?:mixer|conv)\.(?:in|out)_proj$"),
    # RWKV's feed-forward layer, whose "key" and "value" are no attention's.
    ("FFN1", r"feed_forward\.key$"),
    ("FFN2", r"feed_forward\.value$"),
    # T5 and ModernBERT call the last matrix of both halves of a layer "o".
    ("FFN2", r"densereludense\.wo$"),
    ("down", r"mlp\.wo$"),
    ("QKV", r"c_attn$|query_key_value$|w?qkv" + _END + r"|(?:^|[._])in_proj$|w_ma$"),
    ("attention out", r"attention[._ ]output(?:\.dense|_transform)?" + _END),
    ("attention out", r"attn\.c_proj$|(?:^|[._])o(?:ut)?_(?:proj|lin)$|(?:^|[._])w_?o$|w_mp$"),
    ("attention out", r"(?:attn|attention)(?:\.dense|\.o|\.post_proj|[._ ]out)$"),
    ("Q", r"(?:^|[._])w?_?q(?:uery)?" + _END),
    ("K", r"(?:^|[._])w?_?k(?:ey)?" + _END),
    ("V", r"(?:^|[._])w?_?v(?:alue)?" + _END),
    ("gate", r"mlp\.fc12$"),
    ("up", r"mlp\.fc11$"),
    ("gate", r"gate_proj$|(?:ffn|feed_forward|mlp|experts\.\d+)\.w1$|\.wi_0$|(?:^|[._])gate$"),
    ("up", r"up_proj$|(?:ffn|feed_forward|mlp|experts\.\d+)\.w3$|\.wi_1$|(?:^|[._])up$|mlp\.wi$"),
    ("down", r"down_proj$|(?:ffn|feed_forward|mlp|experts\.\d+)\.w2$|(?:^|[._])down$"),
    ("FFN1", r"intermediate\.dense$|ffn\.lin1$|c_fc$|(?:^|[._])fc1$|dense_h_to_4h$"),
    ("FFN1", r"mlp\.fc_in$|(?:ff\.layer|ffn\.linear)_1$|(?:^|\.)ffn\.0$"),
    ("FFN1", r"ffn_conv1" + _END + r"|densereludense\.wi$|(?:^|[._])ffn_?1?$|w_f1$"),
    ("FFN2", r"output\.dense$|ffn\.lin2$|mlp\.c_proj$|(?:^|[._])fc2$|dense_4h_to_h$"),
    ("FFN2", r"mlp\.fc_out$|(?:ff\.layer|ffn\.linear)_2$|(?:^|\.)ffn\.2$"),
    ("FFN2", r"ffn_conv2" + _END + r"|(?:^|[._])ffn_?(?:2|output)$|w_f2$"),
)

# The layer's number: behind a word that announces one, else any number standing alone.
_LAYER_PATTERNS = (
    r"(?:^|[^a-z])(?:layers?|l|h|blocks?|encoder|decoder)[._]?(\d{1,9})(?![0-9a-z])",
    r"(?:^|\.)(\d{1,9})(?=\.|$)",
)

_DECODER = r"(?:^|[._])decoder(?:[._]|\d|$)"
_CROSS_ATTENTION = r"encdec|enc_dec|cross|encoder_attn"


def kind_of(name: str) -> str:
    """What the matrix called `name` does in its layer: one of `KINDS`."""
    plain = plain_name(name)
    return next((kind for kind, pattern in _KIND_PATTERNS if _found(pattern, plain)), "other")


def layer_of(name: str) -> int | None:
    """The number of the layer the matrix called `name` stands in, None if it tells none."""
    plain = plain_name(name)
    for pattern in _LAYER_PATTERNS:
        if match := re.search(pattern, plain, re.IGNORECASE):
            return int(match[1])
    return None


def network_order(names: Iterable[str]) -> list[str]:
    """`names` as data meets them: embeddings, layers by number (encoder first), heads.

    In a layer: Q, K, V or QKV, attention output (self-attention before cross-attention), FFN1 or
    gate and up, FFN2 or down. Unrecognised names follow at the end in the order given.
    """
    return sorted(names, key=_place)


def plain_name(name: str) -> str:
    """`name` with dots between its parts, without "weight" and an expert's [number] at its end."""
    return re.sub(r"(?:[._]weight)?(?:\[\d+\])?$", "", name.replace("/", "."), count=1)


def _found(pattern: str, plain: str) -> bool:
    return re.search(pattern, plain, re.IGNORECASE) is not None


def _place(name: str) -> tuple[int, ...]:
    kind, layer, plain = kind_of(name), layer_of(name), plain_name(name)
    if kind in NOT_IN_A_LAYER:
        return ({"embedding": 0, "head": 2, "other": 3}[kind],)
    stage = 2 if KINDS.index(kind) > KINDS.index("attention out") else 0
    if stage == 0 and _found(_CROSS_ATTENTION, plain):
        stage = 1
    number = -1 if layer is None else layer
    return 1, _found(_DECODER, plain), number, stage, KINDS.index(kind)
