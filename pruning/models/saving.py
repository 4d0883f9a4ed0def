"""Saving an opened model as Hugging Face does."""

import stat
from pathlib import Path

from pruning.models.opening import OpenModel, quiet
from sparse_formats.errors import InputError


def save_model(opened: OpenModel, folder: Path) -> None:
    """Write the model, and its tokenizer where it has one, into `folder`.

    Raises:
        InputError: the disk is full.
    """
    try:
        with quiet():
            opened.model.save_pretrained(folder)
        for weights in folder.glob("*.safetensors"):
            # safetensors lets nobody else read its files, whatever the umask says.
            weights.chmod(stat.S_IMODE((folder / "config.json").stat().st_mode))
        if opened.tokenizer is not None:
            opened.tokenizer.save_pretrained(folder)
    except Exception as error:
        # safetensors and tokenizers raise errors of their own, with what the system said as text.
        if isinstance(error, OSError) or "(os error " not in str(error):
            raise
        raise InputError(f"cannot write the model: {error}; free some space") from error
