"""Does every bad input end in one line that says what, where, found, and what to do?"""

import json
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from numpy.typing import NDArray

from sparse_formats.__main__ import main
from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_masks, read_weights, sha256_of, write_masks
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
from sparse_formats.masks.vectors import VectorLayout


def npy_header(text: str) -> bytes:
    content = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(content)) + content


def npy_claiming(shape: str, data: bytes = b"", descr: str = "<f4") -> bytes:
    return npy_header(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}") + data


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def savez(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def truncated(path: Path) -> Path:
    savez(path, m=np.ones((50, 50)))
    return written(path, path.read_bytes()[:9000])


def flipped(path: Path) -> Path:
    savez(path, m=np.ones((50, 50)))
    content = bytearray(path.read_bytes())
    content[5000] ^= 0xFF
    return written(path, bytes(content))


def bomb(path: Path) -> Path:
    """Three gigabytes of zeros, really deflated, in three megabytes."""
    size, block = 3 * 2**30, bytes(2**24)
    header = npy_claiming(f"({size // 4 // 1024}, 1024)")
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    # One block's worth of deflated zeros, repeated: the compressor need not run over all.
    start = deflate.compress(header) + deflate.flush(zlib.Z_FULL_FLUSH)
    zeros = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = zeros.compress(block) + zeros.flush(zlib.Z_FULL_FLUSH)
    end = zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    data = start + piece * (size // len(block)) + end
    info = struct.pack(
        "<HHHHHIIIHH", 20, 0, 8, 0, 0, 0, len(data), len(header) + size, len(b"m.npy"), 0
    )
    local = b"PK\x03\x04" + info + b"m.npy"
    entry = b"PK\x01\x02" + struct.pack("<H", 20) + info + struct.pack("<HHHII", 0, 0, 0, 0, 0)
    entry += b"m.npy"
    tail = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local + data), 0)
    return written(path, local + data + entry + tail)


def complex_matrix(path: Path) -> Path:
    return savez(path, m=np.ones((2, 2), complex))


def pickled(path: Path) -> Path:
    return savez(path, m=np.array([[{"a": 1}]], object))


NPZ: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda p: p, r"does not exist; give a mask file"),
    "not a zip": (lambda p: written(p, "hello"), r"not a readable \.npz archive"),
    "empty file": (lambda p: written(p, ""), r"not a readable \.npz archive"),
    "empty zip": (lambda p: archive(p, {}), r"holds no 2-D array of numbers, found nothing"),
    "truncated": (truncated, r"not a readable \.npz archive"),
    "a byte flipped": (flipped, r"array m cannot be read .*damaged"),
    "pickled": (
        pickled,
        r"array m has element type '\|O', pickled Python objects, which may run code",
    ),
    "structured": (
        lambda p: savez(p, m=np.zeros((2, 2), [("a", "f4"), ("b", "i4")])),
        r"array m has a header that does not describe a plain array",
    ),
    "no array member": (
        lambda p: archive(p, {"m.npy": b"hello"}),
        r"member m is not a NumPy array",
    ),
    "header not closed": (
        lambda p: archive(p, {"m.npy": npy_header("{'descr': '<f4'")}),
        r"does not describe a plain array",
    ),
    "header runs code": (
        lambda p: archive(p, {"m.npy": npy_header("__import__('os').getcwd()")}),
        r"does not describe a plain array",
    ),
    "unknown element type": (
        lambda p: archive(p, {"m.npy": npy_claiming("(1, 1)", b"", "<q9")}),
        r"array m has element type '<q9'; save it as booleans",
    ),
    "claims terabytes": (
        lambda p: archive(p, {"m.npy": npy_claiming("(1000000, 1000000)", bytes(64))}),
        r"array m claims shape \(1000000, 1000000\) of float32, 4000000000000 bytes, but has 64",
    ),
    "claims too little": (
        lambda p: archive(p, {"m.npy": npy_claiming("(1, 1)", bytes(64))}),
        r"claims shape \(1, 1\) of float32, 4 bytes, but has 64",
    ),
    "a bomb": (bomb, r"\d.\d\d GB of memory.*4 times the 3\d{6} bytes.*--max-memory \d allows it"),
    "only vectors": (
        lambda p: savez(p, bias=np.ones(3), cube=np.ones((1, 1, 1))),
        r"holds no 2-D array of numbers, found bias float64\[3\], cube float64\[1, 1, 1\]",
    ),
    "strings": (lambda p: savez(p, m=np.array([["a"]])), r"holds no 2-D array of numbers"),
    "complex": (complex_matrix, r"array m has element type '<c16'; save it as"),
    "longdouble": (
        lambda p: savez(p, m=np.ones((2, 2), np.longdouble)),
        r"array m has element type '<f1[26]'; save it as .* floats of 16, 32 or 64 bits",
    ),
    "NaN": (
        lambda p: savez(p, a=np.ones((2, 2)), m=np.array([[0.0, 1.0], [2.0, np.nan]])),
        r"matrix m has nan at row 1, column 1; weights must be finite",
    ),
    "infinity": (
        lambda p: savez(p, m=np.array([[0.0, -np.inf, np.nan]], np.float16)),
        r"matrix m has -inf at row 0, column 1",
    ),
}


