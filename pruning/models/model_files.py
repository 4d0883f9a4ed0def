"""What a model's files say of it without opening it: its name, and its head counts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pruning.models import glassllm
from pruning.structure.heads import Heads, check_heads, heads_of_config
from sparse_formats.errors import InputError
from sparse_formats.files.gguf_model import read_config as gguf_config
from sparse_formats.files.model_config import read_config


def model_name(path: Path) -> str:
    """What mask files call the model at `path`: a file's name, a folder's with its parent's.

    Many model folders are called "model" or by a revision; the whole path is the user's own.
    """
    whole = path.resolve()
    return "/".join(whole.parts[1:][-2:]) if whole.is_dir() else whole.name


def read_heads(model: Path) -> Heads | None:
    """The head counts that a model's config.json, or glassllm's .npz, states.

    None where there is no such thing, or it states no one number.

    Raises:
        InputError: the file is unreadable or its counts are no counts.
    """
    if glassllm.recognises(model):
        return heads_of_config(glassllm.read_config(model), str(model))
    config = gguf_config(model) if model.suffix.lower() == ".gguf" else read_config(model)
    return None if config is None else heads_of_config(config.values, str(config.path))


def heads_in(header: Mapping[str, Any], where: str = "masks") -> Heads | None:
    """The head counts that the header of masks states; None where it states none.

    Raises:
        InputError: its counts are no counts; `where` tells whose they are.
    """
    if header.get("heads") is None:
        return None
    try:
        return check_heads(msgspec.convert(header["heads"], Heads), where)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: its header has no valid numbers of heads: {error}") from error


def heads_with(mask: Path, header: Mapping[str, Any]) -> Heads | None:
    """The head counts that come with a mask: those of its config.json, or its file's `header`.

    Raises:
        InputError: as `read_heads` and `heads_in`.
    """
    found = read_heads(mask)
    return heads_in(header, str(mask)) if found is None else found
