"""Is every form of mask and weights people have read as it was meant, and ours written whole?"""

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import scipy.io
import scipy.sparse
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files import native_npz
from sparse_formats.files.mask_file import read_masks, read_weights, sha256_of, write_masks
from sparse_formats.masks.decompose import decompose
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet

RNG = np.random.default_rng(3)


def sparse(shape: tuple[int, int], dtype: Any = np.float32) -> NDArray[Any]:
    return np.where(RNG.random(shape) < 0.3, RNG.standard_normal(shape), 0).astype(dtype)


def only(path: Path) -> MaskedMatrix:
    (matrix,) = read_masks(path).matrices
    return matrix


# --- our own schema -----------------------------------------------------------------------------


def some_masks() -> MaskSet:
    matrices = []
    for i, (shape, dtype) in enumerate(
        [((13, 17), np.float16), ((1, 1), np.float32), ((5, 64), np.float64), ((7, 3), None)]
    ):
        keep = RNG.random(shape) < 0.4
        weight = None
        if dtype is not None:
            weight = np.where(keep, RNG.standard_normal(shape), 0).astype(dtype)
            weight[keep & (RNG.random(shape) < 0.3)] = -0.0
        vectors = decompose(keep) if i % 2 == 0 else None
        matrices.append(MaskedMatrix(f"layer{i}.é/Q", keep, weight, "Q", vectors))
    return MaskSet(tuple(matrices), {"model": "m", "method": "mvp", "seed": 0, "recipe": {"a": 1}})


def test_does_our_file_read_back_bit_for_bit(tmp_path: Path) -> None:
    written = some_masks()
    write_masks(tmp_path / "out.npz", written)
    found = read_masks(tmp_path / "out.npz")
    assert found.header == written.header
    for one, other in zip(written.matrices, found.matrices, strict=True):
        assert (one.name, one.kind) == (other.name, other.kind)
        assert (one.keep == other.keep).all()
        if one.weight is None:
            assert other.weight is None
        else:
            assert other.weight is not None and one.weight.dtype == other.weight.dtype
            assert one.weight.tobytes() == other.weight.tobytes()
        if one.vectors is None:
            assert other.vectors is None
        else:
            assert other.vectors is not None
            assert one.vectors.orientation == other.vectors.orientation
            assert one.vectors.starts.tolist() == other.vectors.starts.tolist()
            assert one.vectors.lengths.tolist() == other.vectors.lengths.tolist()


def test_is_a_kept_zero_still_kept_in_our_file(tmp_path: Path) -> None:
    keep = np.array([[True, False, True]])
    weight = np.array([[0.0, 0.0, -0.0]], np.float32)
    write_masks(tmp_path / "out.npz", MaskSet((MaskedMatrix("m", keep, weight),)))
    found = only(tmp_path / "out.npz")
    assert found.keep.tolist() == [[True, False, True]]
    assert found.weight is not None and np.signbit(found.weight).tolist() == [[False, False, True]]


def test_are_masks_packed_eight_to_a_byte(tmp_path: Path) -> None:
    write_masks(tmp_path / "out.npz", MaskSet((MaskedMatrix("m", np.ones((800, 1000), bool)),)))
    assert 100_000 <= (tmp_path / "out.npz").stat().st_size < 102_000


def test_does_equal_content_give_equal_bytes(tmp_path: Path) -> None:
    masks = some_masks()
    write_masks(tmp_path / "a.npz", masks)
    turned = MaskSet(
        tuple(
            MaskedMatrix(
                m.name,
                np.asfortranarray(m.keep),
                None if m.weight is None else np.asfortranarray(m.weight),
                m.kind,
                m.vectors,
            )
            for m in masks.matrices
        ),
        dict(reversed(list(masks.header.items()))),
    )
    write_masks(tmp_path / "b.npz", turned)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sha256_of(tmp_path / "a.npz") == sha256_of(tmp_path / "b.npz")


