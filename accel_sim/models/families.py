"""A transformer from its config.json: one row of the table for each family.

A key that a file leaves out has the value that transformers takes then. Source: the configuration
and modelling files of transformers 5, by family.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accel_sim.models.transformer import Activation, ModelMatrix, Norm, Transformer
from sparse_formats.errors import InputError, nearest
from sparse_formats.files.model_config import NAME, read_config

_ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_new": "gelu",
    "gelu_fast": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "gelu_python": "gelu",
    "quick_gelu": "silu",
    "silu": "silu",
    "swish": "silu",
    "relu": "relu",
}
"""What transformers calls an activation, and the one whose instructions it has."""


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


def read_model(model: str | Path) -> Transformer:
    """The model called `model`, or the one whose config.json stands in this folder.

    Raises:
        InputError: no such model or folder; a family that is not known; sizes that do not fit.
    """
    if str(model) in KNOWN:
        return transformer(KNOWN[str(model)], str(model))
    path = Path(model)
    config = read_config(path if path.is_dir() else path.parent) if path.exists() else None
    if config is None:
        raise InputError(
            f"model {str(model)!r} is neither a known one nor a folder with a {NAME}"
            f"{nearest(str(model), KNOWN)}"
        )
    return transformer(config.values, str(config.path))


def transformer(values: Mapping[str, Any], where: str) -> Transformer:
    """The model that the JSON object `values` of a config.json describes.

    Raises:
        InputError: naming the key, and `where` it stands.
    """
    name = values.get("model_type")
    if not isinstance(name, str) or name not in FAMILIES:
        raise InputError(
            f"{where}: model_type is {name!r}, a family whose operators are not known; "
            f"give a model of {', '.join(FAMILIES)}"
        )
    family = FAMILIES[name]
    return _Reading({**family.defaults, **values}, family, name, where).transformer()


@dataclass(frozen=True)
class _Reading:
    values: Mapping[str, Any]
    family: Family
    name: str
    where: str

    def transformer(self) -> Transformer:
        family = self.family
        layers, width, heads = self.count("layers"), self.count("width"), self.count("heads")
        kv_heads = self.count("kv_heads", heads)
        if heads % kv_heads:
            raise self.error("kv_heads", f"is {kv_heads}, which does not divide the {heads} heads")
        head_width = self.count("head_width", width // heads)
        if "head_width" not in family.keys and width % heads:
            raise self.error("heads", f"is {heads}, which does not divide the width {width}")
        ffn = self.count("ffn", 4 * width)
        self.refuse_other_layers()
        sizes = _Sizes(width, heads * head_width, kv_heads * head_width, ffn, family.is_gated)
        matrices = [
            ModelMatrix(pattern.format(i), kind, i, *sizes.of(kind))
            for i in range(layers)
            for kind, pattern in family.names.items()
        ]
        head_rows, tied = self.head()
        positions = (
            None if family.is_vision else self.count("positions") - family.reserved_positions
        )
        patch = self.patch()
        if patch:
            matrices.insert(0, ModelMatrix("patch_embedding", "patch", None, width, patch))
        if head_rows:
            matrices.append(ModelMatrix("lm_head", "head", None, head_rows, width))
        activation = self.value("activation")
        if activation not in _ACTIVATIONS:
            raise self.error("activation", f"is {activation!r}, which is not known")
        return Transformer(
            family=self.name,
            layers=layers,
            width=width,
            heads=heads,
            kv_heads=kv_heads,
            head_width=head_width,
            ffn=ffn,
            is_gated=family.is_gated,
            activation=_ACTIVATIONS[activation],
            norm=family.norm,
            is_pre_norm=family.is_pre_norm,
            has_rope=family.has_rope,
            is_causal=family.is_causal,
            embedding_rows=self.tables(),
            embedding_width=width,
            head_rows=head_rows,
            is_tied=tied,
            matrices=tuple(matrices),
            vectors=self.vectors(layers, width, head_width, sizes),
            embedding_norm=family.embedding_norm,
            final_norm=family.final_norm,
            head_norm=family.head_norm,
            norms_behind=family.norms_of_layer == 4,
            patch=patch,
            class_tokens=family.class_tokens,
            most_tokens=self.image_tokens() if family.is_vision else positions,
            window=self.window(layers),
        )

    def value(self, key: str) -> Any:
        return self.values.get(self.family.keys.get(key, key))

    def count(self, key: str, otherwise: int | None = None) -> int:
        found = self.value(key)
        found = otherwise if found is None else found
        if type(found) is not int or not 1 <= found <= 2**31:
            raise self.error(key, f"is {found!r}; give a whole number from 1 up")
        return found

    def error(self, key: str, words: str) -> InputError:
        return InputError(f"{self.where}: {self.family.keys.get(key, key)} {words}")

    def refuse_other_layers(self) -> None:
        """Layers that are not those of the contract."""
        width, projected = self.value("width"), self.value("word_embed_proj_dim")
        if projected not in (None, width):
            raise self.error("word_embed_proj_dim", f"is {projected}, another width than {width}")
        if self.value("do_layer_norm_before") is False:
            raise self.error("do_layer_norm_before", "is false, which is not modelled")
        for key in ("add_cross_attention", "is_decoder"):
            if self.value(key) is True and not self.family.is_causal:
                raise self.error(key, "is true; an encoder that decodes is not modelled")

    def head(self) -> tuple[int, bool]:
        """Outputs of the head, and whether it is the table of tokens."""
        if self.family.has_head:
            tied = self.values.get("tie_word_embeddings", self.family.is_tied)
            return self.count("vocabulary"), bool(tied)
        classes = self.values.get("architectures")
        is_classifier = isinstance(classes, list) and any(
            str(each).endswith("ForImageClassification") for each in classes
        )
        if not (self.family.is_vision and is_classifier):
            return 0, False
        labels = self.values.get("id2label")
        return (len(labels) if isinstance(labels, dict) else self.count("num_labels")), False

    def tables(self) -> tuple[int, ...]:
        """Rows of each table that is looked up."""
        family = self.family
        if family.is_vision:
            return (self.image_tokens(),)
        rows = [self.count("vocabulary")]
        if family.has_positions:
            rows.append(self.count("positions") + family.extra_positions)
        if family.segments is not None and (segments := self.value(family.segments)):
            rows.append(segments)
        return tuple(rows)

    def patch(self) -> int:
        if not self.family.is_vision:
            return 0
        return self.count("num_channels") * self.count("patch_size") ** 2

    def image_tokens(self) -> int:
        """Patches of the image, and the tokens of its class."""
        return (
            self.family.class_tokens + (self.count("image_size") // self.count("patch_size")) ** 2
        )

    def window(self, layers: int) -> tuple[int | None, ...]:
        size = self.values.get("sliding_window")
        if not self.family.has_window or self.values.get("use_sliding_window") is False or not size:
            return ()
        kinds = self.values.get("layer_types")
        if isinstance(kinds, list) and len(kinds) == layers:
            return tuple(size if kind == "sliding_attention" else None for kind in kinds)
        if self.name == "gemma2":
            return tuple(None if layer % 2 else size for layer in range(layers))
        first = self.values.get("max_window_layers", 0) if "qwen" in self.name else 0
        return tuple(size if layer >= first else None for layer in range(layers))

    def vectors(self, layers: int, width: int, head_width: int, sizes: "_Sizes") -> int:
        """Numbers of all norms and biases."""
        family = self.family
        of_norm = width * (2 if family.norm == "layer" else 1)
        biased = list(family.biased)
        if self.values.get("attention_bias") is True:
            biased += [kind for kind in ("Q", "K", "V", "attention out") if kind in family.names]
        biases = sum(sizes.of(kind)[0] for kind in dict.fromkeys(biased))
        norms = family.norms_of_layer * of_norm + (2 * head_width if family.head_norm else 0)
        outer = (family.embedding_norm + family.final_norm) * of_norm
        if family.is_vision:  # the tokens of the class, and the biases of patches and head
            outer += (family.class_tokens + 1) * width + self.head()[0]
        return layers * (biases + norms) + outer


@dataclass(frozen=True)
class _Sizes:
    """Widths of a layer: of the residual stream, of all query and all key-value heads, of FFN."""

    width: int
    queries: int
    keys: int
    ffn: int
    is_gated: bool

    def of(self, kind: str) -> tuple[int, int]:
        """Outputs and inputs of the layer's matrix of this kind."""
        return {
            "Q": (self.queries, self.width),
            "K": (self.keys, self.width),
            "V": (self.keys, self.width),
            "QKV": (self.queries + 2 * self.keys, self.width),
            "attention out": (self.width, self.queries),
            "FFN1": (self.ffn, self.width),
            "gate": (self.ffn, self.width),
            "up": (self.ffn, self.width),
            "gate and up": (2 * self.ffn, self.width),
            "down": (self.width, self.ffn),
            "FFN2": (self.width, self.ffn),
        }[kind]
