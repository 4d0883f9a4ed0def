"""The file of a model in 8-bit numbers: a .safetensors of whole weights and their scales.

Of a matrix NAME.weight, (out, in):

    NAME.weight              int8 (out, in): w = weight_scale · q
    NAME.keep                uint8: numpy.packbits of the mask, row by row; a kept weight may be 0
    NAME.weight_scale        float32 (1,)
    NAME.input_scale         float32 (1,)
    NAME.input_zero_point    uint8 (1,): x = input_scale · (q − zero point), q in 0 … 255
    NAME.bias                int32 (out,): added to Σ w·(q − 128); see `QuantizedMatrix`
    NAME.output_scale        float32 (1,), where the output is rounded again
    NAME.output_zero_point   uint8 (1,), likewise

The file's metadata has one key, "mvpsim-int8": JSON with version, origin, and the names of the
matrices in network order.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.atomic import replace_file
from sparse_formats.files.readers import safetensors
from sparse_formats.files.reading import parsing
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
from sparse_formats.masks.matrix_names import kind_of
from sparse_formats.memory import budget

SCHEMA = "mvpsim-int8"
VERSION = 1

SHIFT = 128
"""What is taken from an input of 0 … 255, so that a signed machine of 8 bits can hold it."""


@dataclass(frozen=True, eq=False)
class QuantizedMatrix:
    """One linear layer in 8-bit numbers.

    weight: int8 (out, in), 0 where not kept. keep: bool (out, in). bias: int32 (out,): the layer's
    own at scale weight_scale · input_scale, plus (128 − input_zero_point) · Σ weight of the row, so
    that the layer's output is weight_scale · input_scale · (Σ weight·(q − 128) + bias), exactly.
    output: scale and zero point of the output where it is rounded to 0 … 255 again.
    """

    name: str
    keep: NDArray[np.bool_]
    weight: NDArray[np.int8]
    weight_scale: float
    input_scale: float
    input_zero_point: int
    bias: NDArray[np.int32]
    output: tuple[float, int] | None = None

    @property
    def masked(self) -> MaskedMatrix:
        """The matrix as what multiplies it sees it."""
        return MaskedMatrix(self.name, self.keep, self.weight, kind_of(self.name))


class _Header(msgspec.Struct, frozen=True):
    version: int
    origin: dict[str, Any]
    matrices: list[str]


def write(path: Path, matrices: Sequence[QuantizedMatrix], origin: Mapping[str, Any]) -> None:
    """Write the file, whole or not at all; equal content gives equal bytes.

    Raises:
        InputError: the path cannot be written.
    """
    from safetensors.numpy import save

    header = _Header(VERSION, dict(origin), [matrix.name for matrix in matrices])
    text = json.dumps(msgspec.to_builtins(header), sort_keys=True, allow_nan=False)
    tensors = {key: array for matrix in matrices for key, array in _tensors(matrix).items()}
    with replace_file(path) as file:
        file.write(save(tensors, {SCHEMA: text}))


def recognises(path: Path) -> bool:
    """True for a .safetensors of ours, whatever its version."""
    return SCHEMA in safetensors.read_metadata(path)


def read(path: Path) -> tuple[tuple[QuantizedMatrix, ...], Mapping[str, Any]]:
    """The matrices of a file in network order, and what it says of its origin.

    Raises:
        InputError: not such a file, a newer version, a tensor missing or of another kind or shape.
    """
    if path.suffix.lower() != ".safetensors":
        raise InputError(f"{path}: a file of 8-bit weights must end in .safetensors")
    with budget(), parsing(path, "a file of 8-bit weights", "write it again"):
        return _read(path)


def _read(path: Path) -> tuple[tuple[QuantizedMatrix, ...], Mapping[str, Any]]:
    text = safetensors.read_metadata(path).get(SCHEMA)
    tensors = safetensors.read_tensors(path)
    if text is None:
        raise InputError(
            f"{path} is not a file of 8-bit weights; make one with python -m pruning quantize"
        )
    try:
        header = msgspec.json.decode(text, type=_Header)
    except msgspec.DecodeError as error:
        raise InputError(
            f"{path}: its {SCHEMA} header is not well-formed ({error}); write the file again"
        ) from error
    if not 1 <= header.version <= VERSION:
        raise InputError(
            f"{path}: {SCHEMA} version {header.version}, but this program reads up to {VERSION}; "
            "update mvpsim or write the file again"
        )
    if not header.matrices:
        raise InputError(f"{path}: the file holds no matrix; write it with at least one")
    return tuple(_matrix(path, tensors, name) for name in header.matrices), header.origin


def read_masks(path: Path) -> MaskSet:
    """The matrices of a file with their masks and whole weights.

    Raises:
        InputError: as `read`.
    """
    matrices, origin = read(path)
    return MaskSet(tuple(matrix.masked for matrix in matrices), origin)


def _base(name: str) -> str:
    return name.removesuffix(".weight")


def _tensors(matrix: QuantizedMatrix) -> dict[str, NDArray[Any]]:
    base = _base(matrix.name)
    tensors: dict[str, NDArray[Any]] = {
        matrix.name: np.ascontiguousarray(matrix.weight),
        f"{base}.keep": np.packbits(matrix.keep),
        f"{base}.weight_scale": np.array([matrix.weight_scale], np.float32),
        f"{base}.input_scale": np.array([matrix.input_scale], np.float32),
        f"{base}.input_zero_point": np.array([matrix.input_zero_point], np.uint8),
        f"{base}.bias": np.ascontiguousarray(matrix.bias),
    }
    if matrix.output is not None:
        scale, zero_point = matrix.output
        tensors[f"{base}.output_scale"] = np.array([scale], np.float32)
        tensors[f"{base}.output_zero_point"] = np.array([zero_point], np.uint8)
    return tensors


def _matrix(path: Path, tensors: Mapping[str, NDArray[Any]], name: str) -> QuantizedMatrix:
    base = _base(name)

    def tensor(key: str, dtype: Any, *shape: int) -> NDArray[Any]:
        found = tensors.get(key)
        if found is None or found.dtype != dtype or (shape and found.shape != shape):
            what = "nothing" if found is None else f"{found.dtype} {list(found.shape)}"
            wanted = f"{np.dtype(dtype)} {list(shape) if shape else '[out, in]'}"
            raise InputError(f"{path}: {key} must be {wanted}, found {what}; the file is damaged")
        return found

    def scale(key: str) -> float:
        value = float(tensor(key, np.float32, 1)[0])
        if not 0 < value < np.inf:
            raise InputError(f"{path}: {key} is {value}, but must be above 0; the file is damaged")
        return value

    weight = tensor(name, np.int8)
    if weight.ndim != 2:
        raise InputError(f"{path}: {name} has {weight.ndim} dimensions; the file is damaged")
    rows, cols = weight.shape
    packed = tensor(f"{base}.keep", np.uint8, (rows * cols + 7) // 8)
    keep = np.unpackbits(packed, count=rows * cols).view(np.bool_).reshape(rows, cols)
    if weight[~keep].any():
        raise InputError(f"{path}: {name} is not zero where its mask drops it; the file is damaged")
    output = None
    if f"{base}.output_scale" in tensors:
        zero_point = int(tensor(f"{base}.output_zero_point", np.uint8, 1)[0])
        output = scale(f"{base}.output_scale"), zero_point
    return QuantizedMatrix(
        name,
        keep,
        weight,
        scale(f"{base}.weight_scale"),
        scale(f"{base}.input_scale"),
        int(tensor(f"{base}.input_zero_point", np.uint8, 1)[0]),
        tensor(f"{base}.bias", np.int32, rows),
        output,
    )
