"""ONNX models as nodes and constant tensors, read from their bytes; nothing in them runs.

Source: onnx.proto (field numbers), and onnx.helper for which field holds which element type.
"""

import mmap
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.readers.protobuf import Field, Message, signed
from sparse_formats.files.readers.size_limits import bytes_of, check_shape
from sparse_formats.files.readers.stored import Stored

_TYPES = {
    1: ("FLOAT", "<f4"), 2: ("UINT8", "|u1"), 3: ("INT8", "|i1"), 4: ("UINT16", "<u2"),
    5: ("INT16", "<i2"), 6: ("INT32", "<i4"), 7: ("INT64", "<i8"), 9: ("BOOL", "|u1"),
    10: ("FLOAT16", "<f2"), 11: ("DOUBLE", "<f8"), 12: ("UINT32", "<u4"), 13: ("UINT64", "<u8"),
    16: ("BFLOAT16", "<u2"),
}  # fmt: skip
"""Element types by number: name, NumPy's type."""

_PACKED = {
    14: "COMPLEX64", 15: "COMPLEX128", 8: "STRING", 17: "FLOAT8E4M3FN", 18: "FLOAT8E4M3FNUZ",
    19: "FLOAT8E5M2", 20: "FLOAT8E5M2FNUZ", 21: "UINT4", 22: "INT4", 23: "FLOAT4E2M1",
}  # fmt: skip

_BFLOAT16 = 16
_DEEPEST = 8


@dataclass(frozen=True)
class Tensor:
    """A constant of the graph. type: its element type's name. files: that hold its data, beside
    the model."""

    name: str
    type: str
    stored: Stored
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Node:
    """An operation. attributes: whole numbers, and lists of them, by name, and how a convolution
    is to pad by itself, a text. scope: the module that
    it comes from, where torch's exporter says it."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    scope: str = ""


@dataclass
class Graph:
    """nodes: in order, those of subgraphs behind their own. tensors: constants by name.
    functions: how many functions the file has, whose bodies are not looked into."""

    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    functions: int = 0


def read(path: Path) -> Graph:
    """The nodes and constants of a model; the constants' values are not read yet.

    Raises:
        InputError: not an ONNX model, cut short, damaged; data outside the model's folder.
    """
    size = path.stat().st_size
    if not size:
        raise InputError(f"{path} is empty; give an ONNX model")
    graph, has_graph = Graph(), False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        data = memoryview(mapped)
        try:
            model = Message(path, data, 0, size)
            for item in model.fields():
                if item.number == 7:
                    has_graph = True
                    _read_graph(model.of(item), graph, 0)
                graph.functions += item.number == 25
        finally:
            data.release()
    if not has_graph:
        raise InputError(f"{path} holds no graph; give an ONNX model")
    return graph


def _read_graph(message: Message, graph: Graph, depth: int) -> None:
    if depth > _DEEPEST:
        raise InputError(f"{message.path}: its graphs are nested too deeply")
    for item in message.fields():
        if item.number == 1:
            _read_node(message.of(item), graph, depth)
        elif item.number == 5:
            _add(message.path, graph, _tensor(message.of(item)))
        elif item.number == 15:
            _add(message.path, graph, _sparse_tensor(message.of(item)))


def _add(path: Path, graph: Graph, tensor: Tensor) -> None:
    if tensor.name in graph.tensors:
        raise InputError(f"{path}: two tensors are called {tensor.name}; export the model again")
    graph.tensors[tensor.name] = tensor


def _read_node(message: Message, graph: Graph, depth: int) -> None:
    inputs, outputs, said = list[str](), list[str](), {3: "", 4: ""}
    attributes: dict[str, Any] = {}
    scope = ""
    for item in message.fields():
        if item.number == 1:
            inputs.append(message.of(item).text)
        elif item.number == 2:
            outputs.append(message.of(item).text)
        elif item.number in said:
            said[item.number] = message.of(item).text
        elif item.number == 5:
            _read_attribute(message.of(item), attributes, graph, depth)
        elif item.number == 9:
            scope = _scope(message.of(item)) or scope
    constant = attributes.pop("value", None)
    if said[4] == "Constant" and isinstance(constant, Tensor) and outputs:
        named = Tensor(outputs[0], constant.type, constant.stored, constant.files)
        _add(message.path, graph, named)
        return
    graph.nodes.append(Node(said[4], said[3], tuple(inputs), tuple(outputs), attributes, scope))


def _scope(message: Message) -> str:
    """The innermost module of a node, from the texts that torch's exporter leaves; "" elsewhere."""
    said = {item.number: message.of(item).text for item in message.fields()}
    if said.get(1) != "pkg.torch.onnx.name_scopes":
        return ""
    *modules, _ = ["", "", *re.findall("'([^']*)'", said.get(2, ""))]
    return modules[-1]


