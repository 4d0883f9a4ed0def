"""Does `inspect` show what each format costs, in a table and in JSON?"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparse_formats.__main__ import main
from sparse_formats.files.mask_file import sha256_of, write_masks
from sparse_formats.files.output_folder import MANIFEST
from sparse_formats.formats.registry import FORMATS
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet

KEEP = np.array([[c == "#" for c in row] for row in ("##..#.", "......", "####..")])


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    matrices = (
        MaskedMatrix("embeddings.word_embeddings", np.ones((9, 9), bool), None, "embedding"),
        MaskedMatrix("layer0.Q", KEEP, None, "Q"),
        MaskedMatrix("layer0.[bold]FFN1", np.zeros((2, 4), bool), None, "FFN1"),
    )
    write_masks(tmp_path / "out.npz", MaskSet(matrices, {"method": "mvp"}))
    return tmp_path / "out.npz"


BY_HAND = (
    *("dense", "csr", "csc", "relative_csc", "run_length", "bitmap", "ellpack", "n_m"),
    *("vector_wise", "bsr", "sa_rcsc", "mixed_vectors", "mixed_vectors_tiled"),
)
"""The formats whose bits are worked out below; a format added later is not among them."""


@pytest.fixture(autouse=True)
def formats_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FORMATS.keys() - BY_HAND:
        monkeypatch.delitem(FORMATS, name)


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> str:
    monkeypatch.setattr(sys, "argv", ["sparse_formats", "inspect", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_does_json_hold_the_numbers_worked_out_by_hand(
    mask: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report: Any = json.loads(run(monkeypatch, capsys, "--mask", str(mask), "--json", "-"))
    read = report["mask"].pop("read")
    assert [(item["shape"], item["why"]) for item in read["left_out"]] == [([9, 9], "an embedding")]
    assert report["mask"] == {
        "source": str(mask),
        "sha256": sha256_of(mask),
        "origin": {"method": "mvp"},
    }
    query, empty = report["layers"]
    # As in the storage tests: 7 kept; CSR 112 + 21 + 12, CSC 112 + 14 + 21, vectors 112 + 17 + 12.
    # Dense 18·16; runs of 4 bits 7·20, with 7 pointers of 3 bits in CSC; bitmap 112 + 18; ELLPACK
    # 3 rows of 4 slots of 16 + 3 bits, 3 lengths of 3; SA-RCSC 7·(16 + 7), 8·2 pointers of 3 bits,
    # 3 rows' numbers of 2 bits.
    assert (query["rows"], query["cols"], query["nnz"]) == (3, 6, 7)
    assert (query["orientation"], query["vectors"]) == ("horizontal", 4)
    assert query["mean_vector_length"] == 7 / 4
    assert {name: f["bits"] for name, f in query["formats"].items()} == {
        "dense": 288,
        "csr": 145,
        "csc": 147,
        "relative_csc": 161,
        "run_length": 140,
        "bitmap": 130,
        "ellpack": 237,
        "sa_rcsc": 215,
        "mixed_vectors": 141,
        "mixed_vectors_tiled": 141,
    }
    assert query["cannot_hold"].keys() == {"n_m", "vector_wise", "bsr"}
    assert query["cannot_hold"]["n_m"].startswith("mask is not 2:4: row 2, columns 0..3 keep 4;")
    assert query["formats"]["csr"]["bits_per_element"] == 145 / 18
    # 141 bits are 18 bytes.
    assert query["formats"]["mixed_vectors"]["mb"] == 18e-6
    assert query["smallest"] == "bitmap"
    assert query["ratio_to_dense_fp16"] == 18 * 16 / 130
    assert query["formats"]["csr"]["ratio_to_dense_fp16"] == 18 * 16 / 145
    # Nothing kept: no bits, no vectors, no ratio.
    assert (empty["smallest"], empty["ratio_to_dense_fp16"]) == ("csr", None)
    assert empty["mean_vector_length"] is None
    assert report["total"]["formats"]["mixed_vectors"]["bits"] == 141 + 1
    assert report["total"]["cannot_hold"]["n_m"].startswith("layer0.Q: mask is not 2:4")
    assert "bitmap (3.01×" in report["claim"].partition("does not hold for")[2]
    assert (report["total"]["entries"], report["total"]["nnz"]) == (18 + 8, 7)


def test_what_does_an_all_zero_mask_say_of_the_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "zero.npz", Q=np.zeros((8, 4), bool))
    out = run(monkeypatch, capsys, "--mask", str(tmp_path / "zero.npz"), "--json", "-")
    assert json.loads(out)["claim"].endswith("is undefined: nothing is kept.")


def test_does_value_bits_count(
    mask: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run(monkeypatch, capsys, "--mask", str(mask), "--json", "-", "--value-bits", "4")
    assert json.loads(out)["layers"][0]["formats"]["csr"]["value_bits"] == 7 * 4


def test_are_layers_chosen(
    mask: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = ("--include", "embed", "--include", "layer", "--exclude", "FFN")
    report = json.loads(run(monkeypatch, capsys, "--mask", str(mask), "--json", "-", *chosen))
    names = [layer["name"] for layer in report["layers"]]
    assert names == ["embeddings.word_embeddings", "layer0.Q"]


def test_does_the_table_show_every_layer_and_the_total(
    mask: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    target = tmp_path / "report.json"
    out = run(monkeypatch, capsys, "--mask", str(mask), "--json", str(target))
    (row,) = (line for line in out.splitlines() if "layer0.Q" in line)
    # Kept 7/18; each format's bits over 18, the bitmap's the fewest; 288/130.
    numbers = "16.00 8.06 8.17 8.94 7.78 7.22* 13.17 – – – 11.94 7.83 7.83 bitmap 2.22"
    assert row.split() == ["layer0.Q", "Q", "3×6", "0.389", "4─", "1.75", *numbers.split()]
    assert "layer0.[bold]FFN1" in out
    assert "total of 2" in out
    assert json.loads(target.read_text())["schema_version"] == 1


def test_is_the_picture_drawn_whole_or_not_at_all(
    mask: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    for target, file in ((folder, folder / "formats.png"), (folder / "a.png", folder / "a.png")):
        run(monkeypatch, capsys, "--mask", str(mask), "--plot", str(target))
        assert file.read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in folder.glob("*")) == [MANIFEST, "a.png", "formats.png"]
    missing = tmp_path / "nowhere" / "deep" / "a.png"
    monkeypatch.setattr(
        sys, "argv", ["sparse_formats", "inspect", "--mask", str(mask), "--plot", str(missing)]
    )
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "cannot write" in capsys.readouterr().err


def test_does_help_load_neither_numba_nor_scipy() -> None:
    code = (
        "import sys; sys.argv[1:] = ['inspect', '--help']\n"
        "from sparse_formats.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert stop.code == 0\n"
        "slow = {'numba', 'scipy', 'torch', 'matplotlib', 'safetensors'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--mask" in done.stdout


def test_do_readers_load_neither_numba_nor_scipy() -> None:
    code = (
        "import sys; import sparse_formats.files.mask_file, sparse_formats.masks.selection\n"
        "import sparse_formats.masks.synthetic\n"
        "slow = {'numba', 'scipy', 'torch'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_is_the_mask_never_overwritten_by_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = tmp_path / "mask.npz"
    np.savez(mask, m=np.eye(4))
    before = mask.read_bytes()
    words = ["inspect", "--mask", str(mask), "--json", str(mask)]
    monkeypatch.setattr(sys, "argv", ["inspect", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "it is the input" in capsys.readouterr().err
    assert mask.read_bytes() == before
