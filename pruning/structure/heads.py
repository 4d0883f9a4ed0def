"""How attention is cut into heads, as a model's configuration says it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from sparse_formats.errors import InputError

QKV = Literal["stacked", "by_head", "unknown"]
"""How one matrix holds Q, K and V: all of Q, then K, then V (GPT-2, MPT, Phi-3, ModernBERT; also
where all heads share one key and value); or for each key-value head its queries, its key and its
value (GPT-NeoX, BLOOM, Falcon)."""


@dataclass(frozen=True)
class Heads:
    """How attention is cut: query heads, and the key-value heads they share (as many, or fewer).

    width: the lines of one head, where layers have different numbers of heads (and key-value heads
        of their own); each layer's are then counted by it.
    qkv: how a matrix that holds Q, K and V is laid out, where there is one.
    """

    heads: int
    key_value_heads: int
    width: int | None = None
    qkv: QKV = "stacked"


def heads_of_config(config: Mapping[str, Any], where: str) -> Heads | None:
    """The head counts that a model's configuration states; None where there is no one number.

    Raises:
        InputError: its counts are no counts; `where` tells whose they are.
    """
    key = next((key for key in _HEAD_KEYS if config.get(key) is not None), None)
    if key is None:
        return None
    heads = config[key]
    counts = [heads, _key_value_heads(config) or heads]
    # Layers that differ, or encoder and decoder.
    if list in map(type, counts) or config.get("decoder_attention_heads", heads) != heads:
        return None
    if not all(type(count) is int for count in counts):
        raise InputError(f"{where}: {counts} are not numbers of attention heads")
    found = check_heads(Heads(counts[0], counts[1], qkv=_qkv(config)), where)
    if config.get("layer_heads") is None:
        return found
    # Of a folder that `shrink --own-code` wrote: the number above is that of the model before.
    hidden = next((config[key] for key in ("hidden_size", "dim") if key in config), None)
    if type(hidden) is not int or hidden < found.heads or hidden % found.heads:
        raise InputError(
            f"{where}: hidden size {hidden} cannot be divided into {found.heads} equal heads"
        )
    return replace(found, width=hidden // found.heads)


def check_heads(heads: Heads, where: str) -> Heads:
    """`heads`; InputError naming `where` unless each key-value head serves as many heads."""
    if heads.heads < 1 or heads.key_value_heads < 1 or heads.heads % heads.key_value_heads:
        raise InputError(
            f"{where}: {heads.heads} heads cannot share {heads.key_value_heads} key-value heads; "
            "the second number must divide the first"
        )
    return heads


_HEAD_KEYS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads")
_HEAD_KEYS += ("attention_heads",)
"""What families call the number of heads: Llama and BERT, GPT-2, DistilBERT, T5, BART, XGLM."""

_BY_HEAD = ("gpt_neox", "gpt_neox_japanese", "bloom", "persimmon", "deberta")


def _key_value_heads(config: Mapping[str, Any]) -> Any:
    family, shared = config.get("model_type"), config.get("multi_query", True)
    if family == "falcon" and config.get("new_decoder_architecture"):
        return config.get("num_kv_heads")
    if family in ("falcon", "gpt_bigcode"):
        return 1 if shared else None
    return config.get("num_key_value_heads", config.get("n_kv_heads"))


def _qkv(config: Mapping[str, Any]) -> QKV:
    family = config.get("model_type")
    if family == "codegen":  # in four parts, each of which holds Q, V and K of its heads
        return "unknown"
    shared = config.get("multi_query", True)
    if family == "falcon":
        return "by_head" if config.get("new_decoder_architecture") or not shared else "stacked"
    if family == "gpt_bigcode":
        return "stacked" if shared else "by_head"
    return "by_head" if family in _BY_HEAD else "stacked"
