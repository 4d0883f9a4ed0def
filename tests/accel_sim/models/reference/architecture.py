"""§1 and §2: what a model is, by family, from the keys of its config.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Weights:
    """A matrix of rows × cols in each layer, or once (is_once)."""

    kind: str
    rows: int
    cols: int
    is_once: bool = False


@dataclass(frozen=True)
class Architecture:
    """Letters as on the page: width d, heads h, kv_heads g, head_width e, ffn f.

    tables: rows of each embedding. windows: of each layer. vectors: numbers of norms and biases.
    """

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    ffn: int
    matrices: Sequence[Weights]
    tables: Sequence[int]
    windows: Sequence[int | None]
    vectors: int
    is_gated: bool
    activation: str
    norm: str
    is_pre_norm: bool
    has_norms_behind: bool = False
    has_head_norms: bool = False
    has_rope: bool = False
    is_causal: bool = True
    is_tied: bool = False
    class_tokens: int = 0

    @property
    def group(self) -> int:
        return self.heads // self.kv_heads

    @property
    def is_vision(self) -> bool:
        return any(each.kind == "patch" for each in self.matrices)


def encoder(values: Mapping[str, Any]) -> Architecture:
    """BERT, RoBERTa and DistilBERT: post-norm, biases everywhere, a norm behind the embedding."""
    if values["model_type"] == "distilbert":
        d, layers, heads = values["dim"], values["n_layers"], values["n_heads"]
        f, tables = values["hidden_dim"], [values["vocab_size"], values["max_position_embeddings"]]
    else:
        d, layers = values["hidden_size"], values["num_hidden_layers"]
        heads, f = values["num_attention_heads"], values["intermediate_size"]
        tables = [
            values["vocab_size"],
            values["max_position_embeddings"],
            values.get("type_vocab_size", 2),
        ]
    matrices = [Weights(kind, d, d) for kind in ("Q", "K", "V", "attention out")]
    matrices += [Weights("FFN1", f, d), Weights("FFN2", d, f)]
    return Architecture(
        layers=layers,
        width=d,
        heads=heads,
        kv_heads=heads,
        head_width=d // heads,
        ffn=f,
        matrices=matrices,
        tables=tables,
        windows=[None] * layers,
        vectors=2 * d + layers * (2 * 2 * d + 4 * d + f + d),
        is_gated=False,
        activation="gelu",
        norm="layer",
        is_pre_norm=False,
        is_causal=False,
    )


def vision(values: Mapping[str, Any]) -> Architecture:
    """ViT and DeiT: pre-norm, biases everywhere, tokens of the class, and a head for pictures.

    DeiT has a second token, to distil with.
    """
    d, layers, f = (
        values["hidden_size"],
        values["num_hidden_layers"],
        values["intermediate_size"],
    )
    heads, side = values["num_attention_heads"], values["patch_size"]
    patches = (values["image_size"] // side) ** 2
    class_tokens = 2 if values["model_type"] == "deit" else 1
    labels = values["num_labels"] if "architectures" in values else 0
    matrices = [Weights("patch", d, 3 * side * side, is_once=True)]
    matrices += [Weights(kind, d, d) for kind in ("Q", "K", "V", "attention out")]
    matrices += [Weights("FFN1", f, d), Weights("FFN2", d, f)]
    if labels:
        matrices.append(Weights("head", labels, d, is_once=True))
    return Architecture(
        layers=layers,
        width=d,
        heads=heads,
        kv_heads=heads,
        head_width=d // heads,
        ffn=f,
        matrices=matrices,
        tables=[patches + class_tokens],
        windows=[None] * layers,
        # Tokens of the class are rows of their own, and so is the bias of the patches.
        vectors=labels + 2 * d + (class_tokens + 1) * d + layers * (2 * 2 * d + 4 * d + f + d),
        is_gated=False,
        activation="gelu",
        norm="layer",
        is_pre_norm=True,
        is_causal=False,
        class_tokens=class_tokens,
    )


def gpt2(values: Mapping[str, Any]) -> Architecture:
    d, layers, heads = values["n_embd"], values["n_layer"], values["n_head"]
    f = values.get("n_inner") or 4 * d
    return Architecture(
        layers=layers,
        width=d,
        heads=heads,
        kv_heads=heads,
        head_width=d // heads,
        ffn=f,
        matrices=[
            Weights("QKV", 3 * d, d),
            Weights("attention out", d, d),
            Weights("FFN1", f, d),
            Weights("FFN2", d, f),
            Weights("head", values["vocab_size"], d, is_once=True),
        ],
        tables=[values["vocab_size"], values["n_positions"]],
        windows=[None] * layers,
        vectors=2 * d + layers * (2 * 2 * d + 3 * d + d + f + d),
        is_gated=False,
        activation="gelu",
        norm="layer",
        is_pre_norm=True,
        is_tied=True,
    )


def opt(values: Mapping[str, Any]) -> Architecture:
    """Like GPT-2 with Q, K and V apart and ReLU; its positions begin at 2."""
    d, layers, f = values["hidden_size"], values["num_hidden_layers"], values["ffn_dim"]
    heads = values["num_attention_heads"]
    matrices = [Weights(kind, d, d) for kind in ("Q", "K", "V", "attention out")]
    matrices += [Weights("FFN1", f, d), Weights("FFN2", d, f)]
    matrices += [Weights("head", values["vocab_size"], d, is_once=True)]
    return Architecture(
        layers=layers,
        width=d,
        heads=heads,
        kv_heads=heads,
        head_width=d // heads,
        ffn=f,
        matrices=matrices,
        tables=[values["vocab_size"], values["max_position_embeddings"] + 2],
        windows=[None] * layers,
        vectors=2 * d + layers * (2 * 2 * d + 4 * d + f + d),
        is_gated=False,
        activation="relu",
        norm="layer",
        is_pre_norm=True,
        is_tied=True,
    )


def llama_like(values: Mapping[str, Any]) -> Architecture:
    """Llama, Mistral, Qwen2, Qwen3, Gemma, Gemma 2 and Phi-3: RMS norms, RoPE, a gated FFN."""
    family = values["model_type"]
    d, layers, f = (
        values["hidden_size"],
        values["num_hidden_layers"],
        values["intermediate_size"],
    )
    h, g = values["num_attention_heads"], values["num_key_value_heads"]
    e, is_gemma = values.get("head_dim", d // h), family.startswith("gemma")
    if family == "phi3":
        matrices = [Weights("QKV", (h + 2 * g) * e, d), Weights("attention out", d, h * e)]
        matrices += [Weights("gate and up", 2 * f, d)]
    else:
        matrices = [Weights("Q", h * e, d), Weights("K", g * e, d), Weights("V", g * e, d)]
        matrices += [Weights("attention out", d, h * e)]
        matrices += [Weights("gate", f, d), Weights("up", f, d)]
    matrices += [Weights("down", d, f), Weights("head", values["vocab_size"], d, is_once=True)]
    norms = 4 if family == "gemma2" else 2
    of_layer = norms * d
    if family == "qwen2":
        of_layer += (h + 2 * g) * e
    if family == "qwen3":
        of_layer += 2 * e
    window = values.get("sliding_window")
    windows: list[int | None] = [None] * layers
    if family in ("mistral", "phi3"):
        windows = [window] * layers
    if family == "gemma2":
        windows = [window if i % 2 == 0 else None for i in range(layers)]
    return Architecture(
        layers=layers,
        width=d,
        heads=h,
        kv_heads=g,
        head_width=e,
        ffn=f,
        matrices=matrices,
        tables=[values["vocab_size"]],
        windows=windows,
        vectors=d + layers * of_layer,
        is_gated=True,
        activation="gelu" if is_gemma else "silu",
        norm="rms",
        is_pre_norm=True,
        has_norms_behind=family == "gemma2",
        has_head_norms=family == "qwen3",
        has_rope=True,
        is_tied=values.get("tie_word_embeddings", is_gemma),
    )


FAMILIES = {
    "bert": encoder,
    "roberta": encoder,
    "xlm-roberta": encoder,
    "camembert": encoder,
    "distilbert": encoder,
    "vit": vision,
    "deit": vision,
    "gpt2": gpt2,
    "opt": opt,
    "llama": llama_like,
    "mistral": llama_like,
    "qwen2": llama_like,
    "qwen3": llama_like,
    "gemma": llama_like,
    "gemma2": llama_like,
    "phi3": llama_like,
}


def architecture(values: Mapping[str, Any]) -> Architecture:
    """The model of a config.json that states every key that its family has here."""
    return FAMILIES[values["model_type"]](values)
