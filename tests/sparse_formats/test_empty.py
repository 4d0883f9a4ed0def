"""Is a matrix without rows or columns a matrix like others, from file to table?"""

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from sparse_formats.__main__ import main
from sparse_formats.files.mask_file import read_masks, write_masks
from sparse_formats.masks.decompose import decompose
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet

SHAPES = [(0, 3), (3, 0), (0, 0)]


def npz(path: Path, shape: tuple[int, int]) -> None:
    np.savez(path, m=np.ones(shape, np.float32))


def scipy_npz(path: Path, shape: tuple[int, int]) -> None:
    scipy.sparse.save_npz(path, scipy.sparse.csr_array(shape))


def ours(path: Path, shape: tuple[int, int]) -> None:
    keep = np.ones(shape, np.bool_)
    write_masks(path, MaskSet((MaskedMatrix("m", keep, np.ones(shape), "Q", decompose(keep)),)))


def smtx(path: Path, shape: tuple[int, int]) -> None:
    offsets = " ".join(["0"] * (shape[0] + 1))
    path.write_text(f"{shape[0]}, {shape[1]}, 0\n{offsets}\n\n")


def matrix_market(path: Path, shape: tuple[int, int]) -> None:
    path.write_text(f"%%MatrixMarket matrix coordinate real general\n{shape[0]} {shape[1]} 0\n")


def safetensors(path: Path, shape: tuple[int, int]) -> None:
    header = {"m": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)


WRITERS: dict[str, tuple[str, Callable[[Path, tuple[int, int]], None]]] = {
    "plain npz": (".npz", npz),
    "scipy npz": (".npz", scipy_npz),
    "our npz": (".npz", ours),
    "smtx": (".smtx", smtx),
    "mtx": (".mtx", matrix_market),
    "safetensors": (".safetensors", safetensors),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_is_it_read(tmp_path: Path, writer: str, shape: tuple[int, int]) -> None:
    ending, write = WRITERS[writer]
    path = tmp_path / f"m{ending}"
    write(path, shape)
    (matrix,) = read_masks(path).matrices
    assert (matrix.shape, matrix.nnz, matrix.density) == (shape, 0, 0.0)


@pytest.mark.parametrize("shape", SHAPES)
def test_is_it_inspected(
    tmp_path: Path,
    shape: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    npz(tmp_path / "m.npz", shape)
    target = tmp_path / "report.json"
    words = ["sparse_formats", "inspect", "--mask", str(tmp_path / "m.npz"), "--json", str(target)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 0
    assert f"{shape[0]}×{shape[1]}" in capsys.readouterr().out
    (layer,) = json.loads(target.read_text())["layers"]
    undefined: Any = (layer["density"], layer["formats"]["csr"]["bits_per_element"])
    assert undefined == (None, None)
    assert layer["ratio_to_dense_fp16"] is None
