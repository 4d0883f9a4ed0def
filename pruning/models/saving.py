"""Saving an opened model as Hugging Face does."""

from pathlib import Path

from pruning.models.opening import OpenModel, quiet


def save_model(opened: OpenModel, folder: Path) -> None:
    """Write the model, and its tokenizer where it has one, into `folder`."""
    with quiet():
        opened.model.save_pretrained(folder)
    if opened.tokenizer is not None:
        opened.tokenizer.save_pretrained(folder)
