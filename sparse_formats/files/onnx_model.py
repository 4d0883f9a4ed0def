"""The matrices of an ONNX model: what its nodes multiply by, and which way round.

Exporters rename and transpose weights, so names tell nothing for sure. A matrix is what a MatMul or
Gemm multiplies by; the node says whether it is stored (in, out), and its path what it is called
where the tensor's own name was lost. Masks are read of the weights of a Conv, too. Constants that
other nodes use are left out by name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.layouts import Contents, LeftOut
from sparse_formats.files.matrices import Matrices
from sparse_formats.files.readers import onnx
from sparse_formats.files.readers.onnx import Graph, Node, Tensor
from sparse_formats.files.readers.stored import Stored
from sparse_formats.masks.execution import Execution
from sparse_formats.masks.orientation import StoredInOut
from sparse_formats.memory import reads

_PRODUCTS = {
    "MatMul": (0, 1), "Gemm": (0, 1), "FusedMatMul": (0, 1), "FusedGemm": (0, 1),
    "MatMulInteger": (0, 1), "MatMulIntegerToFloat": (0, 1), "DynamicQuantizeMatMul": (0, 1),
    "QLinearMatMul": (0, 3), "QGemm": (0, 3),
}  # fmt: skip
"""Nodes that multiply two matrices → where these stand among their inputs."""

_ZERO_POINTS = {
    "MatMulInteger": 3, "MatMulIntegerToFloat": 5, "DynamicQuantizeMatMul": 3, "QLinearMatMul": 5,
    "QGemm": 5,
}  # fmt: skip
"""Of those with an integer matrix on the right: where its zero point stands."""

_REFUSED = ("MatMulNBits", "MatMulBnb4", "QMoE", "GatherBlockQuantized")
_WHAT = {
    "Gather": "an embedding", "Conv": "a convolution that is not pruned, or not simulated yet",
    "ConvTranspose": "a convolution, which is not simulated yet",
    "LSTM": "weights of a recurrent layer", "GRU": "weights of a recurrent layer",
    "RNN": "weights of a recurrent layer",
}  # fmt: skip

# What exporters call constants that they have folded, or whose own names they have lost.
_LOST_NAME = re.compile(r"/|onnx::|val_|_?v_\d|t_?\d|\d+$|const|.*_output_\d+", re.IGNORECASE)
_ADDED = re.compile(r"_(?:quantized|dequantized|transposed)$")
_LONGEST_CHAIN = 16


@dataclass(frozen=True)
class _Operand:
    """A constant on its way to a node. stored: as it arrives there, but for `is_turned`, which says
    that it was transposed. decoded_by: the node that made it from integers, "" if none did."""

    tensor: Tensor
    stored: Stored
    is_turned: bool = False
    decoded_by: str = ""


@dataclass
class _Found:
    """Matrices by what they are called, and what is known of each; `names` by tensor and side.

    convolutions: by the names of their tensors; geometry: what their nodes say of stride and
    padding; untold: what nodes say of padding that is not one number for each axis.
    """

    matrices: dict[str, Stored] = field(default_factory=dict)
    convolutions: dict[str, Stored] = field(default_factory=dict)
    geometry: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    untold: list[str] = field(default_factory=list)
    turned: set[str] = field(default_factory=set)
    decoded: dict[str, list[str]] = field(default_factory=dict)
    names: dict[tuple[str, bool], str] = field(default_factory=dict)
    uses: dict[str, int] = field(default_factory=dict)


def read(path: Path) -> Matrices:
    """What the model multiplies by, known but unread.

    Raises:
        InputError: not such a file; weights in a form that cannot be decoded, by the node's name;
            no matrix at all.
    """
    reads(path)
    graph = onnx.read(path)
    reads(*_files(graph))
    found = _Found()
    makers = {output: node for node in graph.nodes for output in node.outputs}
    for node in graph.nodes:
        if node.op in _REFUSED:
            raise InputError(
                f"{path}: node {_label(node)} is {node.op}, whose weights are packed; give the "
                "model before it was quantised"
            )
        if node.op in _PRODUCTS:
            _add(path, graph, makers, node, found)
        if node.op == "Conv":
            _add_convolution(path, graph, node, found)
    contents = Contents(
        found.matrices,
        {},
        tuple(_left_out(graph, {tensor for tensor, _ in found.names})),
        {op: tuple(names) for op, names in found.decoded.items()},
        found.convolutions,
    )
    execution = Execution(runs={name: n for name, n in found.uses.items() if n > 1})
    orientation = StoredInOut(frozenset(found.turned), "the nodes that multiply by them")
    matrices = Matrices(path, contents, orientation, None, tuple(found.untold), execution)
    matrices = replace(matrices, geometry=found.geometry)
    if not contents.has_masks:
        raise InputError(
            f"{path} multiplies by no constant matrix{matrices.left_out_in_short}; export the "
            "model with its weights"
        )
    if not graph.functions:
        return matrices
    return matrices.noting(
        [f"The file has {graph.functions} functions of its own, which were not looked into."]
    )


def files(path: Path) -> tuple[Path, ...]:
    """The model and the files that hold its data."""
    return (path, *_files(onnx.read(path)))


def _files(graph: Graph) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(f for tensor in graph.tensors.values() for f in tensor.files))


def _add(path: Path, graph: Graph, makers: Mapping[str, Node], node: Node, found: _Found) -> None:
    """The constant matrix that a node multiplies by, if it does."""
    for side in (1, 0):
        place = _PRODUCTS[node.op][side]
        if place >= len(node.inputs):
            continue
        operand = _constant(path, graph, makers, node.inputs[place])
        if operand is None or operand.stored.axes != 2:
            continue
        if side == 1 and node.op in _ZERO_POINTS:
            operand = _off_zero(path, graph, node, operand)
        # The right factor is (in, out), the left one (out, in), unless it is transposed.
        is_turned = bool(side) ^ operand.is_turned
        is_turned ^= bool(node.attributes.get("transB" if side else "transA"))
        key = operand.tensor.name, is_turned
        if key not in found.names:
            name = _free(_called(node, operand.tensor), found.matrices)
            found.names[key] = name
            found.matrices[name] = operand.stored
            if is_turned:
                found.turned.add(name)
            if operand.decoded_by:
                found.decoded.setdefault(operand.decoded_by, []).append(name)
        name = found.names[key]
        found.uses[name] = found.uses.get(name, 0) + 1
        return


def _add_convolution(path: Path, graph: Graph, node: Node, found: _Found) -> None:
    """The weights of a Conv, if they are constant, 4-D, dense, and of one group of inputs."""
    tensor = _input(graph, node, 1)
    is_plain = tensor is not None and tensor.stored.kind == "f" and tensor.stored.axes == 4
    said = node.attributes
    is_dilated = set(_whole(path, node, "dilations", [1, 1])) != {1}
    if tensor is None or not is_plain or said.get("group", 1) != 1 or is_dilated:
        return
    stride, pads = _whole(path, node, "strides", [1, 1]), _whole(path, node, "pads", [0] * 4)
    if min(stride) < 1:
        raise InputError(f"{path}: node {_label(node)} has strides {stride}; the file is damaged")
    geometry = {"stride": stride, "padding": pads[:2]}
    how = said.get("auto_pad")
    if how in ("SAME_UPPER", "SAME_LOWER") or pads[:2] != pads[2:] or min(pads) < 0:
        del geometry["padding"]
        told = how if how in ("SAME_UPPER", "SAME_LOWER") else f"pads {pads}"
        found.untold.append(
            f"The padding of {tensor.name} in the model ({told}) is not one number for each axis "
            "and was not taken over; --convolutions FILE says what it is to be."
        )
    if tensor.name in found.geometry and found.geometry[tensor.name] != geometry:
        found.untold.append(
            f"{tensor.name} is used by convolutions of several strides or paddings; those of the "
            "first are taken."
        )
    found.geometry.setdefault(tensor.name, geometry)
    found.convolutions[tensor.name] = tensor.stored
    found.uses[tensor.name] = found.uses.get(tensor.name, 0) + 1


def _whole(path: Path, node: Node, name: str, default: list[int]) -> list[int]:
    """The whole numbers of an attribute, as many as its default has."""
    found = node.attributes.get(name) or default
    if not isinstance(found, list) or len(found) != len(default):
        raise InputError(
            f"{path}: node {_label(node)} has {name} {found} where {len(default)} whole numbers "
            "belong; the file is damaged"
        )
    return found


def _constant(
    path: Path, graph: Graph, makers: Mapping[str, Node], name: str, depth: int = 0
) -> _Operand | None:
    """The constant that arrives under a name, through nodes that leave its zeros where they are."""
    if name in graph.tensors:
        return _Operand(graph.tensors[name], graph.tensors[name].stored)
    node = makers.get(name)
    if node is None or not node.inputs or depth > _LONGEST_CHAIN:
        return None
    if node.op not in ("Identity", "Cast", "Transpose", "DequantizeLinear"):
        return None
    operand = _constant(path, graph, makers, node.inputs[0], depth + 1)
    if operand is None or node.op in ("Identity", "Cast"):
        return operand
    if node.op == "DequantizeLinear":
        return _dequantised(path, graph, node, operand)
    if operand.stored.axes != 2 or node.attributes.get("perm", [1, 0]) != [1, 0]:
        return None
    return _Operand(operand.tensor, operand.stored, not operand.is_turned, operand.decoded_by)


def _dequantised(path: Path, graph: Graph, node: Node, operand: _Operand) -> _Operand:
    """(q − zero point) · scale, of one scale or of one for each line of an axis."""
    scale, zero = (_input(graph, node, place) for place in (1, 2))
    whole, axis = operand.stored, int(node.attributes.get("axis", 1) or 0)
    if scale is None or node.attributes.get("block_size") or whole.kind not in "iu":
        raise InputError(
            f"{path}: node {_label(node)} dequantises {operand.tensor.name} from "
            f"{operand.tensor.type} in a way that is not decoded here; give the model before it "
            "was quantised"
        )
    # Of the tensor as it is stored, two axes counted from its end.
    axis = axis % 2 ^ operand.is_turned

    def along(values: NDArray[Any]) -> NDArray[Any]:
        if values.size == 1:
            return values.reshape(())
        if whole.axes != 2 or values.shape != (whole.shape[axis],):
            raise InputError(
                f"{path}: {operand.tensor.name} of shape {whole.shape} has scales of shape "
                f"{values.shape}; export the model again"
            )
        return values[:, None] if axis == 0 else values

    def read() -> NDArray[Any]:
        offset = np.zeros(1, np.int32) if zero is None else zero.stored.read().astype(np.int32)
        steps = along(scale.stored.read().astype(np.float32))
        return (whole.read().astype(np.int32) - along(offset)).astype(np.float32) * steps

    stored = Stored("f", whole.shape, read, 4)
    return _Operand(operand.tensor, stored, operand.is_turned, node.op)


def _off_zero(path: Path, graph: Graph, node: Node, operand: _Operand) -> _Operand:
    """The mask of an integer matrix, from its zero point; its scale is not needed."""
    zero, whole = _input(graph, node, _ZERO_POINTS[node.op]), operand.stored
    if whole.kind not in "iu":
        raise InputError(
            f"{path}: node {_label(node)} is {node.op}, but {operand.tensor.name} holds "
            f"{operand.tensor.type}; export the model again"
        )

    def read() -> NDArray[np.bool_]:
        offset = np.zeros(1, np.int32) if zero is None else zero.stored.read()
        # One for all, or one for each output, the second axis.
        if offset.size not in (1, whole.shape[1]):
            raise InputError(f"{path}: {operand.tensor.name} has zero points of another shape")
        return whole.read() != (offset.reshape(()) if offset.size == 1 else offset.reshape(1, -1))

    return _Operand(operand.tensor, Stored("b", whole.shape, read, 1), operand.is_turned, node.op)


def _input(graph: Graph, node: Node, place: int) -> Tensor | None:
    return graph.tensors.get(node.inputs[place]) if place < len(node.inputs) else None


def _called(node: Node, tensor: Tensor) -> str:
    """The tensor's own name, or where it was lost, the place of the node in the model."""
    if not _LOST_NAME.match(tensor.name):
        return _ADDED.sub("", tensor.name)
    words = [word for word in node.name.split("/") if word]
    place = node.scope or ".".join(words[:-1])
    return f"{place}.weight" if place else tensor.name


def _free(name: str, taken: Mapping[str, Stored]) -> str:
    """`name`, with a number behind it where it is taken."""
    number, free = 2, name
    while free in taken:
        number, free = number + 1, f"{name}_{number}"
    return free


def _label(node: Node) -> str:
    return node.name or next(iter(node.outputs), "without a name")


def _left_out(graph: Graph, taken: set[str]) -> list[LeftOut]:
    """Constants of two axes or more that are no matrix of a product, with who uses them."""
    users: dict[str, str] = {}
    for node in graph.nodes:
        for name in node.inputs:
            users.setdefault(name, node.op)
    return [
        LeftOut(name, tensor.stored.shape, _why(users.get(name), tensor))
        for name, tensor in graph.tensors.items()
        if name not in taken and tensor.stored.axes > 1 and tensor.stored.kind in "biufF"
    ]


def _why(op: str | None, tensor: Tensor) -> str:
    if op is None:
        return "a constant that nothing uses"
    if op in _PRODUCTS and tensor.stored.axes > 2:
        return f"an array of {tensor.stored.axes} axes, which is no matrix"
    return _WHAT.get(op, f"a constant of the node {op}, which is no matrix product")
