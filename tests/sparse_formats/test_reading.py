"""Is what is read checked: shapes in bounds, real files, one matrix per name, turned ones named?"""

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparse_formats.errors import InputError
from sparse_formats.files.atomic import check_writable
from sparse_formats.files.mask_file import read_masks, read_weights


@pytest.mark.parametrize("shape", [(0, 10**11), (10**11, 0)])
def test_can_a_matrix_without_entries_not_claim_an_endless_side(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    header = f"{{'descr': '|b1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    member = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    path = tmp_path / "wide.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m.npy", member)
    with pytest.raises(InputError, match="a side is at most"):
        read_masks(path)
    rows, cols = shape
    smtx = tmp_path / "wide.smtx"
    smtx.write_text(f"{rows}, {cols}, 0\n0\n\n")
    with pytest.raises(InputError):
        read_masks(smtx)


def test_is_a_pipe_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.npz"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="neither a file nor a directory"):
        read_masks(pipe)
    with pytest.raises(InputError, match="not a regular file"):
        check_writable(pipe)
    for stream in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        with pytest.raises(InputError, match="it is an open stream"):
            check_writable(Path(stream))


def test_are_two_files_of_one_name_refused_and_capital_endings_read(tmp_path: Path) -> None:
    (tmp_path / "a.smtx").write_text("1, 2, 1\n0 1\n0\n")
    (tmp_path / "B.SMTX").write_text("1, 2, 1\n0 1\n1\n")
    assert sorted(m.name for m in read_masks(tmp_path).matrices) == ["B", "a"]
    (tmp_path / "a.mtx").write_text("%%MatrixMarket matrix coordinate pattern general\n1 1 0\n")
    with pytest.raises(InputError, match="two files name their matrix a"):
        read_masks(tmp_path)


def test_are_turned_matrices_named(tmp_path: Path) -> None:
    path = tmp_path / "gpt2.npz"
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "h.0.attn.c_attn.weight": rng.random((4, 12)),
        "other": rng.random((3, 5)),
    }
    np.savez(path, **arrays)
    masks = read_masks(path)
    assert masks.header["stored_in_out"] == ["h.0.attn.c_attn.weight"]
    assert {m.name: m.shape for m in masks.matrices}["h.0.attn.c_attn.weight"] == (12, 4)
    turned = read_weights(path)["h.0.attn.c_attn.weight"]
    assert np.array_equal(turned, arrays["h.0.attn.c_attn.weight"].T)


def test_is_an_input_never_an_output(tmp_path: Path) -> None:
    source, link = tmp_path / "in.npz", tmp_path / "link.npz"
    source.write_bytes(b"x")
    link.symlink_to(source)
    for target in (source, link, tmp_path / "." / "in.npz"):
        with pytest.raises(InputError, match="it is the input"):
            check_writable(target, [source])
    check_writable(tmp_path / "new.npz", [source])
