"""Files of one matrix: .npy and packed Matrix Market; and what files of other programs say."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_masks, read_weights, sha256_of


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [">f4", "<f8", "|b1", "|i1"])
def test_is_a_npy_file_one_matrix(tmp_path: Path, order: Any, dtype: str) -> None:
    array = np.asarray(np.eye(3, 5) * 2, dtype, order=order)
    np.save(tmp_path / "layer0.Q.npy", array)
    (matrix,) = read_masks(tmp_path / "layer0.Q.npy").matrices
    assert (matrix.name, matrix.kind) == ("layer0.Q", "Q")
    assert (matrix.keep == (array != 0)).all()
    if "f" in dtype:
        assert matrix.weight is not None and (matrix.weight == array).all()
        assert (read_weights(tmp_path / "layer0.Q.npy")["layer0.Q"] == array).all()
    else:
        assert matrix.weight is None


@pytest.mark.parametrize("array", [np.ones(3), np.ones((2, 2, 2)), np.array([["a"]])])
def test_is_a_npy_file_of_anything_else_refused(tmp_path: Path, array: Any) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match="no 2-D array of numbers"):
        read_masks(tmp_path / "a.npy")


def test_are_damaged_npy_files_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((4, 4)))
    whole = (tmp_path / "a.npy").read_bytes()
    for part in (whole[:-1], whole + b"x", whole[:40], b""):
        (tmp_path / "a.npy").write_bytes(part)
        with pytest.raises(InputError, match=r"a\.npy"):
            read_masks(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.array([[None]]), allow_pickle=True)
    with pytest.raises(InputError, match="may run code"):
        read_masks(tmp_path / "a.npy")


@pytest.mark.slow
def test_is_a_packed_matrix_market_file_read(tmp_path: Path) -> None:
    text = b"%%MatrixMarket matrix coordinate pattern general\n2 3 2\n1 1\n2 3\n"
    (tmp_path / "A.MTX.GZ").write_bytes(gzip.compress(text))
    for path in (tmp_path / "A.MTX.GZ", tmp_path):
        (matrix,) = read_masks(path).matrices
        assert matrix.name == "A"
        assert matrix.keep.tolist() == [[True, False, False], [False, False, True]]
    before = sha256_of(tmp_path)
    (tmp_path / "A.mtx").write_bytes(text)
    assert sha256_of(tmp_path) != before
    with pytest.raises(InputError, match="two files name their matrix A"):
        read_masks(tmp_path)
    for part in (b"x", gzip.compress(text)[:-9], gzip.compress(bytes(10**9), 9)):
        (tmp_path / "bad.mtx.gz").write_bytes(part)
        with pytest.raises(InputError, match=r"bad\.mtx\.gz"):
            read_masks(tmp_path / "bad.mtx.gz")


@pytest.mark.parametrize("ending", [".h5", ".msgpack", ".pt", ".bin", ".mat"])
def test_does_a_file_that_cannot_be_read_say_how_to_convert_it(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"model{ending}"
    path.write_bytes(b"x")
    for reader in (read_masks, read_weights):
        with pytest.raises(InputError, match=r"convert it first|save |give the model"):
            reader(path)