@pytest.mark.parametrize(("make", "says"), NPZ.values(), ids=NPZ)
def test_what_does_a_bad_npz_say(tmp_path: Path, make: Callable[[Path], Path], says: str) -> None:
    path = make(tmp_path / "bad.npz")
    for read in (read_masks, read_weights):
        with pytest.raises(InputError, match=says) as caught:
            read(path)
        assert "bad.npz" in str(caught.value) and "\n" not in str(caught.value)


# What NumPy knows besides the few element types that are read; the first dozen are ways to write
# "Python objects", which NumPy takes from the file's bytes as addresses of its memory.
OTHER_ELEMENTS = (
    *("O", "O8", "|O8", "<O8", "=O", "object", "object_", "i8,O", "O,O", "(2,)O", "O4", "2O"),
    *("V8", "|V2", "M8[ns]", "<m8", "<c8", "<c16", "S", "S0", "|S0", "U", "<U0", "a5", "p", "P"),
    *("?", "q", "d", "f", "float64", "int", "<f16", "f1", "f3", "i16", "<i3", "b2", "b4", "B"),
    *(" f4", "f4 ", "<<f4", "f4,f4", "(3,)f4", "", "U9999999", "f٤", "<f4\\n"),
)


@pytest.mark.parametrize("descr", OTHER_ELEMENTS)
def test_is_every_other_element_type_refused_unread(tmp_path: Path, descr: str) -> None:
    for key, shape in (("m", "(1, 4)"), ("format", "()"), ("mvpsim/header", "(4,)")):
        content = npy_claiming(shape, b"\x41" * 32, descr)
        path = archive(tmp_path / "bad.npz", {f"{key}.npy": content})
        with pytest.raises(InputError, match=f"array {key} has element type"):
            read_masks(path)


@pytest.mark.parametrize(
    ("shape", "descr", "data", "says"),
    [
        ("(0, 999999999999999999, 999999999)", "<f4", b"", "claims a shape of more than"),
        ("(999999999999999999, 0)", "<f4", b"", "a side is at most 16777216"),
        (f"({'1, ' * 33})", "<f4", bytes(4), "has 33 dimensions, at most 32 can be read"),
        (f"({'9' * 19},)", "<f4", b"", "does not describe a plain array"),
        (f"({'9' * 5000},)", "<f4", b"", "does not describe a plain array"),
        ("(1 2, 3)", "<f4", bytes(24), "does not describe a plain array"),
        ("(1L2,)", "<f4", bytes(4), "does not describe a plain array"),
        ("(-1, 4)", "<f4", bytes(4), "does not describe a plain array"),
        ("(1000000000, 1)", "<U0", b"", "has element type '<U0'"),
    ],
)
def test_is_a_shape_refused_that_no_array_has(
    tmp_path: Path, shape: str, descr: str, data: bytes, says: str
) -> None:
    path = archive(tmp_path / "bad.npz", {"m.npy": npy_claiming(shape, data, descr)})
    with pytest.raises(InputError, match=says):
        read_masks(path)


