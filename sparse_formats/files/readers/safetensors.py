"""Safetensors read from their raw bytes, one matrix at a time, bfloat16 included.

Source: the safetensors format: 8 bytes header length (little endian), a JSON header of name →
dtype, shape, data_offsets, then the data.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.readers.size_limits import bytes_of, check_shape
from sparse_formats.files.readers.special_files import check_regular
from sparse_formats.files.readers.stored import Stored
from sparse_formats.memory import claim

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
_JSON_BYTES = 24


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
    return {name: tensor.read() for name, tensor in stored(path).items()}


def read_file(path: Path) -> dict[str, NDArray[Any]]:
    """All 2-D tensors of a .safetensors file, by name, in file order, as stored.

    bfloat16 becomes float32, which holds every bfloat16 exactly.

    Raises:
        InputError: not such a file, cut short, no 2-D tensor inside, an element type without a
            NumPy equivalent.
    """
    arrays = {name: t.read() for name, t in stored(path).items() if t.axes == 2}
    if not arrays:
        raise InputError(f"{path} holds no 2-D tensor; give a file with weight matrices")
    return arrays


def stored(path: Path, names: frozenset[str] | None = None) -> dict[str, Stored]:
    """All tensors of a .safetensors file by name, unread; only `names` where they are given.

    Raises:
        InputError: not such a file, cut short, a tensor of `names` missing; when a tensor is read:
            an element type without a NumPy equivalent.
    """
    header, data_start = _header(path)
    missing = sorted((names or frozenset()) - header.keys())
    if missing:
        raise InputError(f"{path}: tensor {missing[0]} is in the index but not in this shard")
    tensors = _tensors(path, header, path.stat().st_size - data_start)
    return {
        name: _stored(path, name, tensor, data_start)
        for name, tensor in tensors.items()
        if names is None or name in names
    }


def _stored(path: Path, name: str, tensor: _Tensor, data_start: int) -> Stored:
    # Read as stored, then made wider.
    is_narrow = tensor.dtype == "BF16"

    def read() -> NDArray[Any]:
        claim(path, (tensor.end - tensor.begin) * (3 if is_narrow else 1), f"reading tensor {name}")
        if len(tensor.shape) == 2:
            check_shape(path, name, *tensor.shape)
        if tensor.dtype not in _DTYPES:
            raise InputError(
                f"{path}: tensor {name} has element type {tensor.dtype[:40]}; "
                f"known: {', '.join(_DTYPES)}; convert it, e.g. to F16"
            )
        dtype = np.dtype(_DTYPES[tensor.dtype])
        count = (tensor.end - tensor.begin) // dtype.itemsize
        raw = np.fromfile(path, dtype, count, offset=data_start + tensor.begin)
        return _native(raw, tensor.dtype).reshape(tensor.shape)

    if is_narrow:
        return Stored("f", tensor.shape, read, 4)
    if tensor.dtype not in _DTYPES:
        return Stored("F", tensor.shape, read, 1)
    dtype = np.dtype(_DTYPES[tensor.dtype])
    return Stored(dtype.kind, tensor.shape, read, dtype.itemsize)


def unique(path: Path, pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The items of a JSON object, InputError for a key that stands there twice."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise InputError(
                f"{path}: {key} stands twice in its JSON, and only one of the two can be meant; "
                "write the file again"
            )
        found[key] = value
    return found


def _header(path: Path) -> tuple[Mapping[str, Any], int]:
    check_regular(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _LONGEST_HEADER):
            raise InputError(
                f"{path}: the file has {size} bytes, but its header claims {length}; it is cut "
                "short or not a .safetensors file; download it again"
            )
        claim(path, _JSON_BYTES * length, "reading its header")
        text = file.read(length)
    try:
        header = json.loads(text, object_pairs_hook=lambda pairs: unique(path, pairs))
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: the header is not JSON ({error}); give a sound .safetensors file"
        ) from error
    if not isinstance(header, dict):
        raise InputError(f"{path}: the header is not a JSON object; give a .safetensors file")
    return header, 8 + length


def _tensors(path: Path, header: Mapping[str, Any], data_bytes: int) -> dict[str, _Tensor]:
    """Every tensor of the header, checked before any of them is read.

    Each byte of the data belongs to one tensor, so that all of them take no more than the file.
    """
    tensors = {
        name: _checked(path, name, entry, data_bytes)
        for name, entry in header.items()
        if name != "__metadata__"
    }
    places = sorted((tensor.begin, tensor.end, name) for name, tensor in tensors.items())
    for (_, end, one), (begin, _, other) in pairwise(places):
        if begin < end:
            raise InputError(
                f"{path}: tensors {one} and {other} share bytes; the file is damaged or made to "
                "exhaust memory"
            )
    return tensors


def _checked(path: Path, name: str, entry: Any, data_bytes: int) -> _Tensor:
    try:
        begin, end = entry["data_offsets"]
        tensor = _Tensor(str(entry["dtype"]), tuple(entry["shape"]), begin, end)
        whole = all(type(n) is int and n >= 0 for n in (*tensor.shape, begin, end))
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
        itemsize = np.dtype(_DTYPES[tensor.dtype]).itemsize
        needed = bytes_of(path, name, tensor.shape, itemsize)
        if needed != tensor.end - tensor.begin:
            raise InputError(
                f"{path}: tensor {name} of shape {tensor.shape} {tensor.dtype} needs {needed} "
                f"bytes but has {tensor.end - tensor.begin}; the file is damaged"
            )
    return tensor


def _native(raw: NDArray[Any], dtype: str) -> NDArray[Any]:
    if dtype == "BF16":
        # bfloat16 is the upper half of a float32.
        wide = raw.astype(np.uint32)
        wide <<= np.uint32(16)
        return wide.view(np.float32)
    return raw.astype(raw.dtype.newbyteorder("="), copy=False)