def test_can_numpy_open_our_file_without_pickle(tmp_path: Path) -> None:
    write_masks(tmp_path / "out.npz", some_masks())
    with np.load(tmp_path / "out.npz", allow_pickle=False) as file:
        header = json.loads(file["mvpsim/header"].tobytes())
        first = np.unpackbits(file["mvpsim/0/keep"], count=13 * 17).reshape(13, 17)
    assert (header["schema"], header["version"]) == ("mvpsim-masks", 1)
    assert header["matrices"][0]["shape"] == [13, 17]
    assert (first == read_masks(tmp_path / "out.npz").matrices[0].keep).all()


def test_is_the_old_file_intact_when_the_writer_dies_half_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.npz"
    write_masks(path, some_masks())
    before = path.read_bytes()
    add, calls = native_npz.add_array, []

    def dies_at_the_third(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
        calls.append(name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        add(archive, name, array)

    monkeypatch.setattr(native_npz, "add_array", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        write_masks(path, some_masks())
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["out.npz"]


@pytest.mark.parametrize(
    ("matrices", "says"),
    [
        (
            (MaskedMatrix("m", np.zeros((1, 2), bool), np.ones((1, 2), np.float32)),),
            "matrix m: weights are not zero where the mask drops them",
        ),
        ((MaskedMatrix("m", np.ones((1, 1), bool)),) * 2, "two matrices are called m"),
        (
            (MaskedMatrix("m", np.ones((1, 1), bool), np.ones((1, 1), np.longdouble)),),
            "matrix m holds",
        ),
        (
            (
                MaskedMatrix(
                    "m", np.zeros((1, 4), bool), vectors=decompose(np.ones((1, 4), np.bool_))
                ),
            ),
            "matrix m: its vectors do not make up its mask",
        ),
    ],
)
def test_are_contradictions_not_written(
    tmp_path: Path, matrices: tuple[MaskedMatrix, ...], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        write_masks(tmp_path / "out.npz", MaskSet(matrices))
    assert not list(tmp_path.iterdir())


def test_does_writing_into_a_missing_folder_fail_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing does not exist"):
        write_masks(tmp_path / "missing" / "out.npz", some_masks())


# --- plain .npz ---------------------------------------------------------------------------------


def test_is_nonzero_kept_and_a_float_array_also_the_weights(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(
        path,
        floats=np.array([[1.5, 0.0], [-0.0, -2.0]], np.float16),
        bools=np.array([[True, False]]),
        ints=np.array([[3], [0], [-1]]),
        bias=np.ones(4),
        cube=np.ones((2, 2, 2)),
        words=np.array([["a", "b"]]),
    )
    floats, bools, ints = read_masks(path).matrices
    assert floats.keep.tolist() == [[True, False], [False, True]]
    assert floats.weight is not None and floats.weight.dtype == np.float16
    assert floats.weight.tolist() == [[1.5, 0.0], [0.0, -2.0]]
    assert (bools.name, bools.keep.tolist(), bools.weight) == ("bools", [[True, False]], None)
    assert (ints.keep.tolist(), ints.weight) == ([[True], [False], [True]], None)


def test_do_compression_byte_order_and_memory_order_not_matter(tmp_path: Path) -> None:
    array = sparse((5, 7))
    np.savez_compressed(
        tmp_path / "a.npz", big=array.astype(">f4"), fortran=np.asfortranarray(array)
    )
    for matrix in read_masks(tmp_path / "a.npz").matrices:
        assert matrix.weight is not None and matrix.weight.dtype == np.dtype("=f4")
        assert matrix.weight.tolist() == array.tolist()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (11, 13)])
@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_are_odd_shapes_and_all_zero_or_all_one_no_errors(
    tmp_path: Path, shape: tuple[int, int], fill: float
) -> None:
    np.savez(tmp_path / "a.npz", m=np.full(shape, fill))
    matrix = only(tmp_path / "a.npz")
    assert (matrix.shape, matrix.density) == (shape, fill)


def test_are_layers_put_in_network_order(tmp_path: Path) -> None:
    one = np.ones((1, 1))
    arrays: dict[str, Any] = {"layer10.Q": one, "layer2.FFN1": one, "layer2.K": one}
    np.savez(tmp_path / "a.npz", **arrays)
    names = [m.name for m in read_masks(tmp_path / "a.npz").matrices]
    assert names == ["layer2.K", "layer2.FFN1", "layer10.Q"]


def test_is_conv1d_turned_at_the_door_and_our_schema_never(tmp_path: Path) -> None:
    stored: dict[str, Any] = {
        "h.0.attn.c_attn.weight": sparse((4, 12)),
        "h.0.mlp.c_proj.weight": sparse((16, 4)),
    }
    np.savez(tmp_path / "gpt2.npz", **stored)
    masks = read_masks(tmp_path / "gpt2.npz")
    assert [m.shape for m in masks.matrices] == [(12, 4), (4, 16)]
    assert masks.matrices[0].weight is not None
    assert masks.matrices[0].weight.tolist() == stored["h.0.attn.c_attn.weight"].T.tolist()
    assert [w.shape for w in read_weights(tmp_path / "gpt2.npz").values()] == [(12, 4), (4, 16)]
    write_masks(tmp_path / "ours.npz", masks)
    assert [m.shape for m in read_masks(tmp_path / "ours.npz").matrices] == [(12, 4), (4, 16)]
    assert [w.shape for w in read_weights(tmp_path / "ours.npz").values()] == [(12, 4), (4, 16)]


# --- safetensors --------------------------------------------------------------------------------


def save_bfloat16(path: Path, name: str, upper_halves: NDArray[np.uint16]) -> None:
    entry = {
        "dtype": "BF16",
        "shape": list(upper_halves.shape),
        "data_offsets": [0, upper_halves.nbytes],
    }
    header = json.dumps({"__metadata__": {"format": "pt"}, name: entry}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + upper_halves.tobytes())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_are_safetensors_read_with_their_type(tmp_path: Path, dtype: Any) -> None:
    weight = sparse((5, 7), dtype)
    path = tmp_path / "m.safetensors"
    tensors = {"layer0.Q": weight, "bias": np.ones(3, dtype), "n": np.array(3)}
    safetensors.numpy.save_file(tensors, path)
    assert list(read_weights(path)) == ["layer0.Q"]
    found = read_weights(path)["layer0.Q"]
    assert found.dtype == dtype and found.tolist() == weight.tolist()
    assert (only(path).keep == (weight != 0)).all()


def test_does_bfloat16_become_the_same_number_as_float32(tmp_path: Path) -> None:
    # 1.0 is 0x3f80, −2.0 is 0xc000, 3.140625 is 0x4049.
    path = tmp_path / "m.safetensors"
    save_bfloat16(path, "w", np.array([[0x3F80, 0xC000], [0x4049, 0]], np.uint16))
    found = read_weights(path)["w"]
    assert found.dtype == np.float32
    assert found.tolist() == [[1.0, -2.0], [3.140625, 0.0]]


def test_are_whole_and_sharded_model_directories_the_same(tmp_path: Path) -> None:
    query, key = sparse((4, 4)), sparse((4, 4))
    whole, sharded = tmp_path / "whole", tmp_path / "sharded"
    whole.mkdir()
    sharded.mkdir()
    safetensors.numpy.save_file(
        {"l.1.q_proj": query, "l.0.k_proj": key}, whole / "model.safetensors"
    )
    names = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    safetensors.numpy.save_file({"l.1.q_proj": query}, sharded / names[0])
    safetensors.numpy.save_file({"l.0.k_proj": key}, sharded / names[1])
    index = {"weight_map": {"l.1.q_proj": names[0], "l.0.k_proj": names[1]}}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    for folder in (whole, sharded):
        weights = read_weights(folder)
        assert list(weights) == ["l.0.k_proj", "l.1.q_proj"]
        assert weights["l.1.q_proj"].tolist() == query.tolist()
        assert [m.name for m in read_masks(folder).matrices] == list(weights)
    assert sha256_of(whole) != sha256_of(sharded)
    before = sha256_of(whole)
    (whole / "model.safetensors").rename(whole / "other.safetensors")
    assert sha256_of(whole) != before


# --- .smtx, .mtx, scipy -------------------------------------------------------------------------


def smtx(keep: NDArray[np.bool_]) -> str:
    offsets = [0, *np.cumsum(keep.sum(axis=1)).tolist()]
    columns = [c for row in keep for c in np.flatnonzero(row).tolist()]
    lines = (f"{keep.shape[0]}, {keep.shape[1]}, {len(columns)}", offsets, columns)
    return "\n".join(s if isinstance(s, str) else " ".join(map(str, s)) for s in lines) + "\n"


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (16, 23)])
@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_is_smtx_read(tmp_path: Path, shape: tuple[int, int], density: float) -> None:
    keep = RNG.random(shape) < density
    path = tmp_path / "encoder0.attention_q.smtx"
    path.write_text(smtx(keep))
    matrix = only(path)
    assert (matrix.name, matrix.kind, matrix.weight) == ("encoder0.attention_q", "Q", None)
    assert (matrix.keep == keep).all()


def test_is_smtx_by_hand_read(tmp_path: Path) -> None:
    (tmp_path / "a.smtx").write_text("2, 3, 3\n0 2 3\n2 0 1")
    assert only(tmp_path / "a.smtx").keep.tolist() == [[True, False, True], [False, True, False]]


def test_is_a_directory_of_smtx_files_one_model(tmp_path: Path) -> None:
    for name in ("encoder10.ffn_conv1", "encoder2.ffn_conv2", "encoder2.attention_k"):
        (tmp_path / f"{name}.smtx").write_text(smtx(np.ones((2, 3), np.bool_)))
    names = [m.name for m in read_masks(tmp_path).matrices]
    assert names == ["encoder2.attention_k", "encoder2.ffn_conv2", "encoder10.ffn_conv1"]
    assert len(sha256_of(tmp_path)) == 64


def test_are_matrix_market_coordinates_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mtx"
    path.write_text(
        "%%MatrixMarket matrix coordinate real general\n% a comment\n2 3 3\n"
        "1 1 1.5\n2 3 -2\n2 1 0\n"
    )
    matrix = only(path)
    # The stored zero in row 2, column 1 is not kept.
    assert matrix.keep.tolist() == [[True, False, False], [False, False, True]]
    assert matrix.weight is not None
    assert matrix.weight.tolist() == [[1.5, 0.0, 0.0], [0.0, 0.0, -2.0]]


@pytest.mark.parametrize(
    ("banner", "body", "weights"),
    [
        ("coordinate pattern symmetric", "2 2 2\n1 1\n2 1\n", None),
        ("coordinate integer symmetric", "2 2 2\n1 1 7\n2 1 7\n", None),
        ("coordinate real symmetric", "2 2 2\n1 1 7\n2 1 8\n", [[7.0, 8.0], [8.0, 0.0]]),
        # Arrays are written column by column.
        ("array real general", "2 2\n7\n9\n8\n0\n", [[7.0, 8.0], [9.0, 0.0]]),
        ("array real symmetric", "2 2\n7\n8\n0\n", [[7.0, 8.0], [8.0, 0.0]]),
        ("array integer general", "2 2\n7\n9\n8\n0\n", None),
    ],
)
def test_are_all_kinds_of_matrix_market_read(
    tmp_path: Path, banner: str, body: str, weights: list[list[float]] | None
) -> None:
    (tmp_path / "a.mtx").write_text(f"%%MatrixMarket matrix {banner}\n{body}")
    matrix = only(tmp_path / "a.mtx")
    assert matrix.keep.tolist() == [[True, True], [True, False]]
    assert (None if matrix.weight is None else matrix.weight.tolist()) == weights


@pytest.mark.parametrize("form", ["coordinate", "array"])
@pytest.mark.parametrize("symmetry", ["general", "symmetric", "skew-symmetric"])
@pytest.mark.parametrize("field", ["real", "integer", "pattern"])
def test_is_what_scipy_writes_as_mtx_read_as_scipy_reads_it(
    tmp_path: Path, form: str, symmetry: str, field: str
) -> None:
    if (form, field) == ("array", "pattern") or (symmetry, field) == ("skew-symmetric", "pattern"):
        pytest.skip("Matrix Market has no such files")
    dense = sparse((9, 9), np.float64) if field == "real" else np.round(3 * sparse((9, 9)))
    lower = np.tril(dense, -1)
    turned = {"general": dense, "symmetric": lower + lower.T, "skew-symmetric": lower - lower.T}
    matrix = turned[symmetry].astype(np.float64 if field == "real" else np.int64)
    stored = scipy.sparse.coo_matrix(matrix) if form == "coordinate" else matrix
    scipy.io.mmwrite(tmp_path / "a.mtx", stored, field=field, symmetry=symmetry, precision=17)
    found, read_back = only(tmp_path / "a.mtx"), scipy.io.mmread(tmp_path / "a.mtx")
    expected = scipy.sparse.csr_array(read_back).toarray()
    assert (found.keep == (expected != 0)).all()
    if field == "real":
        assert found.weight is not None and found.weight.tolist() == expected.tolist()
    else:
        assert found.weight is None


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr", "dia"])
@pytest.mark.parametrize("array_class", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.bool_, np.int8])
def test_are_all_scipy_formats_read(
    tmp_path: Path, format: str, array_class: bool, dtype: Any
) -> None:
    dense = sparse((6, 10), np.float64)
    dense = (dense != 0).astype(dtype) if dtype in (np.bool_, np.int8) else dense.astype(dtype)
    make = getattr(scipy.sparse, f"{format}_{'array' if array_class else 'matrix'}")
    path = tmp_path / "layer0.Q.npz"
    scipy.sparse.save_npz(path, make(dense))
    matrix = only(path)
    assert (matrix.name, matrix.kind) == ("layer0.Q", "Q")
    assert (matrix.keep == (dense != 0)).all()
    if dtype in (np.bool_, np.int8):
        assert matrix.weight is None
    else:
        assert matrix.weight is not None and matrix.weight.dtype == dtype
        assert matrix.weight.tolist() == dense.tolist()