@pytest.mark.parametrize("descr", ["|b1", "|i1", "|u1", "<i2", ">u4", "<i8", "<f2", ">f4", "<f8"])
def test_are_the_element_types_of_masks_and_weights_read(tmp_path: Path, descr: str) -> None:
    array = np.array([[0, 1, 0], [1, 1, 0]], descr)
    (matrix,) = read_masks(savez(tmp_path / "a.npz", m=array)).matrices
    assert (matrix.keep == (array != 0)).all()


@pytest.mark.parametrize(
    ("dtype", "content", "says"),
    [
        ("<U3", b"\xff" * 12, "array format is not text"),
        ("<U1", struct.pack("<I", 0xD800), "array format is not text"),
        ("|S3", b"\xff\xfe\xfd", "unknown scipy.sparse format"),
        ("<f8", bytes(8), "holds no 2-D array of numbers"),
    ],
)
def test_is_a_text_refused_that_is_none(
    tmp_path: Path, dtype: str, content: bytes, says: str
) -> None:
    members = {"format.npy": npy_claiming("()", content, dtype)}
    members |= {f"{key}.npy": npy_claiming("(1,)", bytes(4)) for key in ("shape", "data")}
    with pytest.raises(InputError, match=says):
        read_masks(archive(tmp_path / "bad.npz", members))


def test_are_two_texts_not_taken_for_one(tmp_path: Path) -> None:
    path = savez(tmp_path / "a.npz", **scipy_arrays(format=np.array(["csr", "csc"])))
    with pytest.raises(InputError, match=r"array format must hold one text, found <U3 \[2\]"):
        read_masks(path)


