"""Is a file of 8-bit numbers run as INT8, and are the products written that were computed?"""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_sim.__main__ import COMMANDS
from sparse_formats.errors import InputError
from sparse_formats.files import int8_file
from sparse_formats.files.int8_file import QuantizedMatrix
from sparse_formats.terminal.command import call

pytestmark = pytest.mark.rule(microarchitecture=8)


def run(folder: Path, *words: object) -> Any:
    """The report of `run`, as JSON."""
    call(COMMANDS, "run", *words, "--json", folder / "report.json", "--tokens", 9)
    return json.loads((folder / "report.json").read_text())


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    keep = rng.random((24, 40)) < 0.3
    weight = np.where(keep, rng.integers(-127, 128, keep.shape), 0).astype(np.int8)
    matrix = QuantizedMatrix("a", keep, weight, 0.1, 0.1, 128, np.zeros(24, np.int32))
    int8_file.write(tmp_path / "whole.safetensors", [matrix], {})
    return tmp_path / "whole.safetensors"


def noted(report: Any) -> str:
    return next((note for note in report["notes"] if "INT8" in note), "")


def test_are_whole_weights_run_as_int8_unless_said_otherwise(whole: Path, tmp_path: Path) -> None:
    report = run(tmp_path, "--mask", whole)
    assert report["accelerator"]["array"]["datatype"]["value"] == "int8"
    assert report["layers"][0]["storage_bits"]["values"] == 8 * report["layers"][0]["nnz"]
    assert "set to array.datatype=int8; --set array.datatype=fp16" in noted(report)
    # The command in the report gives it again, with the same explanation.
    again = run(tmp_path, *shlex.split(report["command"])[4:])
    assert {**again, "timestamp": ""} == {**report, "timestamp": ""}
    said = run(tmp_path, "--mask", whole, "--set", "datatype=int8")
    assert noted(said) == "" and said["layers"] == report["layers"]
    kept = run(tmp_path, "--mask", whole, "--set", "array.datatype=fp16")
    assert kept["accelerator"]["array"]["datatype"]["value"] == "fp16"
    assert noted(kept) == "The weights are INT8; they are run as fp16, as was set."
    rival = run(tmp_path, "--mask", whole, "--accelerator", "systolic_ws")
    assert noted(rival) == "The weights are INT8; systolic_ws is run with its own fp16."


def test_does_another_file_keep_the_machine_as_it_is(tmp_path: Path) -> None:
    weight = np.eye(8, dtype=np.float32)
    for stored in (weight, weight.astype(np.int8)):  # the second is a mask only
        np.savez(tmp_path / "m.npz", a=stored)
        report = run(tmp_path, "--mask", tmp_path / "m.npz")
        assert report["accelerator"]["array"]["datatype"]["value"] == "fp16"
        assert noted(report) == ""


def test_are_the_products_written_as_tokens_by_outputs(whole: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(1).integers(-128, 128, (9, 40)).astype(np.int8)
    np.savez(tmp_path / "x.npz", a=x)
    (held,), _ = int8_file.read(whole)
    out = tmp_path / "products.npz"
    given = ("--mask", whole, "--activations", tmp_path / "x.npz", "--outputs", out)
    report = run(tmp_path, *given)
    assert f"--outputs {out}" in report["command"]
    first = out.read_bytes()
    product = np.load(out)["a"]
    assert product.dtype == np.int32
    assert np.array_equal(product, x.astype(np.int64) @ held.weight.T.astype(np.int64))
    run(tmp_path, *given)
    assert out.read_bytes() == first
    # In floating point likewise, up to rounding.
    weight = np.random.default_rng(2).standard_normal((24, 40)).astype(np.float16)
    np.savez(tmp_path / "m.npz", a=weight)
    run(tmp_path, "--mask", tmp_path / "m.npz", *given[2:])
    product = np.load(out)["a"]
    assert product.dtype == np.float32 and product.shape == (9, 24)
    assert np.allclose(product, x.astype(np.float64) @ weight.T.astype(np.float64), rtol=1e-4)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--outputs", "{}/y.txt"], "give the name of a .npz file"),
        (["--outputs", "{}/y.npz", "--no-check"], "--no-check does not compute"),
        (["--outputs", "{}/m.npz"], "it is the input"),
    ],
)
def test_is_a_product_that_cannot_be_refused_before_the_run(
    words: list[str], says: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "m.npz", a=np.eye(8))
    np.savez(tmp_path / "bare.npz", a=np.eye(8, dtype=np.bool_))
    before = (tmp_path / "m.npz").read_bytes()
    with pytest.raises(InputError, match=says):
        run(tmp_path, "--mask", tmp_path / "m.npz", *(w.format(tmp_path) for w in words))
    with pytest.raises(InputError, match="needs weights in the mask file"):
        run(tmp_path, "--mask", tmp_path / "bare.npz", "--outputs", tmp_path / "y.npz")
    assert (tmp_path / "m.npz").read_bytes() == before
    assert not (tmp_path / "y.npz").exists()


def test_writes_a_rival_its_product_too(tmp_path: Path) -> None:
    weight = np.random.default_rng(3).integers(-9, 10, (70, 40)).astype(np.float32)
    x = np.random.default_rng(4).integers(-9, 10, (9, 40)).astype(np.float32)
    np.savez(tmp_path / "m.npz", a=weight)
    np.savez(tmp_path / "x.npz", a=x)
    out = tmp_path / "y.npz"
    words = ("--mask", tmp_path / "m.npz", "--activations", tmp_path / "x.npz", "--outputs", out)
    run(tmp_path, *words, "--accelerator", "tensor_core_dense")
    assert np.array_equal(np.load(out)["a"], x @ weight.T)
    # On a machine of integers in units of the two scales.
    run(tmp_path, *words, "--accelerator", "eie")
    scale = (np.abs(weight).max() / 32767) * (np.abs(x).max() / 32767)
    assert np.allclose(np.load(out)["a"] * scale, x @ weight.T, atol=0.2)


def test_is_a_matrix_without_a_product_noted(tmp_path: Path) -> None:
    # The second is beyond FP16: it is not multiplied.
    np.savez(tmp_path / "m.npz", a=np.eye(8), b=1e6 * np.eye(8))
    report = run(tmp_path, "--mask", tmp_path / "m.npz", "--outputs", tmp_path / "y.npz")
    assert np.load(tmp_path / "y.npz").files == ["a"]
    assert any("holds no product of 1 matrices, e.g. b" in note for note in report["notes"])
