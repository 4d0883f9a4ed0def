"""GGUF, the file of llama.cpp, read from its raw bytes.

Little-endian: "GGUF", version (uint32), number of tensors and of metadata (uint64 each); the
metadata (key, type, value); of each tensor its name, axes (the fastest first), type, offset; then
the data from a multiple of `general.alignment` bytes on.

Sources: ggml's docs/gguf.md; the blocks of ggml-quants.h: Q4_0 is a float16 d and 32 numbers q of 4
bits, w = d·(q − 8); Q5_0 has a fifth bit for each q, w = d·(q − 16); Q8_0 has int8, w = d·q.
"""

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.readers.size_limits import MAX_DIMENSIONS, bytes_of, check_shape
from sparse_formats.files.readers.stored import Stored

BLOCK = 32
"""Weights of one row that share a scale, in the quantised types that are read."""

_DEEPEST = 4
_FIXED = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9

_PLAIN = {
    0: ("F32", "<f4"), 1: ("F16", "<f2"), 28: ("F64", "<f8"), 30: ("BF16", "<u2"),
    24: ("I8", "<i1"), 25: ("I16", "<i2"), 26: ("I32", "<i4"), 27: ("I64", "<i8"),
}  # fmt: skip
"""Types of one number each, by number: name, NumPy's type."""

_BLOCKS = {2: ("Q4_0", 18), 6: ("Q5_0", 22), 8: ("Q8_0", 34)}
"""Types of blocks in which a zero stays a zero: name, bytes of a block."""

