"""Does the file of 8-bit numbers come back as it was written, and a damaged one end in one line?"""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from sparse_formats.errors import InputError
from sparse_formats.files import int8_file
from sparse_formats.files.int8_file import SCHEMA, QuantizedMatrix
from sparse_formats.files.mask_file import read_masks, read_weights
from sparse_formats.masks.matrix import MaskedMatrix


def matrices() -> tuple[QuantizedMatrix, ...]:
    rng = np.random.default_rng(0)
    keep = rng.random((6, 11)) < 0.4
    weight = np.where(keep, rng.integers(-127, 128, keep.shape), 0).astype(np.int8)
    first = QuantizedMatrix(
        "layer.0.query.weight",
        keep,
        weight,
        0.25,
        0.125,
        131,
        rng.integers(-(2**31), 2**31, 6).astype(np.int32),
        (0.5, 7),
    )
    # GPT-2's name of a matrix that it stores (in, out): here every matrix is (out, in).
    return first, replace(first, name="h.0.attn.c_attn", output=None, weight=weight // 100)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return bool(one == other)


def test_does_it_read_back_as_written(tmp_path: Path) -> None:
    origin = {"model": "m", "scheme": "…"}
    for name in ("a.safetensors", "b.safetensors"):
        int8_file.write(tmp_path / name, matrices(), origin)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    found, said = int8_file.read(tmp_path / "a.safetensors")
    assert said == origin
    for one, other in zip(found, matrices(), strict=True):
        for field in fields(QuantizedMatrix):
            assert same(getattr(one, field.name), getattr(other, field.name)), field.name


def test_are_masks_those_kept_and_weights_whole_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    int8_file.write(path, matrices(), {"model": "m"})
    masks = read_masks(path)
    assert masks.header == {"model": "m"}
    # Scales and biases are no matrices, and a kept weight of 0 is kept.
    assert [m.name for m in masks.matrices] == ["layer.0.query.weight", "h.0.attn.c_attn"]
    for mask, held in zip(masks.matrices, matrices(), strict=True):
        assert np.array_equal(mask.keep, held.keep)
        assert mask.weight is not None and same(mask.weight, held.weight)
        with pytest.raises(InputError, match="floating-point weights are needed"):
            _ = mask.float_weight
    assert (masks.matrices[1].keep & (matrices()[1].weight == 0)).any()
    with pytest.raises(InputError, match="no 2-D floating-point matrix"):
        read_weights(path)


def test_are_other_whole_numbers_a_mask_only(tmp_path: Path) -> None:
    save_file({"a": np.eye(3, dtype=np.int8)}, tmp_path / "a.safetensors")
    (mask,) = read_masks(tmp_path / "a.safetensors").matrices
    assert mask.weight is None and mask.nnz == 3
    with pytest.raises(InputError, match="not a file of 8-bit weights"):
        int8_file.read(tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"must end in \.safetensors"):
        int8_file.read(tmp_path / "a.npz")
    with pytest.raises(InputError, match="No such file"):
        int8_file.read(tmp_path / "none.safetensors")


def test_a_weight_in_floating_point_is_a_float_weight() -> None:
    weight = np.ones((1, 1), np.float32)
    assert MaskedMatrix("m", weight != 0, weight).float_weight is weight
    assert MaskedMatrix("m", weight != 0).float_weight is None


Tensors = dict[str, NDArray[Any]]


def without(key: str) -> Any:
    return lambda tensors: {k: v for k, v in tensors.items() if k != key}


def with_(key: str, value: NDArray[Any]) -> Any:
    return lambda tensors: {**tensors, key: value}


Q = "layer.0.query"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without(f"{Q}.bias"), r"layer\.0\.query\.bias must be int32 \[6\], found nothing"),
        (with_(f"{Q}.bias", np.zeros(5, np.int32)), r"int32 \[6\], found int32 \[5\]"),
        (with_(f"{Q}.weight", np.zeros((6, 11), np.float32)), r"int8 \[out, in\], found float32"),
        (with_(f"{Q}.weight", np.zeros(6, np.int8)), "has 1 dimensions"),
        (with_(f"{Q}.keep", np.zeros(8, np.uint8)), r"uint8 \[9\], found uint8 \[8\]"),
        (with_(f"{Q}.keep", np.zeros(9, np.uint8)), "not zero where its mask drops it"),
        (with_(f"{Q}.input_scale", np.zeros(1, np.float32)), "must be above 0"),
        (with_(f"{Q}.weight_scale", np.array([np.nan], np.float32)), "must be above 0"),
        (without(f"{Q}.output_zero_point"), "output_zero_point must be uint8"),
    ],
)
def test_does_a_damaged_file_say_what_is_wrong(change: Any, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    int8_file.write(path, matrices(), {})
    header = {"version": 1, "origin": {}, "matrices": [m.name for m in matrices()]}
    save_file(change(load_file(path)), path, {SCHEMA: json.dumps(header)})
    with pytest.raises(InputError, match=says) as error:
        read_masks(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("{", "not well-formed"),
        ('{"version": 1}', "not well-formed"),
        ('{"version": 2, "origin": {}, "matrices": []}', "version 2, but this program reads"),
        ('{"version": 1, "origin": {}, "matrices": []}', "holds no matrix"),
        ('{"version": 1, "origin": {}, "matrices": ["x"]}', "x must be int8"),
    ],
)
def test_does_a_strange_header_say_so(header: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": np.zeros((2, 2), np.int8)}, path, {SCHEMA: header})
    with pytest.raises(InputError, match=says):
        read_masks(path)