@pytest.mark.parametrize("format", ["csr", "csc", "coo"])
def test_is_a_stored_zero_dropped_and_a_double_entry_added_up(tmp_path: Path, format: str) -> None:
    rows, cols, data = [0, 1, 1], [1, 0, 0], [0.0, 1.0, 2.0]
    if format == "coo":
        matrix = scipy.sparse.coo_matrix((data, (rows, cols)), shape=(2, 2))
    elif format == "csr":
        matrix = scipy.sparse.csr_matrix((data, cols, [0, 1, 3]), shape=(2, 2))
    else:
        matrix = scipy.sparse.csc_matrix((data, [1, 1, 0], [0, 2, 3]), shape=(2, 2))
        matrix.data[:] = [1.0, 2.0, 0.0]
    scipy.sparse.save_npz(tmp_path / "a.npz", matrix)
    found = only(tmp_path / "a.npz")
    assert found.keep.tolist() == [[False, False], [True, False]]
    assert found.weight is not None and found.weight.tolist() == [[0.0, 0.0], [3.0, 0.0]]


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.bool_])
def test_is_a_stored_zero_dropped_in_every_layout(tmp_path: Path, dtype: Any) -> None:
    dense = (RNG.random((4, 6)) < 0.3).astype(dtype)
    everything = scipy.sparse.coo_matrix(np.ones((4, 6), dtype))
    everything.data = dense[everything.row, everything.col]  # all places are stored, zeros too
    for format in ("coo", "csr", "csc", "bsr", "dia"):
        path = tmp_path / f"{format}.npz"
        scipy.sparse.save_npz(path, everything.asformat(format))
        assert (only(path).keep == (dense != 0)).all(), format
    scipy.io.mmwrite(
        tmp_path / "a.mtx", everything.astype(np.int64 if dtype != np.float32 else dtype)
    )
    assert (only(tmp_path / "a.mtx").keep == (dense != 0)).all()


def test_is_an_empty_scipy_matrix_read(tmp_path: Path) -> None:
    scipy.sparse.save_npz(tmp_path / "a.npz", scipy.sparse.csr_matrix((3, 4)))
    assert only(tmp_path / "a.npz").nnz == 0