def _read_attribute(message: Message, attributes: dict[str, Any], graph: Graph, depth: int) -> None:
    name, value, text = "", None, None
    numbers: list[int] = []
    for item in message.fields():
        if item.number == 1:
            name = message.of(item).text
        elif item.number == 3:
            value = signed(item.value)
        elif item.number == 4:
            text = message.of(item)
        elif item.number == 5:
            value = _tensor(message.of(item))
        elif item.number == 8:
            numbers += _whole_numbers(message, item)
        elif item.number in (6, 11):
            _read_graph(message.of(item), graph, depth + 1)
        elif item.number == 22:
            value = _sparse_tensor(message.of(item))
    if name == "auto_pad" and text is not None:
        value = text.text
    attributes["value" if isinstance(value, Tensor) else name] = numbers or value


def _whole_numbers(message: Message, item: Field) -> list[int]:
    """A repeated number, which may stand alone or packed with others."""
    if item.begin == item.end:
        return [signed(item.value)]
    return message.of(item).varints().tolist()


@dataclass
class _Parts:
    """What a TensorProto says, and which bytes of the file hold its data."""

    name: str = ""
    type: int = 0
    dims: list[int] = field(default_factory=list)
    raw: Message | None = None
    numbers: Message | None = None
    external: dict[str, str] = field(default_factory=dict)
    is_external: bool = False


def _parts(message: Message) -> _Parts:
    found = _Parts()
    for item in message.fields():
        if item.number == 1:
            found.dims += _whole_numbers(message, item)
        elif item.number == 2:
            found.type = item.value
        elif item.number == 8:
            found.name = message.of(item).text
        elif item.number in (4, 9, 10):
            found.raw = message.of(item)
        elif item.number in (5, 7, 11) and item.begin < item.end:
            found.numbers = message.of(item)
        elif item.number == 13:
            pair = {each.number: message.of(each).text for each in message.of(item).fields()}
            found.external[pair.get(1, "")] = pair.get(2, "")
        elif item.number == 14:
            found.is_external = item.value == 1
    return found


def _tensor(message: Message) -> Tensor:
    parts, path = _parts(message), message.path
    shape = tuple(parts.dims)
    if any(side < 0 for side in shape):
        raise InputError(f"{path}: tensor {parts.name} has shape {shape}; the file is damaged")
    if parts.type not in _TYPES:
        name = _PACKED.get(parts.type, f"type {parts.type}")
        kind = "F" if name.startswith("FLOAT") else "O"
        return Tensor(parts.name, name, Stored(kind, shape, _refused(path, parts.name, name), 1))
    name, code = _TYPES[parts.type]
    dtype = np.dtype(code)
    needed = bytes_of(path, parts.name, shape, dtype.itemsize)
    file, begin = path, 0
    if parts.is_external:
        file, begin = _external(path, parts, needed)
    elif parts.numbers is not None:
        read = _number_reader(path, parts, shape, dtype)
        return Tensor(parts.name, name, _stored(parts, shape, dtype, read))
    else:
        held = 0 if parts.raw is None else parts.raw.end - parts.raw.begin
        begin = 0 if parts.raw is None else parts.raw.begin
        if held != needed:
            raise InputError(
                f"{path}: tensor {parts.name} of shape {shape} {name} needs {needed} bytes but has "
                f"{held}; the file is damaged"
            )

    def read_bytes() -> NDArray[Any]:
        _check(path, parts.name, shape)
        raw = np.fromfile(file, dtype, prod(shape), offset=begin)
        return _native(raw, parts.type).reshape(shape)

    files = (file,) if parts.is_external else ()
    return Tensor(parts.name, name, _stored(parts, shape, dtype, read_bytes), files)