_OTHERS = {
    3: "Q4_1", 7: "Q5_1", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K",
    15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL",
    21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip

_WITH_MINIMUM = ("Q4_1", "Q5_1", "Q2_K", "Q4_K", "Q5_K")


@dataclass(frozen=True)
class GgufTensor:
    """A tensor before it is read. shape: as matrices have it, (out, in). stored: None where its
    type cannot say which weights are zero, which `why` explains."""

    type: str
    shape: tuple[int, ...]
    stored: Stored | None
    why: str = ""


@dataclass(frozen=True)
class Gguf:
    """tensors: by name, in the file's order. metadata: by key; arrays are left out."""

    tensors: Mapping[str, GgufTensor]
    metadata: Mapping[str, Any]


def read(path: Path) -> Gguf:
    """What the file holds, checked against its size; tensors are not read yet.

    Raises:
        InputError: not a GGUF file of version 2 or 3, big-endian, cut short, or damaged.
    """
    with path.open("rb") as file:
        cursor = _Cursor(path, file, path.stat().st_size)
        magic, version = cursor.take(4), cursor.number("<I")
        if magic != b"GGUF" or version not in (2, 3):
            found = "big-endian" if version >> 16 and magic == b"GGUF" else f"{magic!r} {version}"
            raise InputError(
                f"{path} is not a little-endian GGUF file of version 2 or 3 (found {found}); "
                "convert the model again with llama.cpp's convert_hf_to_gguf.py"
            )
        tensors, pairs = cursor.number("<Q"), cursor.number("<Q")
        metadata = {}
        for _ in range(cursor.fits(pairs, 12)):
            key, kind = cursor.string(), cursor.number("<I")
            value = cursor.value(kind)
            if kind != _ARRAY:
                metadata[key] = value
        listed = [_listed(cursor) for _ in range(cursor.fits(tensors, 24))]
        alignment = metadata.get("general.alignment", 32)
        if type(alignment) is not int or not 1 <= alignment <= 2**20:
            raise InputError(f"{path}: its alignment is {alignment}; the file is damaged")
        start = -(-file.tell() // alignment) * alignment
    return Gguf(_tensors(path, listed, start), metadata)


@dataclass(frozen=True)
class _Listed:
    name: str
    shape: tuple[int, ...]
    type: int
    offset: int


@dataclass
class _Cursor:
    """Reads from a file no more than it has."""

    path: Path
    file: BinaryIO
    size: int

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        self.fits(count, 1)
        return self.file.read(count)

    def fits(self, count: int, least: int) -> int:
        """`count`, if so many things of at least `least` bytes can still come."""
        left = self.size - self.file.tell()
        if count * least > left:
            raise InputError(
                f"{self.path}: {count * least} bytes are claimed where {left} are left; "
                "the file is cut short or damaged; download it again"
            )
        return count

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def string(self) -> str:
        return self.take(self.number("<Q")).decode("utf-8", "replace")

    def value(self, kind: int, depth: int = 0) -> Any:
        """A value of metadata; arrays are passed over."""
        if kind in _FIXED:
            return self.number(_FIXED[kind])
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY or depth > _DEEPEST:
            raise InputError(f"{self.path}: its metadata has the unknown type {kind}")
        inner, count = self.number("<I"), self.number("<Q")
        if inner in _FIXED:
            size = struct.calcsize(_FIXED[inner])
            self.file.seek(self.fits(count, size) * size, 1)
            return None
        for _ in range(self.fits(count, 8)):
            self.value(inner, depth + 1)
        return None


def _listed(cursor: _Cursor) -> _Listed:
    name, axes = cursor.string(), cursor.number("<I")
    if not 1 <= axes <= MAX_DIMENSIONS:
        raise InputError(f"{cursor.path}: tensor {name} has {axes} axes; the file is damaged")
    sides = tuple(cursor.number("<Q") for _ in range(axes))
    return _Listed(name, sides[::-1], cursor.number("<I"), cursor.number("<Q"))


def _tensors(path: Path, listed: list[_Listed], start: int) -> dict[str, GgufTensor]:
    size, found = path.stat().st_size, dict[str, GgufTensor]()
    # Each byte belongs to one tensor, so that all of them take no more than the file can fill.
    end_before = 0
    for item in sorted(listed, key=lambda item: item.offset):
        if item.offset < end_before:
            raise InputError(
                f"{path}: tensor {item.name} shares bytes with another; the file is damaged or "
                "made to exhaust memory"
            )
        end_before = item.offset + (_bytes(path, item) or 1)
        if start + end_before > size:
            raise InputError(
                f"{path}: tensor {item.name} ends at byte {start + end_before} of {size}; "
                "the file is cut short; download it again"
            )
    for item in listed:
        if item.name in found:
            raise InputError(f"{path}: two tensors are called {item.name}; write the file again")
        found[item.name] = _tensor(path, item, start)
    return found


def _bytes(path: Path, item: _Listed) -> int | None:
    """Bytes of a tensor; None for a type whose blocks are not known here."""
    if item.type in _PLAIN:
        itemsize = np.dtype(_PLAIN[item.type][1]).itemsize
        return bytes_of(path, item.name, item.shape, itemsize)
    if item.type not in _BLOCKS:
        return None
    if item.shape[-1] % BLOCK:
        raise InputError(
            f"{path}: tensor {item.name} has rows of {item.shape[-1]} weights, which are not whole "
            f"blocks of {BLOCK}; the file is damaged"
        )
    blocks = (*item.shape[:-1], item.shape[-1] // BLOCK)
    return bytes_of(path, item.name, blocks, _BLOCKS[item.type][1])


def _tensor(path: Path, item: _Listed, start: int) -> GgufTensor:
    if item.type in _PLAIN:
        name, code = _PLAIN[item.type]
        kind = "f" if name in ("F32", "F16", "F64", "BF16") else "i"
        # bfloat16 becomes float32.
        width = 4 if name == "BF16" else np.dtype(code).itemsize
        stored = Stored(kind, item.shape, _plain_reader(path, item, start, code), width)
        return GgufTensor(name, item.shape, stored)
    if item.type in _BLOCKS:
        name, _ = _BLOCKS[item.type]
        stored = Stored("f", item.shape, _block_reader(path, item, start, name), 4)
        return GgufTensor(name, item.shape, stored)
    name = _OTHERS.get(item.type, f"type {item.type}")
    why = "is not decoded here"
    if name in _WITH_MINIMUM:
        why = "adds a minimum to each block, so that zeros do not stay zeros"
    return GgufTensor(name, item.shape, None, f"stored as {name}, which {why}")


def _plain_reader(path: Path, item: _Listed, start: int, code: str) -> Callable[[], NDArray[Any]]:
    def read() -> NDArray[Any]:
        _check(path, item)
        dtype, offset = np.dtype(code), start + item.offset
        raw = np.fromfile(path, dtype, math.prod(item.shape), offset=offset)
        if item.type == 30:  # bfloat16 is the upper half of a float32
            raw = (raw.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return raw.astype(raw.dtype.newbyteorder("="), copy=False).reshape(item.shape)

    return read


def _block_reader(path: Path, item: _Listed, start: int, name: str) -> Callable[[], NDArray[Any]]:
    def read() -> NDArray[Any]:
        _check(path, item)
        size, count = _BLOCKS[item.type][1], math.prod(item.shape) // BLOCK
        raw = np.fromfile(path, np.uint8, count * size, offset=start + item.offset)
        raw = raw.reshape(count, size)
        scale = raw[:, :2].copy().view("<f2").astype(np.float32)
        return (scale * _WHOLE[name](raw[:, 2:])).reshape(item.shape)

    return read


def _check(path: Path, item: _Listed) -> None:
    if len(item.shape) == 2:
        check_shape(path, item.name, *item.shape)


def _q8_0(raw: NDArray[np.uint8]) -> NDArray[np.float32]:
    return raw.view(np.int8).astype(np.float32)


def _q4_0(raw: NDArray[np.uint8]) -> NDArray[np.float32]:
    return _nibbles(raw).astype(np.float32) - 8


def _q5_0(raw: NDArray[np.uint8]) -> NDArray[np.float32]:
    fifth = np.unpackbits(raw[:, :4], axis=1, bitorder="little")
    return (_nibbles(raw[:, 4:]) + np.uint8(16) * fifth).astype(np.float32) - 16


def _nibbles(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The lower halves of 16 bytes, then their upper halves."""
    return np.concatenate([raw % np.uint8(16), raw // np.uint8(16)], axis=1)


_WHOLE: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.float32]]] = {
    "Q8_0": _q8_0,
    "Q4_0": _q4_0,
    "Q5_0": _q5_0,
}
"""Type → the whole numbers of blocks (blocks, bytes behind the scale) → (blocks, 32)."""
