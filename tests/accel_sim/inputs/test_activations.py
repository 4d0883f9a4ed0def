"""Are recorded activations read as they are, and bad files refused in one line?"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from accel_sim.inputs.activations import Activations, Layer
from accel_sim.inputs.activations_file import read_activations
from accel_sim.inputs.datatypes import DATATYPES
from sparse_formats.errors import InputError
from tests.accel_sim.workloads import random_matrix, roomy, simulated

FP16 = DATATYPES["fp16"]


def test_do_both_kinds_of_file_give_the_same(tmp_path: Path) -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.savez(tmp_path / "x.npz", a=x, other=np.zeros(3))
    save_file({"a": x}, tmp_path / "x.safetensors")
    for name in ("x.npz", "x.safetensors"):
        read = read_activations(tmp_path / name, ["a"])
        assert read.tokens == 3 and not read.is_dense
        assert read.recorded is not None and list(read.recorded) == ["a"]
        np.testing.assert_array_equal(read.recorded["a"], x)


@pytest.mark.rule(microarchitecture=8)
def test_do_booleans_say_where_a_drawn_value_stands(tmp_path: Path) -> None:
    where = np.random.default_rng(0).random((5, 16)) < 0.5
    np.savez(tmp_path / "x.npz", m=where)
    layer = Layer(3, random_matrix((4, 16), 0.5))
    x = read_activations(tmp_path / "x.npz", ["m"], seed=7).operands(layer, FP16)
    np.testing.assert_array_equal(x != 0, where)
    drawn = Activations(5, seed=7).draw(16, 3)
    np.testing.assert_array_equal(x[where], drawn[where])


@pytest.mark.rule(microarchitecture=5)
def test_are_recorded_zeros_skipped() -> None:
    matrix = random_matrix((12, 16), 0.5)
    x = np.ones((4, 16), np.float32)
    x[:, ::2] = 0
    x[1, 1] = 1e-9  # rounds to zero in FP16
    (result,) = simulated([matrix], roomy(), Activations(4, recorded={"m": x}))
    seen = x.astype(np.float16) != 0
    assert result.macs_executed == int(matrix.keep.sum(axis=0) @ seen.sum(axis=0))
    # What counts as effectual does not depend on a machine's operands.
    assert result.macs_effectual == int(matrix.keep.sum(axis=0) @ (x != 0).sum(axis=0))
    assert result.product is not None and result.product["is_equal"]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"layer.1": np.ones((2, 3))}, ["no activations of matrix layer.0", "layer.1"]),
        ({"layer.0": np.ones(3)}, ["layer.0", "(3,)", "tokens × inputs"]),
        ({"layer.0": np.ones((2, 2, 3))}, ["(2, 2, 3)"]),
        ({"layer.0": np.array([[1.0, np.nan]])}, ["nan", "token 0, input 1"]),
        ({"layer.0": np.array([[np.inf]])}, ["inf"]),
        ({"layer.0": np.array([[1, None]])}, ["pickled"]),
        ({"layer.0": np.ones((2, 3), np.complex64)}, ["<c8"]),
        ({"layer.0": np.ones((0, 3))}, ["no token"]),
    ],
)
def test_is_a_bad_array_refused_with_its_reason(
    arrays: dict[str, Any], words: list[str], tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(InputError) as error:
        read_activations(tmp_path / "x.npz", ["layer.0"])
    message = str(error.value)
    assert all(word in message for word in [*words, "x.npz"]) and "\n" not in message


def test_must_all_matrices_have_the_same_tokens(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.ones((2, 3)), b=np.ones((4, 3)))
    with pytest.raises(InputError, match="of b hold 4 tokens, but those of a 2"):
        read_activations(tmp_path / "x.npz", ["a", "b"])
    with pytest.raises(InputError, match=r"^tokens is 3, but .*x\.npz: activations of a hold 2"):
        read_activations(tmp_path / "x.npz", ["a"], tokens=3)


@pytest.mark.parametrize("name", ["no.npz", "no.safetensors", "x.pt"])
def test_is_a_file_that_is_none_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=name):
        read_activations(tmp_path / name, ["a"])


def test_is_an_absent_archive_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.npz cannot be read: .*; check the path"):
        read_activations(tmp_path / "no.npz", ["a"])


def test_is_an_archive_without_a_token_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.ones((0, 3)))
    with pytest.raises(InputError, match="hold no token; record at least one"):
        read_activations(tmp_path / "x.npz", ["a"])


def test_is_a_cut_file_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.ones((40, 30)))
    whole = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cut short"):
        read_activations(tmp_path / "x.npz", ["a"])


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.ones((2, 5)), r"shape \(2, 5\).*need \(2, 16\)"),
        (np.full((2, 16), 300), "300 is beyond int8"),
    ],
)
def test_is_an_array_that_does_not_fit_its_matrix_refused(x: Any, words: str) -> None:
    activations = Activations(2, recorded={"m": x})
    with pytest.raises(InputError, match=words):
        simulated([random_matrix((4, 16), 0.5)], roomy("datatype=int8"), activations)
    with pytest.raises(InputError, match="no activations of matrix n"):
        simulated([random_matrix((4, 16), 0.5, name="n")], roomy(), activations)
