"""Safetensors read from their raw bytes, one matrix at a time, bfloat16 included.

Source: the safetensors format: 8 bytes header length (little endian), a JSON header of name →
dtype, shape, data_offsets, then the data.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.readers.size_limits import check_shape

_DTYPES = {
    "BOOL": "|b1",
    "I8": "|i1",
    "U8": "|u1",
    "I16": "<i2",
    "U16": "<u2",
    "I32": "<i4",
    "U32": "<u4",
    "I64": "<i8",
    "U64": "<u8",
    "F16": "<f2",
    "BF16": "<u2",
    "F32": "<f4",
    "F64": "<f8",
}
_LONGEST_HEADER = 100 * 10**6


@dataclass(frozen=True)
class _Tensor:
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_metadata(path: Path) -> dict[str, str]:
    """The texts that a .safetensors file says of itself; none if it says nothing.

    Raises:
        InputError: not such a file, or cut short.
    """
    header, _ = _header(path)
    said = header.get("__metadata__")
    return {k: v for k, v in said.items() if isinstance(v, str)} if isinstance(said, dict) else {}


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """All tensors of a .safetensors file, of however many dimensions; otherwise as `read_file`."""
    return _read(path, None, is_matrix_only=False)


def read_file(path: Path) -> dict[str, NDArray[Any]]:
    """All 2-D tensors of a .safetensors file, by name, in file order, as stored.

    bfloat16 becomes float32, which holds every bfloat16 exactly.

    Raises:
        InputError: not such a file, cut short, no 2-D tensor inside, an element type without a
            NumPy equivalent.
    """
    return _read(path, None)


def read_directory(path: Path) -> dict[str, NDArray[Any]]:
    """All 2-D tensors of a Hugging Face model directory, whole or sharded; as `read_file`."""
    arrays: dict[str, NDArray[Any]] = {}
    for file, names in _shards(path):
        arrays.update(_read(file, names))
    return arrays


def _shards(path: Path) -> list[tuple[Path, frozenset[str] | None]]:
    """The files that hold the model, each with the tensors to take from it (None: all)."""
    if (path / "model.safetensors").is_file():
        return [(path / "model.safetensors", None)]
    index = path / "model.safetensors.index.json"
    if index.is_file():
        return _indexed(index)
    files = sorted(path.glob("*.safetensors"))
    if files:
        return [(file, None) for file in files]
    if any(path.glob("*.bin")) or any(path.glob("*.pt")):
        raise InputError(
            f"{path} holds a PyTorch pickle, which may run code when read, and no .safetensors; "
            "load it with transformers and save_pretrained(..., safe_serialization=True)"
        )
    raise InputError(
        f"{path} holds no model.safetensors, model.safetensors.index.json or other .safetensors "
        "file; give a Hugging Face model directory"
    )


def _indexed(index: Path) -> list[tuple[Path, frozenset[str] | None]]:
    try:
        weight_map = json.loads(index.read_text())["weight_map"]
        shards = {str(file): set[str]() for file in weight_map.values()}
        for name, file in weight_map.items():
            shards[str(file)].add(name)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{index} is not an index of shards ({type(error).__name__}: {error}); "
            "it needs a weight_map from tensor names to files"
        ) from error
    for file in shards:
        if Path(file).name != file or not (index.parent / file).is_file():
            raise InputError(
                f"{index} names the shard {file!r}, which is not in {index.parent}; "
                "download all shards"
            )
    return [(index.parent / file, frozenset(names)) for file, names in sorted(shards.items())]


def _read(
    path: Path, names: frozenset[str] | None, is_matrix_only: bool = True
) -> dict[str, NDArray[Any]]:
    header, data_start = _header(path)
    missing = sorted((names or frozenset()) - header.keys())
    if missing:
        raise InputError(f"{path}: tensor {missing[0]} is in the index but not in this shard")
    arrays: dict[str, NDArray[Any]] = {}
    with path.open("rb") as file:
        for name, entry in header.items():
            if name == "__metadata__" or (names is not None and name not in names):
                continue
            tensor = _checked(path, name, entry, path.stat().st_size - data_start)
            if len(tensor.shape) == 2:
                check_shape(path, name, *tensor.shape)
            elif is_matrix_only:
                continue
            if tensor.dtype not in _DTYPES:
                raise InputError(
                    f"{path}: tensor {name} has element type {tensor.dtype}; "
                    f"known: {', '.join(_DTYPES)}; convert it, e.g. to F16"
                )
            file.seek(data_start + tensor.begin)
            raw = np.fromfile(file, _DTYPES[tensor.dtype], math.prod(tensor.shape))
            arrays[name] = _native(raw, tensor.dtype).reshape(tensor.shape)
    if not arrays and names is None and is_matrix_only:
        raise InputError(f"{path} holds no 2-D tensor; give a file with weight matrices")
    return arrays


def _header(path: Path) -> tuple[Mapping[str, Any], int]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _LONGEST_HEADER):
            raise InputError(
                f"{path}: the file has {size} bytes, but its header claims {length}; it is cut "
                "short or not a .safetensors file; download it again"
            )
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: the header is not JSON ({error}); give a sound .safetensors file"
        ) from error
    if not isinstance(header, dict):
        raise InputError(f"{path}: the header is not a JSON object; give a .safetensors file")
    return header, 8 + length


def _checked(path: Path, name: str, entry: Any, data_bytes: int) -> _Tensor:
    try:
        begin, end = entry["data_offsets"]
        tensor = _Tensor(str(entry["dtype"]), tuple(entry["shape"]), begin, end)
        whole = all(isinstance(n, int) and n >= 0 for n in (*tensor.shape, begin, end))
    except (TypeError, ValueError, KeyError):
        whole, tensor = False, None
    if tensor is None or not whole or tensor.begin > tensor.end:
        raise InputError(f"{path}: tensor {name} has no valid dtype, shape or data_offsets")
    if tensor.end > data_bytes:
        raise InputError(
            f"{path}: tensor {name} ends at byte {tensor.end} of {data_bytes}; "
            "the file is cut short; download it again"
        )
    if tensor.dtype in _DTYPES:
        needed = math.prod(tensor.shape) * np.dtype(_DTYPES[tensor.dtype]).itemsize
        if needed != tensor.end - tensor.begin:
            raise InputError(
                f"{path}: tensor {name} of shape {tensor.shape} {tensor.dtype} needs {needed} "
                f"bytes but has {tensor.end - tensor.begin}; the file is damaged"
            )
    return tensor


def _native(raw: NDArray[Any], dtype: str) -> NDArray[Any]:
    if dtype == "BF16":
        # bfloat16 is the upper half of a float32.
        return (raw.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return raw.astype(raw.dtype.newbyteorder("="), copy=False)
