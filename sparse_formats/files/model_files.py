"""Which files make up a model: one file, or the shards that an index or their names list."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse_formats.errors import InputError
from sparse_formats.files.readers import safetensors
from sparse_formats.files.readers.stored import Stored
from sparse_formats.files.reading import JSON_BYTES, content, parsing
from sparse_formats.memory import claim

WHOLE = "model.safetensors"
_LARGEST_INDEX = 100 * 10**6
INDEX = ".safetensors.index.json"
_SHARD = re.compile(r"(.*)-(\d{1,6})-of-(\d{1,6})\.safetensors", re.IGNORECASE)
_ENDING = ".safetensors"


@dataclass(frozen=True)
class ModelFiles:
    """shards: files of tensors, each with the names to take from it (None: all). index: the file
    that lists them, if there is one. ignored: other files of matrices in the folder."""

    shards: tuple[tuple[Path, frozenset[str] | None], ...]
    index: Path | None = None
    ignored: tuple[Path, ...] = ()

    @property
    def read(self) -> tuple[Path, ...]:
        """Every file that is read."""
        return tuple(file for file, _ in self.shards) + ((self.index,) if self.index else ())


def is_index(path: Path) -> bool:
    """Whether the file is named as an index of shards is."""
    return path.name.lower().endswith(INDEX)


def model_files(path: Path) -> ModelFiles:
    """The files of the model in a folder, or of an index of shards.

    Raises:
        InputError: no file of tensors, an index that is none, a shard missing, two copies.
    """
    if not path.is_dir():
        return ModelFiles(_indexed(path), path)
    files = sorted(file for file in path.iterdir() if file.suffix.lower() == _ENDING)
    index = path / f"model{INDEX}"
    whole = next((file for file in files if file.name == WHOLE), None)
    if whole is not None and index.is_file():
        raise InputError(
            f"{path} holds {WHOLE} and {index.name}, two copies of one model; "
            "give one of the two files, or remove one copy"
        )
    if index.is_file():
        shards = _indexed(index)
    elif whole is not None:
        shards = ((whole, None),)
    elif files:
        for file in files:
            _check_name(path, file)
        _check_complete(path, files)
        shards = tuple((file, None) for file in files)
    else:
        raise _nothing(path)
    taken = {file for file, _ in shards}
    ignored = tuple(file for file in files if file not in taken)
    _check_no_copy(path, shards, ignored)
    return ModelFiles(shards, index if index.is_file() else None, ignored)


def read_tensors(files: ModelFiles) -> dict[str, Stored]:
    """The tensors of all files by name, unread.

    Raises:
        InputError: a file that is none; a tensor that stands in two of them.
    """
    found: dict[str, Stored] = {}
    for file, names in files.shards:
        found |= safetensors.stored(file, names)
    return found


def _check_no_copy(
    path: Path,
    shards: tuple[tuple[Path, frozenset[str] | None], ...],
    ignored: tuple[Path, ...],
) -> None:
    """Refuse a tensor that stands in two files of a folder."""
    owners: dict[str, Path] = {}
    for file, names in (*shards, *((file, None) for file in ignored)):
        for name in safetensors.stored(file, names):
            if name in owners:
                raise InputError(
                    f"{path}: {owners[name].name} and {file.name} both hold {name}, so the folder "
                    "holds two copies of a model; give one of the files, or remove one copy"
                )
            owners[name] = file


def _check_name(path: Path, file: Path) -> None:
    if re.search(r"zero_pp_rank_\d+|mp_rank_\d+", file.name):
        raise InputError(
            f"{path}: {file.name} is one process's shard of a DeepSpeed checkpoint; "
            "gather the shards with zero_to_fp32.py and give the model it writes"
        )


def _check_complete(path: Path, files: list[Path]) -> None:
    """Refuse shards NAME-I-of-N.safetensors that are not all N."""
    numbers: dict[tuple[str, int], set[int]] = {}
    for file in files:
        if match := _SHARD.fullmatch(file.name):
            numbers.setdefault((match[1], int(match[3])), set()).add(int(match[2]))
    for (stem, count), found in numbers.items():
        missing = next((n for n in range(1, count + 1) if n not in found), None)
        if missing is not None:
            raise InputError(
                f"{path}: shard {missing} of {count} of {stem} is missing; download all shards"
            )


def shards_of(index: Path) -> tuple[Path, ...]:
    """The files that an index of shards lists, whatever they are.

    Raises:
        InputError: it is no index, or a file is not in its folder.
    """
    return tuple(file for file, _ in _indexed(index))


def _indexed(index: Path) -> tuple[tuple[Path, frozenset[str] | None], ...]:
    what = "an index of shards, with a weight_map from the names of tensors to files"
    text = content(index, what, _LARGEST_INDEX)
    claim(index, JSON_BYTES * len(text), "reading its JSON")
    with parsing(index, what, "download it again"):
        found = json.loads(text, object_pairs_hook=lambda p: safetensors.unique(index, p))
        weight_map: Mapping[str, Any] = found["weight_map"]
        shards = {str(file): set[str]() for file in weight_map.values()}
        for name, file in weight_map.items():
            shards[str(file)].add(name)
    for file in shards:
        if Path(file).name != file or not (index.parent / file).is_file():
            raise InputError(
                f"{index} names the shard {file!r}, which is not in {index.parent}; "
                "download all shards"
            )
    return tuple((index.parent / file, frozenset(names)) for file, names in sorted(shards.items()))


def _nothing(path: Path) -> InputError:
    if any(path.rglob("*zero_pp_rank_*")) or (path / "zero_to_fp32.py").is_file():
        return InputError(
            f"{path} is a DeepSpeed checkpoint of several processes; gather its shards with "
            "zero_to_fp32.py and give the model it writes"
        )
    if any(path.glob("*.bin")) or any(path.glob("*.pt")):
        return InputError(
            f"{path} holds a PyTorch pickle, which may run code when read, and no .safetensors; "
            f"convert it first: python -m pruning convert {path} --out {path.name}.npz"
        )
    return InputError(
        f"{path} holds no model.safetensors, model.safetensors.index.json or other .safetensors "
        "file; give a Hugging Face model directory"
    )
