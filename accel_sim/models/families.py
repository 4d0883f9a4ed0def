"""Families of transformers: how their config.json and their matrices are called, a row each.

A key that a file leaves out has the value that transformers takes then. Source: the configuration
and modelling files of transformers 5, by family.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from accel_sim.models.transformer import Norm


@dataclass(frozen=True, kw_only=True)
class Family:
    """How a family's config.json and matrices are called, and what all its models share.

    keys: of what `transformer` needs, and defaults: where the file leaves one out. names: of a
    layer's matrices by kind, with {} for the layer's number; biased: kinds that have a bias.
    class_tokens: of an image, 0 for a model of text. has_positions: whether they are a table;
    reserved_positions: how many of those that the file counts no token has; extra_positions: rows
    of the table that the file does not count. segments: key of a further table. norms_of_layer:
    norms of width d in a layer.
    """

    keys: Mapping[str, str]
    defaults: Mapping[str, Any]
    names: Mapping[str, str]
    biased: Sequence[str] = ()
    norm: Norm = "layer"
    is_pre_norm: bool = True
    is_gated: bool = False
    has_rope: bool = False
    is_causal: bool = True
    has_head: bool = True
    has_positions: bool = False
    reserved_positions: int = 0
    extra_positions: int = 0
    segments: str | None = None
    embedding_norm: bool = False
    final_norm: bool = True
    head_norm: bool = False
    norms_of_layer: int = 2
    is_tied: bool = True
    has_window: bool = False
    class_tokens: int = 0

    @property
    def is_vision(self) -> bool:
        """Whether its tokens are patches of an image, and some that stand for its class."""
        return self.class_tokens > 0


_KEYS = {
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "ffn": "intermediate_size",
    "activation": "hidden_act",
    "vocabulary": "vocab_size",
    "positions": "max_position_embeddings",
}
_BERT_DEFAULTS = {
    "num_hidden_layers": 12,
    "hidden_size": 768,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "vocab_size": 30522,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}
_BERT = Family(
    keys=_KEYS,
    defaults=_BERT_DEFAULTS,
    names={
        "Q": "encoder.layer.{}.attention.self.query",
        "K": "encoder.layer.{}.attention.self.key",
        "V": "encoder.layer.{}.attention.self.value",
        "attention out": "encoder.layer.{}.attention.output.dense",
        "FFN1": "encoder.layer.{}.intermediate.dense",
        "FFN2": "encoder.layer.{}.output.dense",
    },
    biased=("Q", "K", "V", "attention out", "FFN1", "FFN2"),
    is_pre_norm=False,
    is_causal=False,
    has_head=False,
    has_positions=True,
    segments="type_vocab_size",
    embedding_norm=True,
    final_norm=False,
)
_ROBERTA = {
    **vars(_BERT),
    # The first two rows are of padding, and of what stands before it.
    "reserved_positions": 2,
    "defaults": {**_BERT_DEFAULTS, "vocab_size": 50265, "max_position_embeddings": 514},
}
_LLAMA_NAMES = {
    "Q": "model.layers.{}.self_attn.q_proj",
    "K": "model.layers.{}.self_attn.k_proj",
    "V": "model.layers.{}.self_attn.v_proj",
    "attention out": "model.layers.{}.self_attn.o_proj",
    "gate": "model.layers.{}.mlp.gate_proj",
    "up": "model.layers.{}.mlp.up_proj",
    "down": "model.layers.{}.mlp.down_proj",
}
_LLAMA_DEFAULTS = {
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "intermediate_size": 11008,
    "hidden_act": "silu",
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}


def _llama(
    names: Mapping[str, str] = _LLAMA_NAMES, keys: Mapping[str, str] = _KEYS, **changed: Any
) -> Family:
    """A family like Llama; what is no field of a family is a default of its config.json."""
    own = {key: changed.pop(key) for key in list(changed) if key in Family.__dataclass_fields__}
    return Family(
        keys={**keys, "kv_heads": "num_key_value_heads", "head_width": "head_dim"},
        defaults={**_LLAMA_DEFAULTS, **changed},
        names=names,
        norm="rms",
        is_gated=True,
        has_rope=True,
        **own,
    )


_GEMMA = {"hidden_act": "gelu_pytorch_tanh", "vocab_size": 256000, "head_dim": 256}
_VIT_NAMES = {
    "Q": "encoder.layer.{}.attention.attention.query",
    "K": "encoder.layer.{}.attention.attention.key",
    "V": "encoder.layer.{}.attention.attention.value",
    "attention out": "encoder.layer.{}.attention.output.dense",
    "FFN1": "encoder.layer.{}.intermediate.dense",
    "FFN2": "encoder.layer.{}.output.dense",
}
_VIT = Family(
    keys=_KEYS,
    defaults={**_BERT_DEFAULTS, "image_size": 224, "patch_size": 16, "num_channels": 3},
    names=_VIT_NAMES,
    biased=("Q", "K", "V", "attention out", "FFN1", "FFN2"),
    is_causal=False,
    has_head=False,
    class_tokens=1,
)

FAMILIES: dict[str, Family] = {
    "bert": _BERT,
    "roberta": Family(**_ROBERTA),
    "xlm-roberta": Family(**_ROBERTA),
    "camembert": Family(**_ROBERTA),
    "distilbert": Family(
        keys={
            "layers": "n_layers",
            "width": "dim",
            "heads": "n_heads",
            "ffn": "hidden_dim",
            "activation": "activation",
            "vocabulary": "vocab_size",
            "positions": "max_position_embeddings",
        },
        defaults={
            "n_layers": 6,
            "dim": 768,
            "n_heads": 12,
            "hidden_dim": 3072,
            "activation": "gelu",
            "vocab_size": 30522,
            "max_position_embeddings": 512,
        },
        names={
            "Q": "transformer.layer.{}.attention.q_lin",
            "K": "transformer.layer.{}.attention.k_lin",
            "V": "transformer.layer.{}.attention.v_lin",
            "attention out": "transformer.layer.{}.attention.out_lin",
            "FFN1": "transformer.layer.{}.ffn.lin1",
            "FFN2": "transformer.layer.{}.ffn.lin2",
        },
        biased=("Q", "K", "V", "attention out", "FFN1", "FFN2"),
        is_pre_norm=False,
        is_causal=False,
        has_head=False,
        has_positions=True,
        embedding_norm=True,
        final_norm=False,
    ),
    "gpt2": Family(
        keys={
            "layers": "n_layer",
            "width": "n_embd",
            "heads": "n_head",
            "ffn": "n_inner",
            "activation": "activation_function",
            "vocabulary": "vocab_size",
            "positions": "n_positions",
        },
        defaults={
            "n_layer": 12,
            "n_embd": 768,
            "n_head": 12,
            "activation_function": "gelu_new",
            "vocab_size": 50257,
            "n_positions": 1024,
        },
        names={
            "QKV": "h.{}.attn.c_attn",
            "attention out": "h.{}.attn.c_proj",
            "FFN1": "h.{}.mlp.c_fc",
            "FFN2": "h.{}.mlp.c_proj",
        },
        biased=("QKV", "attention out", "FFN1", "FFN2"),
        has_positions=True,
    ),
    "opt": Family(
        keys={**_KEYS, "ffn": "ffn_dim", "activation": "activation_function"},
        defaults={
            "num_hidden_layers": 12,
            "hidden_size": 768,
            "num_attention_heads": 12,
            "ffn_dim": 3072,
            "activation_function": "relu",
            "vocab_size": 50272,
            "max_position_embeddings": 2048,
        },
        names={
            "Q": "decoder.layers.{}.self_attn.q_proj",
            "K": "decoder.layers.{}.self_attn.k_proj",
            "V": "decoder.layers.{}.self_attn.v_proj",
            "attention out": "decoder.layers.{}.self_attn.out_proj",
            "FFN1": "decoder.layers.{}.fc1",
            "FFN2": "decoder.layers.{}.fc2",
        },
        biased=("Q", "K", "V", "attention out", "FFN1", "FFN2"),
        has_positions=True,
        extra_positions=2,
    ),
    "llama": _llama(is_tied=False),
    "mistral": _llama(
        is_tied=False,
        has_window=True,
        intermediate_size=14336,
        num_key_value_heads=8,
        max_position_embeddings=131072,
        sliding_window=4096,
    ),
    "qwen2": _llama(
        is_tied=False,
        has_window=True,
        biased=("Q", "K", "V"),
        vocab_size=151936,
        intermediate_size=22016,
        max_position_embeddings=32768,
        use_sliding_window=False,
    ),
    "qwen3": _llama(
        is_tied=False,
        has_window=True,
        head_norm=True,
        vocab_size=151936,
        intermediate_size=22016,
        head_dim=128,
        max_position_embeddings=32768,
        use_sliding_window=False,
    ),
    "gemma": _llama(
        hidden_size=3072,
        num_hidden_layers=28,
        num_attention_heads=16,
        num_key_value_heads=16,
        intermediate_size=24576,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        **_GEMMA,
    ),
    "gemma2": _llama(
        keys={**_KEYS, "activation": "hidden_activation"},
        has_window=True,
        norms_of_layer=4,
        hidden_size=2304,
        num_hidden_layers=26,
        num_attention_heads=8,
        num_key_value_heads=4,
        intermediate_size=9216,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        sliding_window=4096,
        hidden_activation="gelu_pytorch_tanh",
        **_GEMMA,
    ),
    "phi3": _llama(
        names={
            "QKV": "model.layers.{}.self_attn.qkv_proj",
            "attention out": "model.layers.{}.self_attn.o_proj",
            "gate and up": "model.layers.{}.mlp.gate_up_proj",
            "down": "model.layers.{}.mlp.down_proj",
        },
        is_tied=False,
        has_window=True,
        vocab_size=32064,
        hidden_size=3072,
        intermediate_size=8192,
        max_position_embeddings=4096,
    ),
    "vit": _VIT,
    # A second token learns from a teacher.
    "deit": replace(_VIT, class_tokens=2),
}
"""By model_type. A new one is a row here."""

KNOWN: dict[str, dict[str, Any]] = {
    "gpt2-small": {"model_type": "gpt2"},
    "bert-base": {"model_type": "bert"},
    "llama-7b": {"model_type": "llama", "max_position_embeddings": 4096},
    "llama-2-7b": {"model_type": "llama", "max_position_embeddings": 4096},
    "llama-3-8b": {
        "model_type": "llama",
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "vocab_size": 128256,
        "max_position_embeddings": 8192,
    },
    "vit-b-16": {
        "model_type": "vit",
        "architectures": ["ViTForImageClassification"],
        "num_labels": 1000,
    },
    "deit-tiny": {
        # Without the second token of the family "deit".
        "model_type": "vit",
        "architectures": ["ViTForImageClassification"],
        "hidden_size": 192,
        "num_attention_heads": 3,
        "intermediate_size": 768,
        "num_labels": 1000,
    },
}
"""Models that need no folder: what their config.json says beside the defaults of the family."""
