"""The head counts that a model's files, or a mask file's header, state."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pruning.models import glassllm
from pruning.structure.heads import Heads, check_heads, heads_of_config
from sparse_formats.errors import InputError


def read_heads(model: Path) -> Heads | None:
    """The head counts that a Hugging Face directory's config.json, or glassllm's .npz, states.

    None where there is no such thing, or it states no one number.

    Raises:
        InputError: the file is unreadable or its counts are no counts.
    """
    if glassllm.recognises(model):
        return heads_of_config(glassllm.read_config(model), str(model))
    path = model / "config.json"
    if not path.is_file():
        return None
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise InputError(f"{path} holds no JSON object; give a model's configuration")
    return heads_of_config(config, str(path))


def heads_with(mask: Path, header: Mapping[str, Any]) -> Heads | None:
    """The head counts that come with a mask: those of a model's directory, or its file's `header`.

    Raises:
        InputError: as `read_heads`, or the header's are none.
    """
    found = read_heads(mask)
    if found is not None or header.get("heads") is None:
        return found
    try:
        return check_heads(msgspec.convert(header["heads"], Heads), str(mask))
    except msgspec.ValidationError as error:
        raise InputError(f"{mask}: the heads in its header are none: {error}") from error