def test_what_do_two_arrays_of_one_name_say(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w") as file,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        file.writestr("m.npy", npy_claiming("(1, 1)", bytes(4)))
        file.writestr("m.npy", npy_claiming("(1, 1)", bytes(4)))
    with pytest.raises(InputError, match="two arrays are called m"):
        read_masks(tmp_path / "a.npz")


SMTX = {
    "empty": ("", "is empty"),
    "words": ("a, b, c\n0\n\n", "line 1 must hold whole numbers .* found 'a'"),
    "two numbers": ("2, 2\n0 1 2\n0 1\n", "it must be 'rows, cols, nnz'"),
    "negative": ("-2, 2, 2\n0 1 2\n0 1\n", "it must be 'rows, cols, nnz'"),
    "no columns line": ("2, 2, 2\n0 1 2\n", "2 lines of text for 2 non-zeros"),
    "a fourth line": ("2, 2, 2\n0 1 2\n0 1\n1 1\n", "4 lines of text"),
    "a fraction": ("2, 2, 2\n0 1.5 2\n0 1\n", "line 2 must hold whole numbers .* found '1.5'"),
    "beyond 64 bits": ("2, 2, 2\n0 1 2\n0 99999999999999999999\n", "line 3 must hold"),
    "too few offsets": ("2, 2, 2\n0 2\n0 1\n", "has 2 offsets for 2 lines; it needs 3"),
    "offsets fall": ("2, 2, 2\n0 3 2\n0 1\n", "found 0 … 2, falling at line 1"),
    "offsets end early": ("2, 2, 2\n0 1 1\n0 1\n", "rise from 0 to the 2 entries, found 0 … 1"),
    "too few columns": ("2, 2, 2\n0 1 2\n0\n", "says 2 non-zeros, but line 3 has 1"),
    "column outside": ("2, 2, 2\n0 1 2\n0 2\n", "column index 2, but columns are 0..1"),
    "column negative": ("2, 2, 2\n0 1 2\n0 -1\n", "column index -1"),
    "column twice": ("2, 3, 3\n0 1 3\n0 1 1\n", "row 1 has a column twice"),
    "claims terabytes": ("1, 1000000000000, 1\n0 1\n5\n", r"a side is at most 16777216"),
    "a pickle": ("\x80\x04\x95\x00", "line 1 must hold whole numbers"),
}


@pytest.mark.parametrize(("content", "says"), SMTX.values(), ids=SMTX)
def test_what_does_a_bad_smtx_say(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        read_masks(written(tmp_path / "bad.smtx", content))
    assert "bad.smtx" in str(caught.value) and "\n" not in str(caught.value)


BANNER = "%%MatrixMarket matrix coordinate real general\n"
MATRIX_MARKET = {
    "empty": ("", "line 1 must be"),
    "no banner": ("1 1 1\n1 1 1\n", "line 1 must be"),
    "complex": (
        "%%MatrixMarket matrix coordinate complex general\n1 1 1\n1 1 1 0\n",
        "cannot read 'coordinate complex general'",
    ),
    "no size line": (BANNER, "the size line is ''"),
    "two sizes": (BANNER + "2 2\n1 1 1\n", "coordinate needs 3 whole numbers"),
    "too few entries": (BANNER + "2 2 2\n1 1 1.5\n", "says 2 entries of 3 numbers, found 3"),
    "too many entries": (BANNER + "2 2 1\n1 1 1.5\n2 2 1\n", "says 1 entries .* found 6"),
    "index outside": (BANNER + "2 2 1\n3 1 1.5\n", "row index 2, but rows are 0..1"),
    "index zero": (BANNER + "2 2 1\n1 0 1.5\n", "column index -1, but columns are 0..1"),
    "words": (BANNER + "2 2 1\n1 1 word\n", "an entry is not a number: .*word"),
    "a fraction as index": (
        BANNER + "2 2 1\n1.5 1 1\n",
        "is not a whole number of 64 bits: .*1.5",
    ),
    "negative size": (BANNER + "2 -2 1\n1 1 1\n", "the size line is '2 -2 1'"),
    "symmetric, not square": (
        "%%MatrixMarket matrix coordinate pattern symmetric\n1 2 1\n1 1\n",
        "a symmetric matrix is square, found 1×2",
    ),
    "symmetric, upper triangle": (
        "%%MatrixMarket matrix coordinate pattern symmetric\n2 2 1\n1 2\n",
        "entry 1 at row 1, column 2; a symmetric file holds the lower triangle only",
    ),
    "array too short": (
        "%%MatrixMarket matrix array real general\n2 2\n1\n2\n3\n",
        "says 4 entries of 1 numbers, found 3",
    ),
    "claims many entries": (BANNER + "9 9 99999999999\n1 1 1\n", "says 99999999999 entries"),
    "claims terabytes": (BANNER + "99999999 1 1\n1 1 1\n", "a side is at most 16777216"),
    "NaN": (BANNER + "2 2 1\n2 1 nan\n", "matrix bad has nan at row 1, column 0"),
}


@pytest.mark.parametrize(("content", "says"), MATRIX_MARKET.values(), ids=MATRIX_MARKET)
def test_what_does_a_bad_matrix_market_file_say(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        read_masks(written(tmp_path / "bad.mtx", content))
    assert "bad.mtx" in str(caught.value) and "\n" not in str(caught.value)


def scipy_arrays(**changes: Any) -> dict[str, Any]:
    sound = {
        "format": np.array(b"csr"),
        "shape": np.array([2, 3]),
        "data": np.ones(3),
        "indices": np.array([0, 2, 1]),
        "indptr": np.array([0, 2, 3]),
    }
    return {key: value for key, value in (sound | changes).items() if value is not None}


SCIPY = {
    "unknown format": ({"format": np.array("lil")}, "unknown scipy.sparse format 'lil'"),
    "3-D": ({"shape": np.array([2, 3, 4])}, "a matrix has 2 dimensions"),
    "index outside": ({"indices": np.array([0, 3, 1])}, "column index 3, but columns are 0..2"),
    "index negative": ({"indices": np.array([0, -1, 1])}, "column index -1"),
    "float indices": ({"indices": np.ones(3)}, "indices must be integers"),
    "pointers fall": ({"indptr": np.array([0, 4, 3])}, "falling at line 1"),
    "pointers too few": ({"indptr": np.array([0, 3])}, "has 2 offsets for 2 lines"),
    "lengths differ": ({"data": np.ones(2)}, "indices and data differ in length"),
    "no pointers": ({"indptr": None}, "needs a 1-D array indptr, found nothing"),
    "2-D pointers": ({"indptr": np.ones((2, 2), int)}, r"indptr, found shape \(2, 2\)"),
    "complex": ({"data": np.ones(3, complex)}, "array data has element type '<c16'"),
    "NaN": ({"data": np.array([1, 2, np.nan])}, "matrix bad has nan at row 1, column 1"),
    "claims terabytes": (
        {"shape": np.array([2, 10**12])},
        r"a side is at most 16777216",
    ),
    "wrong blocks": (
        {"format": np.array("bsr"), "data": np.ones((3, 2, 2))},
        "cannot be cut into blocks",
    ),
    "diagonals missing": (
        {"format": np.array("dia"), "data": np.ones((2, 3)), "offsets": np.array([0])},
        "differ in length",
    ),
}


@pytest.mark.parametrize(("changes", "says"), SCIPY.values(), ids=SCIPY)
def test_what_does_a_bad_scipy_file_say(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    path = savez(tmp_path / "bad.npz", **scipy_arrays(**changes))
    with pytest.raises(InputError, match=says):
        read_masks(path)


def test_is_the_scipy_file_sound_that_the_bad_ones_are_made_of(tmp_path: Path) -> None:
    (matrix,) = read_masks(savez(tmp_path / "a.npz", **scipy_arrays())).matrices
    expected = scipy.sparse.csr_array((np.ones(3), [0, 2, 1], [0, 2, 3]), shape=(2, 3))
    assert (matrix.keep == (expected.toarray() != 0)).all()


def safetensors_file(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype: str = "F32", shape: Any = (1, 2), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


SAFETENSORS = {
    "empty": (b"", "cut short or not a .safetensors file"),
    "header claims exabytes": (safetensors_file({}, length=2**60), "its header claims 11529"),
    "no JSON": (safetensors_file(b"hello"), "the header is not JSON"),
    "no object": (safetensors_file([1]), "the header is not a JSON object"),
    "deep JSON": (safetensors_file(b"[" * 100_000), "the header is not JSON"),
    "no tensor": (safetensors_file({}), "no 2-D"),
    "no dtype": (safetensors_file({"w": {}}), "tensor w has no valid dtype"),
    "fractional shape": (safetensors_file(tensor(shape=[1.5, 2])), "tensor w has no valid"),
    "negative offsets": (safetensors_file(tensor(offsets=[-8, 0])), "tensor w has no valid"),
    "cut short": (safetensors_file(tensor(), bytes(4)), "tensor w ends at byte 8 of 4"),
    "size and shape differ": (
        safetensors_file(tensor(shape=[9, 9]), bytes(8)),
        r"tensor w of shape \(9, 9\) F32 needs 324 bytes but has 8",
    ),
    "unknown type": (
        safetensors_file(tensor("F4", (1, 2), (0, 1)), bytes(1)),
        "tensor w has element type F4; known: BOOL",
    ),
    "truth for a number": (safetensors_file(tensor(shape=[True, 2])), "tensor w has no valid"),
    "no bytes of a shape beyond counting": (
        safetensors_file(tensor(shape=[0, 10**18, 10**18], offsets=[0, 0])),
        "array w claims a shape of more than",
    ),
    "many dimensions": (
        safetensors_file(tensor(shape=[1] * 40 + [2]), bytes(8)),
        "array w has 41 dimensions",
    ),
    "bytes of two tensors": (
        safetensors_file(
            tensor() | {"v": {"dtype": "F32", "shape": [1, 2], "data_offsets": [4, 12]}}, bytes(12)
        ),
        "tensors w and v share bytes; the file is damaged",
    ),
    "NaN": (
        safetensors_file(tensor(), np.array([1, np.nan], "<f4").tobytes()),
        "matrix w has nan at row 0, column 1",
    ),
}


@pytest.mark.parametrize(("content", "says"), SAFETENSORS.values(), ids=SAFETENSORS)
def test_what_does_a_bad_safetensors_file_say(tmp_path: Path, content: bytes, says: str) -> None:
    path = written(tmp_path / "bad.safetensors", content)
    for read in (read_masks, read_weights):
        with pytest.raises(InputError, match=says):
            read(path)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "holds no model.safetensors"),
        ({"pytorch_model.bin": "x"}, "PyTorch pickle, which may run code"),
        ({"model.safetensors.index.json": "{"}, "not an index of shards"),
        ({"model.safetensors.index.json": '{"weight_map": [1]}'}, "not an index of shards"),
        (
            {"model.safetensors.index.json": '{"weight_map": {"w": "a.safetensors"}}'},
            "names the shard 'a.safetensors', which is not in",
        ),
        (
            {"model.safetensors.index.json": '{"weight_map": {"w": "../secret"}}'},
            "names the shard '../secret', which is not in",
        ),
    ],
)
def test_what_does_a_bad_model_directory_say(
    tmp_path: Path, files: dict[str, str], says: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    written(tmp_path / "secret", "x")
    for name, content in files.items():
        written(folder / name, content)
    for read in (read_masks, read_weights):
        with pytest.raises(InputError, match=says):
            read(folder)


@pytest.mark.parametrize("ending", [".pt", ".pth", ".bin", ".pkl", ".ckpt"])
def test_is_a_pickle_refused_unread(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path / f"model{ending}", b"\x80\x04")
    for read in (read_masks, read_weights):
        with pytest.raises(InputError, match=r"is a pickle, which may run code .*pruning convert "):
            read(path)


def test_what_do_other_paths_say(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown file name ending '.mtxx'; did you mean '.mtx'"):
        read_masks(written(tmp_path / "a.mtxx", ""))
    with pytest.raises(InputError, match=r"cannot read .*missing.npz: No such file"):
        sha256_of(tmp_path / "missing.npz")


def test_are_bools_no_weights(tmp_path: Path) -> None:
    path = savez(tmp_path / "a.npz", m=np.ones((2, 2), bool))
    with pytest.raises(InputError, match="holds no 2-D floating-point matrix"):
        read_weights(path)


# --- our own schema, tampered with ---------------------------------------------------------------


def our_arrays(tmp_path: Path) -> dict[str, Any]:
    keep = np.array([[True] * 4 + [False] * 3])
    layout = VectorLayout("horizontal", *(np.array([n], np.int32) for n in (0, 0, 4)))
    weight = np.where(keep, 1.5, 0).astype(np.float32)
    write_masks(tmp_path / "ours.npz", MaskSet((MaskedMatrix("m", keep, weight, "Q", layout),)))
    with np.load(tmp_path / "ours.npz") as file:
        return {name: file[name] for name in file.files}


def header_with(arrays: dict[str, Any], **changes: Any) -> NDArray[np.uint8]:
    header = json.loads(arrays["mvpsim/header"].tobytes())
    for key, value in changes.items():
        (header if key in header else header["matrices"][0])[key] = value
    return np.frombuffer(json.dumps(header).encode(), np.uint8)


TAMPERED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "newer version": ({"version": 2}, {}, "version 2, but this program reads .* version 1"),
    "newer, other layout": ({"version": 7, "matrices": 3}, {}, "version 7, but this program"),
    "other schema": ({"schema": "x"}, {}, "schema 'x' version 1"),
    "version a word": ({"version": "1"}, {}, "header is not well-formed"),
    "no matrices": ({"matrices": []}, {}, "holds no matrix"),
    "matrices no list": ({"matrices": 3}, {}, "header is not well-formed"),
    "shape too large": ({"shape": [1000, 1000]}, {}, r"has 1 bytes, but .* needs 125000"),
    "shape negative": ({"shape": [-1, -7]}, {}, r"has shape \(-1, -7\)"),
    "unknown orientation": ({"orientation": "up"}, {}, "header is not well-formed"),
    "unknown dtype": ({"weight": "int8"}, {}, "header is not well-formed"),
    "other dtype": ({"weight": "float16"}, {}, "1-D float16 array .* found float32"),
    "mask missing": ({}, {"mvpsim/0/keep": None}, "mvpsim/0/keep is needed, found nothing"),
    "mask too long": ({}, {"mvpsim/0/keep": np.zeros(2, np.uint8)}, "has 2 bytes, .* needs 1"),
    "mask changed": (
        {},
        {"mvpsim/0/keep": np.array([0b01111000], np.uint8)},
        "vectors do not make up its mask; they differ first at row 0, column 0",
    ),
    "weights too few": ({}, {"mvpsim/0/weight": np.ones(3, np.float32)}, "keeps 4 weights, but"),
    "weights NaN": (
        {},
        {"mvpsim/0/weight": np.array([1, 2, np.nan, 4], np.float32)},
        "matrix m has nan at row 0, column 2",
    ),
    "vector outside": ({}, {"mvpsim/0/lines": np.array([1], np.int32)}, "on a line outside 0..0"),
    "vectors differ": ({}, {"mvpsim/0/starts": np.zeros(2, np.int32)}, "int32 of one length"),
    "header no JSON": ({}, {"mvpsim/header": np.zeros(9, np.uint8)}, "header is not well-formed"),
    "header 2-D": ({}, {"mvpsim/header": np.zeros((3, 3), np.uint8)}, "1-D uint8 array"),
}


@pytest.mark.parametrize(("header", "arrays", "says"), TAMPERED.values(), ids=TAMPERED)
def test_what_does_our_file_say_when_tampered_with(
    tmp_path: Path, header: dict[str, Any], arrays: dict[str, Any], says: str
) -> None:
    sound = our_arrays(tmp_path)
    changed = sound | {"mvpsim/header": header_with(sound, **header)} | arrays
    path = savez(tmp_path / "bad.npz", **{k: v for k, v in changed.items() if v is not None})
    with pytest.raises(InputError, match=says) as caught:
        read_masks(path)
    assert "\n" not in str(caught.value)


# --- the command line -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--mask", "missing.npz"], "error: missing.npz does not exist"),
        (["--mask", "a.npz", "--include", "("], "error: --include '(' is not a regular"),
        (["--mask", "a.npz", "--include", "nothing"], "error: no matrix is left"),
        (["--mask", "a.npz", "--json", "missing/x.json"], "error: cannot write missing/x.json"),
        (["--mask", "a.npz", "--value-bits", "0"], "--value-bits"),
        (["--mask", "a.npz", "--value-bitz", "8"], "--value-bitz"),
        ([], "--mask"),
    ],
)
def test_does_the_command_line_say_it_and_exit_with_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    savez(tmp_path / "a.npz", m=np.ones((2, 2)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sparse_formats", "inspect", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert says in capsys.readouterr().err


def test_does_a_bad_file_end_the_process_in_one_line_and_status_2(tmp_path: Path) -> None:
    path = pickled(tmp_path / "bad\nname.npz")
    done = subprocess.run(
        [sys.executable, "-m", "sparse_formats", "inspect", "--mask", str(path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert "pickled Python object" in done.stderr
