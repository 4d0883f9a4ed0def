"""Can models be pruned from Python in a line, and do wrong types end in a message?"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pruning import PATTERNS, SCORES, Recipe, direction_strength, prune, read_recipe
from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_masks

RNG = np.random.default_rng(0)
NAMES = ("layer.0.attention.self.query.weight", "layer.0.output.dense.weight")
WEIGHTS = {name: RNG.standard_normal((16, 32)).astype(np.float32) for name in NAMES}


def test_arrays_are_pruned_in_one_line(tmp_path: Path) -> None:
    pruned = prune(WEIGHTS, pattern="mvp", sparsity=0.75, menu=[1, 4])
    assert [m.name for m in pruned.masks.matrices] == list(WEIGHTS)
    for matrix in pruned.masks.matrices:
        assert matrix.nnz == 16 * 32 // 4
        assert matrix.vectors is not None and set(matrix.vectors.lengths.tolist()) <= {1, 4}
    pruned.save(str(tmp_path / "out.npz"))
    (back, _) = read_masks(tmp_path / "out.npz").matrices
    assert np.array_equal(back.keep, pruned.masks.matrices[0].keep)
    assert back.weight is not None
    assert np.array_equal(back.weight, np.where(back.keep, WEIGHTS[NAMES[0]], 0))


def test_a_path_a_list_and_numbers_of_numpy_are_as_good(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **WEIGHTS)  # type: ignore[arg-type]
    (tmp_path / "r.toml").write_text('pattern = "fine"\nsparsity = 0.5\n[training]\nsteps = 3\n')
    wanted = [m.keep for m in prune(WEIGHTS, Recipe("fine", 0.5)).masks.matrices]
    lists = {name: weight.tolist() for name, weight in WEIGHTS.items()}
    for found in (
        prune(tmp_path / "w.npz", pattern="fine", sparsity=0.5),
        prune(str(tmp_path / "w.npz"), str(tmp_path / "r.toml")),
        prune(lists, read_recipe(tmp_path / "r.toml")),
        prune(WEIGHTS, Recipe("2:4"), pattern="fine", sparsity=np.float32(0.5)),
    ):
        for mask, keep in zip(found.masks.matrices, wanted, strict=True):
            assert np.array_equal(mask.keep, keep)


def test_tensors_are_arrays() -> None:
    torch = pytest.importorskip("torch")
    linear = torch.nn.Linear(8, 4)
    pruned = prune({"a": linear.weight}, pattern="2:4")
    assert pruned.masks.matrices[0].density == 0.5


def test_the_registries_name_what_there_is() -> None:
    for pattern in ("mvp", "fine", "block"):
        assert pattern in PATTERNS
    assert {"magnitude", "wanda"} <= set(SCORES)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((WEIGHTS, 0.8), "recipe is 0.8; give a Recipe"),
        (([1, 2],), "model is of type list; give a path, 2-D arrays by name, or masks"),
        ((None,), "model is of type NoneType"),
        (({"a": np.ones(3)},), "matrix a is 1-D float64; give a 2-D array"),
        (({"a": "abc"},), "matrix a is 0-D <U3; give a 2-D array"),
        (({"a": [[1, 2], [3]]},), "matrix a is not an array of numbers"),
        (({3: np.ones((2, 2))},), "matrix 3: a name is a text, found int"),
        (({"a": np.full((2, 2), np.nan)},), "matrix a has nan at row 0, column 0"),
        (
            ({"a": np.ones((2, 2), complex)},),
            "matrix a is 2-D complex128",
        ),
        (({},), "the model has no matrix; give at least one"),
        (("nowhere.npz",), "nowhere.npz does not exist"),
        ((WEIGHTS, "nowhere.toml"), "nowhere.toml does not exist"),
    ],
)
def test_a_wrong_type_ends_in_a_message(given: tuple[Any, ...], said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        prune(*given)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sparcity": 0.5}, "sparcity is not a setting; did you mean 'sparsity'"),
        ({"sparsity": "0.5"}, "sparsity is '0.5'; give a finite number from 0 to 1"),
        ({"sparsity": 80}, "sparsity is 80; give a finite number from 0 to 1"),
        ({"pattern": 4}, "pattern is 4; give a text"),
        ({"pattern": "blok:4"}, "pattern is 'blok:4'; did you mean 'block'"),
        ({"menu": 4}, "menu is 4; give a list of values"),
        ({"score": "wandda"}, "score is 'wandda'; did you mean 'wanda'"),
        ({"scores": WEIGHTS}, "scores go with masks"),
        ({"statistics": "nowhere.npz", "score": "wanda"}, "statistics nowhere.npz does not exist"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        prune(WEIGHTS, **settings)


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        ("mask", "keep is str; a mask is a 2-D boolean array"),
        (np.ones(3, np.bool_), "keep is 1-D bool; a mask is a 2-D boolean array"),
        (np.ones((3, 3)), "keep is 2-D float64; a mask is a 2-D boolean array"),
        (None, "keep is NoneType"),
    ],
)
def test_a_direction_needs_a_mask(keep: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        direction_strength(keep)
