"""Saving an opened model as Hugging Face does."""

import stat
from pathlib import Path

from pruning.models.opening import OpenModel, quiet
from pruning.models.order import order_of, write_permutation
from sparse_formats.errors import InputError


def save_model(opened: OpenModel, folder: Path) -> None:
    """Write the model into `folder`, with its tokenizer and permutation where it has them.

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
        if (permutation := order_of(opened.model)) is not None:
            write_permutation(folder, permutation)
    except Exception as error:
        # safetensors and tokenizers raise errors of their own, with what the system said as text.
        if isinstance(error, OSError) or "(os error " not in str(error):
            raise
        raise InputError(f"cannot write the model: {error}; free some space") from error