def _stored(
    parts: _Parts, shape: tuple[int, ...], dtype: np.dtype[Any], read: Callable[[], NDArray[Any]]
) -> Stored:
    if parts.type == _BFLOAT16:
        return Stored("f", shape, read, 4)
    return Stored(dtype.kind, shape, read, dtype.itemsize)


def _number_reader(
    path: Path, parts: _Parts, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Callable[[], NDArray[Any]]:
    """Of values that stand as varints: whole numbers, and the bits of half precision."""
    assert parts.numbers is not None
    content = parts.numbers.content
    packed = Message(path, memoryview(content), 0, len(content))

    def read() -> NDArray[Any]:
        _check(path, parts.name, shape)
        numbers = packed.varints()
        if len(numbers) != prod(shape):
            raise InputError(
                f"{path}: tensor {parts.name} of shape {shape} has {len(numbers)} numbers; "
                "the file is damaged"
            )
        if dtype.kind == "f":
            return numbers.astype(np.uint16).view(dtype).reshape(shape).astype(np.float16)
        return _native(numbers.astype(dtype), parts.type).reshape(shape)

    return read


def _external(path: Path, parts: _Parts, needed: int) -> tuple[Path, int]:
    """The file beside the model that holds a tensor, and where in it."""
    location = parts.external.get("location", "")
    inside = Path(location)
    file = path.parent / inside
    if not location or inside.is_absolute() or ".." in inside.parts or not file.is_file():
        raise InputError(
            f"{path}: the data of tensor {parts.name} are in {location!r}, which is no file in "
            f"{path.parent}; put both into one folder"
        )
    words = [parts.external.get("offset", "0"), parts.external.get("length", f"{needed}")]
    if not all(word.isascii() and word.isdigit() and len(word) < 19 for word in words):
        raise InputError(f"{path}: tensor {parts.name} has no valid offset; the file is damaged")
    offset, length = (int(word) for word in words)
    if length != needed or offset + length > file.stat().st_size:
        raise InputError(
            f"{path}: tensor {parts.name} needs {needed} bytes from {offset} on in {file.name}, "
            f"which has {file.stat().st_size}; download both again"
        )
    return file, offset


def _sparse_tensor(message: Message) -> Tensor:
    """A constant of which only the values that are not zero are stored."""
    parts: dict[int, Message] = {}
    dims: list[int] = []
    for item in message.fields():
        if item.number == 3:
            dims += _whole_numbers(message, item)
        else:
            parts[item.number] = message.of(item)
    path = message.path
    if not parts.keys() >= {1, 2}:
        raise InputError(f"{path}: a sparse tensor has no values or no indices; it is damaged")
    values, indices = _tensor(parts[1]), _tensor(parts[2])
    shape = tuple(dims)
    bytes_of(path, values.name, shape, values.stored.item_bytes)

    def read() -> NDArray[Any]:
        _check(path, values.name, shape)
        kept, places = values.stored.read().ravel(), indices.stored.read()
        if places.ndim == 2 and places.shape[1] == len(shape):
            at = np.asarray(np.ravel_multi_index(tuple(places.T), shape))
        else:
            at = places.ravel()
        if len(at) != len(kept) or (len(at) and not 0 <= at.min() <= at.max() < prod(shape)):
            raise InputError(f"{path}: the indices of {values.name} do not fit; it is damaged")
        dense = np.zeros(prod(shape), kept.dtype)
        dense[at] = kept
        return dense.reshape(shape)

    stored = Stored(values.stored.kind, shape, read, values.stored.item_bytes)
    return Tensor(values.name, values.type, stored, (*values.files, *indices.files))


def _refused(path: Path, name: str, type_: str) -> Callable[[], NDArray[Any]]:
    def read() -> NDArray[Any]:
        raise InputError(
            f"{path}: tensor {name} holds {type_[:40]}, which cannot be read; give the model "
            "before it was quantised, or convert it to FLOAT16"
        )

    return read


def _check(path: Path, name: str, shape: tuple[int, ...]) -> None:
    if len(shape) == 2:
        check_shape(path, name, *shape)


def _native(raw: NDArray[Any], type_: int) -> NDArray[Any]:
    if type_ == _BFLOAT16:  # the upper half of a float32
        return (raw.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return raw.astype(raw.dtype.newbyteorder("="), copy=False)
