"""Does pruning a model or a mask give the masks, weights and report it promises?"""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pruning import prune
from pruning.direction.strength import direction_strength
from pruning.pipeline import prune_matrices
from pruning.recipe import Recipe
from pruning.scoring import ScoredMatrix, score_masks
from sparse_formats.errors import InputError
from sparse_formats.files.mask_file import read_masks, read_weights, write_masks
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet

EXACT = ("mvp", "mvp_tiled", "fine")
"""Patterns that keep any number of weights (the first two have vectors of length 1)."""

NAMES = ("layer.0.attention.self.query.weight", "layer.0.output.dense.weight")


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        NAMES[0]: rng.standard_normal((32, 48)).astype(np.float32),
        NAMES[1]: rng.standard_normal((48, 40)).astype(np.float16),
        "embeddings.word_embeddings.weight": rng.standard_normal((99, 32)).astype(np.float32),
    }


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.npz"
    np.savez(path, **weights())  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("budget", ["matrix", "global"])
def test_a_mask_file_reads_back_what_was_pruned(
    model: Path, tmp_path: Path, method: str, budget: str
) -> None:
    recipe = Recipe(pattern=method, sparsity=0.7, budget=budget)
    pruning = prune(model, recipe)
    pruning.save(tmp_path / "out.npz")
    back = read_masks(tmp_path / "out.npz")
    assert [m.name for m in back.matrices] == list(NAMES)
    assert [m.kind for m in back.matrices] == ["Q", "FFN2"]
    kept = 0
    for matrix, report in zip(back.matrices, pruning.reports, strict=True):
        original = weights()[matrix.name]
        assert matrix.weight is not None and matrix.weight.dtype == original.dtype
        assert np.array_equal(matrix.weight, np.where(matrix.keep, original, 0))
        assert (matrix.vectors is None) == (method != "mvp")
        assert report.density == pytest.approx(matrix.density)
        kept += matrix.nnz
    assert kept == round(0.3 * (32 * 48 + 48 * 40))
    assert back.header["model"] == "model.npz"
    assert back.header["recipe"]["menu"] == [1, 4, 8, 16, 32, 64]
    assert back.header["recipe"]["sparsity"] == 0.7


@pytest.mark.parametrize("method", EXACT)
def test_the_report_can_be_computed_by_hand(model: Path, method: str) -> None:
    pruning = prune(str(model), pattern=method, sparsity=0.8)
    for matrix, report in zip(pruning.masks.matrices, pruning.reports, strict=True):
        scores = np.abs(weights()[matrix.name].astype(np.float64))
        best = np.sort(scores.ravel())[::-1][: matrix.nnz].sum()
        assert report.retention == pytest.approx(scores[matrix.keep].sum() / best, rel=1e-5)
        share = scores[matrix.keep].sum() / scores.sum()
        assert report.importance_kept == pytest.approx(share, rel=1e-5)
        if matrix.vectors is not None:
            assert report.vectors == len(matrix.vectors)
            assert report.mean_length == pytest.approx(matrix.nnz / len(matrix.vectors))
            assert report.orientation == matrix.vectors.orientation
    if method == "fine":
        assert pruning.total.retention == pytest.approx(1)
    assert pruning.total.kept == sum(m.nnz for m in pruning.masks.matrices)


def test_fine_pruning_a_mask_without_weights_keeps_inside_it(tmp_path: Path) -> None:
    keep = np.random.default_rng(0).random((20, 64)) < 0.3
    np.savez(tmp_path / "mask.npz", a=keep)
    pruning = prune(read_masks(tmp_path / "mask.npz"), pattern="fine", sparsity=0.8)
    assert pruning.recipe.score == "mask"
    (matrix,) = pruning.masks.matrices
    assert matrix.weight is None
    assert not np.any(matrix.keep & ~keep)


def test_a_mask_made_of_vectors_is_found_again(tmp_path: Path) -> None:
    keep = np.zeros((64, 64), np.bool_)
    keep[::5, 16:48] = True
    np.savez(tmp_path / "mask.npz", a=keep)
    masks = read_masks(tmp_path / "mask.npz")
    (matrix,) = prune(masks, pattern="mvp", sparsity=1 - keep.mean()).masks.matrices
    assert np.array_equal(matrix.keep, keep)
    assert matrix.vectors is not None and matrix.vectors.orientation == "horizontal"
    assert len(matrix.vectors) == 2 * 13


def save_masks(path: Path, *shares: float) -> list[NDArray[np.bool_]]:
    rng = np.random.default_rng(0)
    masks = [rng.random((64, 128)) < share for share in shares]
    np.savez(path, **{f"m{i}": m for i, m in enumerate(masks)})  # type: ignore[arg-type]
    return masks


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("budget", ["matrix", "global"])
@pytest.mark.parametrize("sparsity", [0.0, 0.6, 0.9])
def test_a_mask_alone_never_grows_and_gives_its_own_direction(
    tmp_path: Path, method: str, budget: str, sparsity: float
) -> None:
    given = save_masks(tmp_path / "m.npz", 0.1, 0.3)
    pruning = prune(read_masks(tmp_path / "m.npz"), Recipe(method, sparsity, budget=budget))
    asked = round((1 - sparsity) * 64 * 128)
    for keep, matrix, report in zip(given, pruning.masks.matrices, pruning.reports, strict=True):
        found = direction_strength(keep)
        assert (report.strength, report.verdict) == (found.strength, found.verdict)
        if budget == "matrix":
            assert matrix.nnz == min(keep.sum(), asked)
        else:
            # A mask cannot say that its matrix matters more: each gives the same share.
            share = min(1.0, 2 * asked / sum(k.sum() for k in given))
            assert matrix.nnz == pytest.approx(share * keep.sum(), abs=1)
        if method == "fine":
            assert not np.any(matrix.keep & ~keep)
    wanting = sum(k.sum() for k in given) if budget == "global" else 2 * given[0].sum()
    assert bool(pruning.notes) == (2 * asked > wanting)


