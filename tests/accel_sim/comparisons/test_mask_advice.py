"""Do the commands of other masks make masks of the same density?"""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_sim.comparisons.mask_advice import DEFAULTS, SCORES, mask_advice
from accel_sim.inputs.workload import Workload
from pruning.__main__ import COMMANDS
from pruning.recipe import Recipe
from pruning.scores import SCORES as KNOWN
from sparse_formats.files.mask_file import read_masks
from sparse_formats.terminal.command import call
from tests.accel_sim.workloads import random_matrix


def test_are_scores_and_defaults_those_of_the_recipe() -> None:
    assert {key: getattr(Recipe(), key) for key in DEFAULTS} == DEFAULTS
    assert set(SCORES) == set(KNOWN)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "model.npz"
    shapes = {"h.0.q": (64, 32), "h.0.k": (32, 64), "other": (32, 32)}
    np.savez(path, **{key: rng.standard_normal(shape) for key, shape in shapes.items()})  # type: ignore[arg-type]
    return path


def test_do_the_commands_make_masks_of_the_same_density(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prune = ["prune", "--model", str(model), "--pattern", "fine", "--sparsity", "0.75"]
    call(COMMANDS, *prune, "--budget", "global", "--include", "h.0", "--out", "fine.npz")
    advice = mask_advice(Workload.of("fine.npz"), 0.25)
    assert advice["model"] == "model.npz"
    assert len(advice["commands"]) == 4
    for item in advice["commands"]:
        words = shlex.split(item["command"].replace("$MODEL", str(model)))
        assert words[:4] == ["python", "-m", "pruning", "prune"]
        assert words[words.index("--budget") + 1] == "global"
        call(COMMANDS, *words[3:])
        masks = read_masks(Path(words[words.index("--out") + 1])).matrices
        kept, size = (sum(int(m.nnz) for m in masks), sum(m.keep.size for m in masks))
        assert kept / size == pytest.approx(0.25, abs=0.01)
        assert [m.name for m in masks] == ["h.0.q", "h.0.k"]


def of_header(header: dict[str, Any]) -> Workload:
    workload = Workload.of([random_matrix((8, 8), 0.5)])
    workload.origin["header"] = header  # type: ignore[index]
    return workload


def test_is_the_masks_own_pattern_left_out_and_statistics_asked_for() -> None:
    recipe = {"pattern": "vector:16", "sparsity": 0.9, "score": "wanda", "exclude": ["a b"]}
    advice = mask_advice(of_header({"recipe": recipe, "model": "masks"}), 0.11)
    assert advice["model"] is None
    assert [item["command"] for item in advice["commands"]] == [
        f'python -m pruning prune --model "$MODEL" --statistics "$STATISTICS" --pattern {pattern} '
        f"--sparsity 0.9 --score wanda --exclude 'a b' --out {out}.npz"
        for pattern, out in (("mvp", "mvp"), ("vector:8", "vector_8"), ("vector:32", "vector_32"))
    ]


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"update": "none"}, ""),
        ({"score": "wanda", "update": "none"}, " --score wanda --update none"),
        ({"score": "wanda", "update": "sparsegpt"}, " --score wanda --update sparsegpt"),
    ],
)
def test_is_the_update_said_where_there_are_statistics(recipe: dict[str, Any], said: str) -> None:
    """With statistics prune updates the kept weights by itself, so none must be asked for."""
    advice = mask_advice(of_header({"recipe": recipe}), 0.2)
    command = advice["commands"][0]["command"]
    assert command.endswith(f"--pattern mvp --sparsity 0.8{said} --out mvp.npz")
    assert ("$STATISTICS" in command) == bool(said)


@pytest.mark.parametrize("header", [{}, {"recipe": "none", "model": 3}, {"recipe": {"score": "x"}}])
def test_does_a_mask_without_a_recipe_get_its_own_density(header: dict[str, Any]) -> None:
    advice = mask_advice(of_header(header), 0.3)
    assert advice["commands"][0]["command"] == (
        'python -m pruning prune --model "$MODEL" --pattern mvp --sparsity 0.7 --out mvp.npz'
    )


@pytest.mark.parametrize("density", [None, 0.0, 1.0])
def test_is_nothing_advised_where_nothing_is_or_was_pruned(density: float | None) -> None:
    assert mask_advice(of_header({}), density) == {}
