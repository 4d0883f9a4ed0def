"""The matrices of a GGUF file, where its types say which weights are zero."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparse_formats.errors import InputError
from sparse_formats.files.layouts import LeftOut
from sparse_formats.files.matrices import Matrices, matrices
from sparse_formats.files.model_config import ModelConfig
from sparse_formats.files.readers import gguf
from sparse_formats.masks.matrix_names import kind_of
from sparse_formats.masks.selection import LEFT_ALONE
from sparse_formats.memory import reads

_ROUNDS = ("Q8_0", "Q5_0", "Q4_0")

_KEYS = {
    "expert_count": "num_local_experts",
    "expert_used_count": "num_experts_per_tok",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
}
"""Keys of the metadata, behind the architecture, and what config.json calls them."""


def read(path: Path) -> Matrices:
    """What the file holds, known but unread; weights of 8, 5 or 4 bits become float32.

    Raises:
        InputError: not such a file; one part of several; a matrix of a layer in a type that does
            not tell zeros from small weights; no matrix at all.
    """
    reads(path)
    file = gguf.read(path)
    parts = file.metadata.get("split.count", 1)
    if parts not in (0, 1):
        raise InputError(
            f"{path} is one of {parts} parts of a model; merge them with llama.cpp's "
            "llama-gguf-split --merge"
        )
    arrays, left_out = {}, []
    for name, tensor in file.tensors.items():
        if tensor.stored is not None:
            arrays[name] = tensor.stored
        elif kind_of(name) in LEFT_ALONE or len(tensor.shape) < 2:
            left_out.append(LeftOut(name, tensor.shape, tensor.why))
        else:
            raise InputError(
                f"{path}: {name} is {tensor.why}; a mask needs F32, F16, BF16, Q8_0, Q5_0 or Q4_0. "
                "The commands that run a model open this file all the same"
            )
    found = matrices(path, arrays, _config(path, file.metadata), is_model=True).leaving_out(
        left_out
    )
    if not found.contents.matrices:
        raise InputError(f"{path} holds no matrix{found.left_out_in_short}; give a model")
    return found.noting(_notes(file, found))


def read_config(path: Path) -> ModelConfig:
    """What the file says of its model.

    Raises:
        InputError: not such a file.
    """
    return _config(path, gguf.read(path).metadata)


def _config(path: Path, metadata: Mapping[str, Any]) -> ModelConfig:
    """What the metadata say that a config.json would say."""
    family = metadata.get("general.architecture")
    values = {ours: metadata.get(f"{family}.{theirs}") for theirs, ours in _KEYS.items()}
    return ModelConfig(path, {key: value for key, value in values.items() if value is not None})


def _notes(file: gguf.Gguf, found: Matrices) -> list[str]:
    """What the types and the order of rows mean for masks."""
    notes = []
    rounded = [
        file.tensors[name].type
        for name in (each.partition("[")[0] for each in found.contents.matrices)
        if file.tensors[name].type in _ROUNDS
    ]
    if rounded:
        types = ", ".join(sorted(set(rounded)))
        notes.append(
            f"{len(rounded)} matrices are stored as {types}, whose rounding makes small weights "
            "zero, so their masks may drop weights that the model kept before."
        )
    if file.metadata.get("general.architecture") == "llama":
        notes.append(
            "Rows of Q and K stand in the order of llama.cpp, inside each head in another order "
            "than in the model's own file."
        )
    return notes