def test_an_overdrawn_mask_is_noted(tmp_path: Path) -> None:
    (given,) = save_masks(tmp_path / "m.npz", 0.2)
    (note,) = prune(read_masks(tmp_path / "m.npz"), Recipe("fine", 0.5)).notes
    assert "4096 of 8192" in note and f"only {given.sum()}" in note


@pytest.mark.parametrize("score", ["magnitude", "random"])
def test_dropped_weights_stay_dropped_without_scores(tmp_path: Path, score: str) -> None:
    weight = np.random.default_rng(0).standard_normal((64, 128)).astype(np.float32)
    weight[np.random.default_rng(1).random((64, 128)) < 0.7] = 0
    np.savez(tmp_path / "w.npz", a=weight)
    for sparsity in (0.5, 0.9):
        recipe = Recipe("fine", sparsity, score)
        (matrix,) = prune(read_masks(tmp_path / "w.npz"), recipe).masks.matrices
        assert not np.any(matrix.keep & (weight == 0))
        assert matrix.nnz == min(np.count_nonzero(weight), round((1 - sparsity) * weight.size))


@pytest.mark.parametrize(
    ("square", "wide"),
    [
        ("blocks.0.attn.W_Q", "blocks.0.ffn.W1"),
        ("transformer.h.0.attn.c_proj.weight", "transformer.h.0.mlp.c_fc.weight"),
    ],
)
def test_scores_saved_like_the_masks_are_turned_like_them(
    tmp_path: Path, square: str, wide: str
) -> None:
    rng = np.random.default_rng(0)
    # (in, out), as these families store it.
    stored = {square: rng.random((32, 32)), wide: rng.random((32, 128))}
    np.savez(tmp_path / "m.npz", **{n: a < 0.5 for n, a in stored.items()})  # type: ignore[arg-type]
    np.savez(tmp_path / "s.npz", **stored)  # type: ignore[arg-type]
    given = read_weights(tmp_path / "s.npz")
    matrices, _ = score_masks(read_masks(tmp_path / "m.npz"), Recipe(), given)
    for matrix in matrices:
        assert np.array_equal(matrix.scores, stored[matrix.name].T.astype(np.float32))


def test_weights_in_a_mask_file_are_its_scores(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    masks = MaskSet((MaskedMatrix("a", weight != 0, weight),), {"model": "origin"})
    write_masks(tmp_path / "dense.npz", masks)
    found = read_masks(tmp_path / "dense.npz")
    matrices, score = score_masks(found, Recipe())
    assert score == "magnitude"
    assert np.array_equal(matrices[0].scores, np.abs(weight))
    assert prune(found).masks.header["model"] == "origin"


def test_given_scores_decide(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    np.savez(tmp_path / "w.npz", a=weight)
    scores = {"a": 1 / np.abs(weight), "unused": np.ones((2, 2))}
    pruning = prune(read_masks(tmp_path / "w.npz"), Recipe("fine", 0.5), scores=scores)
    assert pruning.recipe.score == "given"
    (matrix,) = pruning.masks.matrices
    assert np.abs(weight[matrix.keep]).max() <= np.abs(weight[~matrix.keep]).min()


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.ones((4, 5)), r"array a is \(4, 5\), but its mask is \(4, 4\)"),
        (-np.ones((4, 4)), "negative"),
        (np.full((4, 4), np.nan), "has nan at row 0"),
        (np.full((4, 4), 1e300), "infinite"),
        (None, "no floating-point array for matrix a"),
    ],
)
def test_scores_that_do_not_fit_are_refused(
    tmp_path: Path, array: np.ndarray | None, said: str
) -> None:
    np.savez(tmp_path / "m.npz", a=np.eye(4, dtype=np.bool_))
    given = {"b": np.ones((4, 4))} if array is None else {"a": array}
    np.savez(tmp_path / "s.npz", **given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=said):
        prune(read_masks(tmp_path / "m.npz"), scores=read_weights(tmp_path / "s.npz"))


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (1, 13), (13, 1), (7, 341), (64, 64), (0, 4), (4, 0)],
    ids=lambda s: f"{s[0]}x{s[1]}",
)
@pytest.mark.parametrize("fill", [0.0, 1.0])
@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("sparsity", [0.0, 0.8, 1.0])
def test_odd_matrices_run(
    shape: tuple[int, int], fill: float, method: str, sparsity: float
) -> None:
    weight = np.full(shape, fill, np.float32)
    matrices = [ScoredMatrix("a", "other", weight, weight)]
    pruning = prune_matrices(matrices, Recipe(method, sparsity), "m")
    assert pruning.total.kept == round((1 - sparsity) * weight.size)
    assert pruning.reports[0].retention in (None, pytest.approx(1))


def test_the_same_input_gives_the_same_bytes(model: Path, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        prune(model, score="random", seed=7).save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("fine", ["menu", "orientation"]),
        ("vector:4", ["menu"]),
        ("mvp", []),
        ("mvp_tiled", ["orientation"]),
    ],
)
def test_knobs_of_other_patterns_are_said_to_have_no_effect(pattern: str, said: list[str]) -> None:
    weights = {"a": np.random.default_rng(0).random((8, 8))}
    found = prune(weights, pattern=pattern, sparsity=0.5, menu=(1, 4), orientation="horizontal")
    expected = {f"{knob} has no effect on pattern {pattern}" for knob in said}
    assert {note for note in found.notes if "no effect" in note} == expected
