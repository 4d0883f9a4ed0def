"""glassllm's `.npz` of weights as a Llama of transformers, tokenizer included.

The file holds `__config__` (JSON) and parameters stored (in, out); its tokenizer lies beside it as
`<stem>.tokenizer.json`. glassllm turns neighbouring dimensions of a head by rotary angles, Llama
the two halves: the rows of Q and K are permuted accordingly, and then logits agree.

Source: the package glassllm 0.1.0 (config.py, nn.py, tokenizer.py).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.readers.npz import open_npz
from sparse_formats.files.reading import parsing, read_json

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

_LAYER_MATRICES = {
    "attn.W_Q": "self_attn.q_proj",
    "attn.W_K": "self_attn.k_proj",
    "attn.W_V": "self_attn.v_proj",
    "attn.W_O": "self_attn.o_proj",
    "ffn.W1": "mlp.gate_proj",
    "ffn.W3": "mlp.up_proj",
    "ffn.W2": "mlp.down_proj",
}
_LAYER_NORMS = {"norm1.gamma": "input_layernorm", "norm2.gamma": "post_attention_layernorm"}
_SPECIALS = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>"}


def recognises(path: Path) -> bool:
    """Whether `path` is an .npz with glassllm's `__config__` in it."""
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    with open_npz(path) as archive:
        return "__config__" in archive.headers


def read_config(path: Path) -> dict[str, Any]:
    """What the file says of the model's sizes.

    Raises:
        InputError: its `__config__` is damaged.
    """
    with open_npz(path) as archive:
        return _config(archive.text("__config__"), path)


def load(
    path: Path,
) -> "tuple[LlamaForCausalLM, dict[str, str], dict[str, NDArray[np.intp]]]":
    """The model in float32, the file's names by ours, and the row order of Q and K.

    Raises:
        InputError: the file is damaged or lacks a parameter.
    """
    with parsing(path, "a model of glassllm", "write it again"):
        return _load(path)


def _load(
    path: Path,
) -> "tuple[LlamaForCausalLM, dict[str, str], dict[str, NDArray[np.intp]]]":
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    arrays, config = _read(path)
    heads, layers = config["n_heads"], config["n_layers"]
    # Before memory is given to what the sizes claim.
    last, embedding = f"blocks.{layers - 1}.ffn.W1", _found(arrays, "E", path)
    if embedding.shape != (config["vocab_size"], config["d_model"]) or last not in arrays:
        raise InputError(f"{path}: its arrays do not fit the sizes in its __config__")
    hidden = _found(arrays, "blocks.0.ffn.W1", path).shape[1]
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config["vocab_size"],
            hidden_size=config["d_model"],
            intermediate_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=config["n_kv_heads"],
            head_dim=config["d_model"] // heads,
            max_position_embeddings=config["max_len"],
            rms_norm_eps=config["eps"],
            rope_parameters={"rope_type": "default", "rope_theta": config["rope_base"]},
            tie_word_embeddings=True,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=3,
        )
    )
    parameters = {"model.embed_tokens.weight": "E", "model.norm.weight": "norm_f.gamma"}
    orders: dict[str, NDArray[np.intp]] = {}
    for layer in range(layers):
        for theirs, ours in _LAYER_NORMS.items():
            parameters[f"model.layers.{layer}.{ours}.weight"] = f"blocks.{layer}.{theirs}"
        for theirs, ours in _LAYER_MATRICES.items():
            name = f"model.layers.{layer}.{ours}.weight"
            parameters[name] = f"blocks.{layer}.{theirs}"
            if theirs in ("attn.W_Q", "attn.W_K"):
                count = heads if theirs == "attn.W_Q" else config["n_kv_heads"]
                orders[name] = half_split(count, config["d_model"] // heads)
    state = dict(model.state_dict())
    for ours, theirs in parameters.items():
        array = _found(arrays, theirs, path).astype(np.float32)
        # Only matrices of layers are stored (in, out).
        upright = array.T if theirs.split(".")[-1].startswith("W") else array
        ordered = upright[orders[ours]] if ours in orders else upright
        if ordered.shape != state[ours].shape:
            raise InputError(
                f"{path}: {theirs} is {array.shape}, which does not fit its __config__"
            )
        state[ours] = torch.from_numpy(np.ascontiguousarray(ordered))
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)
    return model.eval(), parameters, orders


def half_split(heads: int, head_dim: int) -> NDArray[np.intp]:
    """The interleaved row that stands at each half-split row: 0, 2, 4, …, 1, 3, 5, … per head."""
    within = np.concatenate([np.arange(0, head_dim, 2), np.arange(1, head_dim, 2)])
    return (np.arange(heads)[:, None] * head_dim + within).ravel()


class _Tokenizer(msgspec.Struct):
    merges: list[tuple[str, str]]
    alphabet: list[str]


_LARGEST = 100 * 10**6


def tokenizer(path: Path) -> "PreTrainedTokenizerFast | None":
    """The byte-pair tokenizer beside the weights at `path`; None if there is none."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    file = path.with_name(f"{path.stem}.tokenizer.json")
    if not file.is_file():
        return None
    data = read_json(file, _Tokenizer, "a tokenizer of glassllm", _LARGEST)
    words = [*_SPECIALS.values(), *data.alphabet, *(a + b for a, b in data.merges)]
    vocabulary = {word: i for i, word in enumerate(words)}
    bpe = Tokenizer(models.BPE(vocab=vocabulary, merges=data.merges, unk_token="<unk>"))
    bpe.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(" ", "▁")])  # type: ignore[assignment]
    bpe.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n|▁*[^▁\n]+|▁+"), "isolated")  # type: ignore[assignment]
    bpe.decoder = decoders.Replace("▁", " ")  # type: ignore[assignment]
    # Text is text: a corpus that spells "<unk>" does not mean the token.
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, split_special_tokens=True, model_max_length=10**9, **_SPECIALS
    )


def _read(path: Path) -> tuple[Mapping[str, NDArray[Any]], dict[str, Any]]:
    with open_npz(path) as archive:
        arrays = {key: archive.read(key) for key in archive.headers}
        return arrays, _config(archive.text("__config__"), path)


def _config(said: str, path: Path) -> dict[str, Any]:
    wanted = ("n_heads", "n_kv_heads", "n_layers", "d_model", "vocab_size", "max_len")
    try:
        config = json.loads(said)
        whole = {key: int(config[key]) for key in wanted}
        rest = {key: float(config[key]) for key in ("eps", "rope_base")}
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"{path}: its __config__ is damaged: {error}") from error
    return {**whole, **rest}


def _found(arrays: Mapping[str, NDArray[Any]], name: str, path: Path) -> NDArray[Any]:
    if name not in arrays:
        raise InputError(f"{path}: parameter {name} is missing; give a whole glassllm model")
    return arrays[name]
