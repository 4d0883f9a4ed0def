"""Saving an opened model as Hugging Face does."""

from pathlib import Path

from pruning.models.opening import OpenModel, quiet
from sparse_formats.errors import InputError


def save_model(opened: OpenModel, folder: Path) -> None:
    """Write the model, and its tokenizer where it has one, into `folder`.

    Raises:
        InputError: the disk is full.
    """
    from safetensors import SafetensorError

    try:
        with quiet():
            opened.model.save_pretrained(folder)
    except SafetensorError as error:
        raise InputError(f"cannot write the model: {error}; free some space") from error
    if opened.tokenizer is not None:
        opened.tokenizer.save_pretrained(folder)
