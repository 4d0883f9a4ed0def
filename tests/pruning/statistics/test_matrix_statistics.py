"""Do statistics come back from their file as they went in, and are foreign ones refused?"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pruning.statistics.matrix_statistics import (
    STATISTICS,
    Statistics,
    generator,
    read_statistics,
    write_statistics,
)
from sparse_formats.errors import InputError


def statistics_of(name: str, rows: int = 3, cols: int = 4) -> Statistics:
    rng = np.random.default_rng(len(name))
    inputs = rng.standard_normal((10, cols))
    return Statistics(
        rng.standard_normal((rows, cols)).astype(np.float32),
        generator(name, 0),
        gradient=rng.standard_normal((rows, cols)).astype(np.float32),
        squared_gradient=rng.random((rows, cols)).astype(np.float32),
        gram=inputs.T @ inputs,
        input_squares=np.square(inputs).sum(axis=0),
        tokens=10,
    )


def test_every_statistic_comes_back(tmp_path: Path) -> None:
    known = {name: statistics_of(name) for name in ("h.0.attn/q.weight", "k")}
    write_statistics(tmp_path / "calib.npz", known)
    weights = {name: e.weight for name, e in known.items()}
    back = dict(read_statistics(tmp_path / "calib.npz", weights))
    assert list(back) == list(known)
    for name, e in known.items():
        for field in STATISTICS:
            np.testing.assert_array_equal(getattr(back[name], field), getattr(e, field))


def test_inputs_shared_by_matrices_are_stored_once_and_read_by_each(tmp_path: Path) -> None:
    q = statistics_of("q", 3)
    k = replace(q, weight=q.weight[:2], gradient=None, squared_gradient=None)
    write_statistics(tmp_path / "calib.npz", {"q": q, "k": k})
    stored = np.load(tmp_path / "calib.npz").files
    assert "k/gram" not in stored and "k/inputs_of" in stored
    back = dict(read_statistics(tmp_path / "calib.npz", {"k": k.weight}))["k"]
    np.testing.assert_array_equal(back.gram, q.gram)
    np.testing.assert_array_equal(back.input_squares, q.input_squares)
    assert back.tokens == 10 and back.gradient is None


def test_random_numbers_depend_on_seed_and_name_alone() -> None:
    weight = np.zeros((1, 1))
    first = dict(read_statistics(None, {"a": weight, "b": weight}, seed=1))
    again = dict(read_statistics(None, {"b": weight}, seed=1))
    other = dict(read_statistics(None, {"b": weight}, seed=2))
    drawn = first["b"].rng.random()
    assert drawn == again["b"].rng.random()
    assert drawn != other["b"].rng.random()
    assert drawn != first["a"].rng.random()


@pytest.mark.parametrize(
    ("name", "weight", "message"),
    [
        ("other", np.zeros((3, 4)), "nothing about matrix other"),
        ("q", np.zeros((4, 3)), "needs"),
    ],
)
def test_statistics_of_another_model_are_refused(
    tmp_path: Path, name: str, weight: np.ndarray, message: str
) -> None:
    write_statistics(tmp_path / "calib.npz", {"q": statistics_of("q")})
    with pytest.raises(InputError, match=message):
        dict(read_statistics(tmp_path / "calib.npz", {name: weight}))


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "calib.npz").write_text("no archive")
    with pytest.raises(InputError, match="not a readable"):
        dict(read_statistics(tmp_path / "calib.npz", {"q": np.zeros((3, 4))}))


def test_statistics_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    gram = np.full((4, 4), np.nan)
    with pytest.raises(InputError, match="gram holds NaN"):
        write_statistics(tmp_path / "calib.npz", {"q": replace(statistics_of("q"), gram=gram)})
    assert not (tmp_path / "calib.npz").exists()
