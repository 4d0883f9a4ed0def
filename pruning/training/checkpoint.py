"""Checkpoints from which a killed run goes on as if nothing had happened.

A folder holds `checkpoint.json` and the tensors it names, `step-<n>.safetensors`; see
`output_folder` for how both are replaced at once.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sparse_formats.errors import InputError
from sparse_formats.files.atomic import json_text, replace_file, write_text
from sparse_formats.files.output_folder import replace_files, settle
from sparse_formats.files.reading import parsing, read_json
from sparse_formats.memory import reads

if TYPE_CHECKING:
    from torch import Tensor

INDEX = "checkpoint.json"

AGAIN = "remove the folder to begin anew"
"""What to do with a damaged checkpoint."""

_LARGEST_STATE = 2**30


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What `checkpoint.json` says. tensors: name of the file of tensors; pruner: see `Pruner`."""

    step: int
    tensors: str
    identity: dict[str, Any]
    losses: list[float]
    densities: list[float]
    pruner: dict[str, Any]


def save(
    folder: Path, step: int, tensors: "Mapping[str, Tensor]", state: Mapping[str, Any]
) -> None:
    """Write a checkpoint of `step` in place of the last one.

    Raises:
        InputError: the folder cannot be written.
    """
    from safetensors.torch import save as to_bytes

    name = f"step-{step:06d}.safetensors"
    with replace_files(folder, "checkpoint") as beside:
        with replace_file(beside / name) as file:
            # Tied tensors are given once by the caller; copies keep views from sharing memory.
            copies = {key: value.detach().to("cpu", copy=True) for key, value in tensors.items()}
            file.write(to_bytes(copies))
        write_text(beside / INDEX, json_text({"step": step, "tensors": name, **state}))


def load(folder: Path) -> "tuple[dict[str, Tensor], State] | None":
    """The tensors and state of the checkpoint in `folder`; None if there is none.

    Raises:
        InputError: a damaged checkpoint.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    settle(folder)
    index = folder / INDEX
    if not index.is_file():
        return None
    what = "the state of a checkpoint"
    state = read_json(index, State, what, _LARGEST_STATE, is_continued=True)
    file = folder / Path(state.tensors).name
    with parsing(index, "the state of a checkpoint", AGAIN):
        if not file.is_file():
            raise InputError(f"checkpoint {folder} is damaged: {file.name} is missing; {AGAIN}")
        reads(file)
    try:
        return load_file(file), state
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"checkpoint {folder} is damaged ({error}); {AGAIN}") from error
