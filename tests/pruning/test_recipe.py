"""Are recipes read as meant, and budgets met in what they count?"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pruning.pipeline import prune, prune_matrices
from pruning.recipe import Recipe, as_json, checked, read_recipe, recipe_with
from pruning.report import Pruning
from pruning.scoring import ScoredMatrix, score_weights
from pruning.statistics.matrix_statistics import Statistics, generator, write_statistics
from sparse_formats.errors import InputError
from sparse_formats.formats.registry import encode
from sparse_formats.masks.matrix_names import kind_of

SHAPES = {
    "layer.0.attention.self.query.weight": (64, 64),
    "layer.0.attention.self.key.weight": (64, 64),
    "layer.0.intermediate.dense.weight": (128, 64),
    "layer.0.output.dense.weight": (64, 128),
    "layer.1.intermediate.dense.weight": (128, 64),
    "layer.1.output.dense.weight": (64, 128),
}


def matrices(scale: float = 1.0) -> list[ScoredMatrix]:
    """Magnitudes of random weights, those of layer 1 `scale` times as large."""
    rng = np.random.default_rng(0)
    found = []
    for name, shape in SHAPES.items():
        weight = (rng.standard_normal(shape) * (scale if ".1." in name else 1)).astype(np.float32)
        found.append(ScoredMatrix(name, kind_of(name), np.abs(weight), weight))
    return found


def densities(pruning: Pruning) -> dict[str, float]:
    return {m.name.split(".weight")[0]: m.density for m in pruning.masks.matrices}


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_a_file_holds_any_knob_and_flags_go_before_it(tmp_path: Path) -> None:
    path = write(
        tmp_path / "r.toml",
        'pattern = "mvp"\nsparsity = 0.6\nscore = "wanda"\nmenu = [4, 1]\nvector_cost = 2\n'
        'include = ["query"]\n[training]\nsteps = 100\n',
    )
    recipe = recipe_with(read_recipe(path), {"sparsity": 0.7})
    assert recipe == Recipe("mvp", 0.7, "wanda", menu=(1, 4), vector_cost=2.0, include=("query",))
    assert json.loads(json.dumps(as_json(recipe)))["menu"] == [1, 4]


@pytest.mark.parametrize(
    ("pattern", "sparsity"), [("mvp", 0.8), ("2:4", 0.5), ("1:4", 0.75), ("vector_wise:4:16", 0.75)]
)
def test_the_sparsity_left_open_is_the_pattern_s(pattern: str, sparsity: float) -> None:
    assert checked(Recipe(pattern)).sparsity == sparsity


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sparcity = 0.5", "unknown key 'sparcity'; did you mean 'sparsity'"),
        ('sparsity = "much"', "sparsity is 'much'; give a finite number from 0 to 1"),
        ("sparsity = 1.5", "sparsity is 1.5; give a finite number from 0 to 1"),
        ("seed = -1", "seed is -1; give a whole number from 0 up"),
        ("seed = 1.5", "seed is 1.5"),
        ("menu = [4, 6]", "does not divide"),
        ("menu = 4", "menu is 4; give a list"),
        ('pattern = "blok:4"', "did you mean 'block'"),
        ('budget = "layer"', "budget is 'layer'; known: global, kind, matrix, row"),
        ('count = "flop"', "did you mean 'flops'"),
        ('update = "sparsegtp"', "did you mean 'sparsegpt'"),
        ("[prune]\nsparsity = 0.5", "unknown key 'prune'"),
        ("sparsity =", "not TOML"),
    ],
)
def test_a_recipe_that_cannot_be_used_says_why(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path / "r.toml", text)
    with pytest.raises(InputError) as raised:
        read_recipe(path)
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_a_recipe_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_recipe(tmp_path / "none.toml")
    (tmp_path / "r.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        read_recipe(tmp_path / "r.toml")


@pytest.mark.parametrize("pattern", ["fine", "mvp", "mvp_tiled", "block:8", "vector:8", "row"])
@pytest.mark.parametrize("budget", ["matrix", "kind", "global"])
def test_budgets_share_among_those_they_name(pattern: str, budget: str) -> None:
    pruning = prune_matrices(matrices(), Recipe(pattern, 0.75, budget=budget), "m")
    found = {m.name: m for m in pruning.masks.matrices}
    groups: dict[str, list[str]] = {}
    for name in SHAPES:
        key = {"matrix": name, "kind": kind_of(name), "global": ""}[budget]
        groups.setdefault(key, []).append(name)
    for names in groups.values():
        size = sum(found[n].keep.size for n in names)
        assert 0.25 * size - 128 < sum(found[n].nnz for n in names) <= 0.25 * size


def test_scores_in_one_unit_compete_as_they_are_others_by_their_mean() -> None:
    scaled = matrices(scale=100)
    by_mean = densities(
        prune_matrices(scaled, Recipe("fine", 0.5, "magnitude", budget="global"), "m")
    )
    as_is = densities(prune_matrices(scaled, Recipe("fine", 0.5, "fisher", budget="global"), "m"))
    assert all(0.4 < d < 0.6 for d in by_mean.values())
    assert as_is["layer.1.output.dense"] > 0.95 and as_is["layer.0.output.dense"] < 0.4


def test_every_row_keeps_the_same_share() -> None:
    pruning = prune_matrices(matrices(), Recipe("fine", 0.75, budget="row"), "m")
    for matrix, given in zip(pruning.masks.matrices, matrices(), strict=True):
        for keep, scores in zip(matrix.keep, given.scores, strict=True):
            assert keep.sum() == keep.size / 4
            assert scores[keep].min() >= scores[~keep].max()
    for pattern in ("2:4", "vector_wise:4:16"):
        by_row = prune_matrices(matrices(), Recipe(pattern, budget="row"), "m")
        whole = prune_matrices(matrices(), Recipe(pattern), "m")
        for one, other in zip(by_row.masks.matrices, whole.masks.matrices, strict=True):
            assert np.array_equal(one.keep, other.keep)
    with pytest.raises(InputError, match="budget is row"):
        prune_matrices(matrices(), Recipe("block:4", 0.75, budget="row"), "m")


@pytest.mark.parametrize(
    ("pattern", "format"),
    [("mvp", "mixed_vectors"), ("mvp_tiled", "mixed_vectors_tiled"), ("fine", "bitmap")],
)
@pytest.mark.parametrize("budget", ["matrix", "global"])
def test_bits_are_those_of_the_format(pattern: str, format: str, budget: str) -> None:
    pruning = prune_matrices(matrices(), Recipe(pattern, 0.6, count="bits", budget=budget), "m")
    groups = [[m] for m in pruning.masks.matrices]
    if budget == "global":
        groups = [list(pruning.masks.matrices)]
    for group in groups:
        stored = sum(encode(replace(m, weight=None), format).storage(16).bits for m in group)
        dense = sum(16 * m.keep.size for m in group)
        assert 0.99 * 0.4 * dense < stored <= round(0.4 * dense)
    by_hand = [-(-encode(m, format).storage(16).bits // 8) for m in pruning.masks.matrices]
    assert [r.bytes for r in pruning.reports] == by_hand
    assert pruning.total.bytes == sum(by_hand)


def test_bits_that_no_mask_has_are_refused() -> None:
    with pytest.raises(InputError, match="for keeping nothing"):
        prune_matrices(matrices(), Recipe("2:4", 0.9, count="bits"), "m")
    with pytest.raises(InputError, match="for what it must keep"):
        prune_matrices(matrices(), Recipe("1:4", 0.75, count="bits"), "m")


@pytest.mark.parametrize("pattern", ["1:4", "vector_wise:4:16"])
def test_a_pattern_of_fixed_groups_is_taken_whole_where_its_bits_fit(pattern: str) -> None:
    by_bits = prune_matrices(matrices(), Recipe(pattern, 0.6, count="bits"), "m")
    assert [r.density for r in by_bits.reports] == [0.25] * len(by_bits.reports)


def test_flops_count_what_attention_costs_a_head() -> None:
    recipe = Recipe("coupled", 0.5, budget="global", heads=4, tokens=2048)
    by_weights = densities(prune_matrices(matrices(), recipe, "m"))
    by_flops = densities(prune_matrices(matrices(), replace(recipe, count="flops"), "m"))
    # All weights are 40,960 multiplications, the attention of four heads of 16 lanes 4·65,536, so
    # half of both is 151,552. Every neuron and one head take 94,208, with two heads it is 163,840,
    # which is nearer.
    assert by_flops["layer.0.attention.self.query"] == 0.5
    assert by_flops["layer.0.output.dense"] == by_flops["layer.1.output.dense"] == 1
    assert by_weights["layer.0.output.dense"] < 1


def test_what_a_pattern_does_not_concern_is_left_whole() -> None:
    pruning = prune_matrices(matrices(), Recipe("channel", 0.5), "m")
    assert densities(pruning)["layer.0.attention.self.query"] == 1
    assert densities(pruning)["layer.1.output.dense"] == 0.5
    assert any("2 of 6 matrices" in note for note in pruning.notes)


def test_an_update_changes_kept_weights_and_reports_the_error(tmp_path: Path) -> None:
    given, known = matrices(), {}
    rng = np.random.default_rng(1)
    for m in given:
        cols = m.scores.shape[1]
        x = rng.standard_normal((cols, cols)) @ rng.standard_normal((cols, 4 * cols))
        assert m.weight is not None
        known[m.name] = Statistics(m.weight, generator(m.name, 0), gram=x @ x.T, tokens=4 * cols)
    calib = tmp_path / "calib.npz"
    write_statistics(calib, known)
    errors = {}
    for pattern in ("fine", "2:4", "vector:8"):
        for update in ("least_squares", "sparsegpt", "obs"):
            recipe = Recipe(pattern, 0.5, update=update)
            pruning = prune_matrices(given, recipe, "m", statistics=calib)
            for m, before, report in zip(
                pruning.masks.matrices, given, pruning.reports, strict=True
            ):
                assert m.weight is not None and before.weight is not None
                assert m.weight.dtype == np.float32 and not m.weight[~m.keep].any()
                off, gram = m.weight.astype(np.float64) - before.weight, known[m.name].gram
                assert gram is not None
                whole = np.trace(before.weight @ gram @ before.weight.T)
                assert report.output_error == pytest.approx(
                    np.trace(off @ gram @ off.T) / whole, rel=1e-3
                )
                if m.vectors is not None:
                    assert np.array_equal(m.vectors.keep(m.shape), m.keep)
                assert abs(m.nnz - m.keep.size / 2) < 64
            errors[pattern, update] = sum(r.output_error or 0 for r in pruning.reports)
    for pattern in ("fine", "vector:8"):
        assert errors[pattern, "obs"] < errors[pattern, "sparsegpt"]
        assert errors[pattern, "obs"] < errors[pattern, "least_squares"]
    with pytest.raises(InputError, match=r"update is 'obs'.*statistics"):
        prune_matrices(given, Recipe(update="obs"), "m")


def test_without_a_word_statistics_mean_least_squares_and_none_mean_no_update(
    tmp_path: Path,
) -> None:
    weight = np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32)
    inputs = np.random.default_rng(1).standard_normal((8, 8)) @ np.eye(8, 40)
    gram = inputs @ inputs.T + np.eye(8)
    grams, squares = tmp_path / "grams.npz", tmp_path / "squares.npz"
    write_statistics(grams, {"a": Statistics(weight, generator("a", 0), gram=gram, tokens=8)})
    alone = Statistics(weight, generator("a", 0), input_squares=np.diag(gram).copy(), tokens=8)
    write_statistics(squares, {"a": alone})

    def pruned(statistics: Path | None, **settings: Any) -> Pruning:
        return prune({"a": weight}, pattern="fine", sparsity=0.5, statistics=statistics, **settings)

    def weights(pruning: Pruning) -> NDArray[np.floating[Any]]:
        found = pruning.masks.matrices[0].float_weight
        assert found is not None
        return found

    plain, default, lacking = pruned(None), pruned(grams), pruned(squares)
    asked, refused = pruned(grams, update="least_squares"), pruned(grams, update="none")
    kept = np.where(plain.masks.matrices[0].keep, weight, 0)
    for left in (plain, lacking, refused):
        assert left.recipe.update == "none"
        np.testing.assert_array_equal(weights(left), kept)
    assert default.recipe.update == "least_squares"
    np.testing.assert_array_equal(weights(default), weights(asked))
    assert not np.allclose(weights(default), kept)
    assert any("were updated (least_squares)" in note for note in default.notes)
    assert any("lack the gram of a" in note for note in lacking.notes)
    assert not any("update" in note for p in (plain, asked, refused) for note in p.notes)


def test_statistics_reach_the_score(tmp_path: Path) -> None:
    weight = np.ones((2, 4), np.float32)
    squares = np.array([4.0, 1.0, 9.0, 16.0])
    known = {"a": Statistics(weight, generator("a", 0), input_squares=squares, tokens=5)}
    write_statistics(tmp_path / "c.npz", known)
    (found,) = score_weights({"a": weight}, Recipe(score="wanda"), tmp_path / "c.npz")
    np.testing.assert_allclose(found.scores, [[2, 1, 3, 4]] * 2)
    with pytest.raises(InputError, match="calibrate"):
        score_weights({"a": weight}, Recipe(score="wanda"))


def test_a_matrix_that_competes_with_no_other_is_judged_by_its_scores_as_they_are() -> None:
    # Neighbouring float32 numbers: divided by their mean of 3/8, pairs of them would be one.
    close = np.float32(0.75) + np.arange(512, dtype=np.float32) * np.float32(2.0**-24)
    scores = np.concatenate([np.random.default_rng(0).permutation(close), np.zeros(512)])
    given = ScoredMatrix("a", "", scores.reshape(32, 32).astype(np.float32), None)
    for kept in range(200, 260, 2):
        (mask,) = prune_matrices([given], Recipe("fine", 1 - kept / 1024), "m").masks.matrices
        assert np.array_equal(mask.keep, given.scores >= np.sort(close)[-kept])


def test_the_total_counts_importance_in_units_of_each_matrix_s_mean() -> None:
    given = matrices(scale=100)
    pruning = prune_matrices(given, Recipe("2:4"), "m")
    ours = best = size = 0.0
    for m, mask in zip(given, pruning.masks.matrices, strict=True):
        scores = m.scores.astype(np.float64)
        ours += scores[mask.keep].sum() / scores.mean()
        best += np.sort(scores.ravel())[-mask.nnz :].sum() / scores.mean()
        size += scores.size
    assert pruning.total.retention == pytest.approx(ours / best, rel=1e-6)
    assert pruning.total.importance_kept == pytest.approx(ours / size, rel=1e-6)
