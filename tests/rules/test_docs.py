"""Are the pages of docs/ reachable, and are their links, commands and Python lines right?

`make docs` builds them with warnings as errors. What needs no build is tested here.
"""

import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from docs.from_code import PAGES
from sparse_formats.errors import InputError
from sparse_formats.terminal.command import call

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
WRITTEN = sorted(DOCS.glob("*.md"))
"""The pages that people write."""
CHECKED = [*WRITTEN, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PACKAGES = ("pruning", "accel_sim", "sparse_formats", "kernels")
EXAMPLES = {"coo", "count", "row_parallel", "squared", "tf_mvp_wide", "wide_block", "wide_block:4"}
"""What the recipes of CONTRIBUTING add before they name it."""


def blocks(text: str, *languages: str) -> list[str]:
    """The fenced blocks in one of these languages, dedented."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [
        "\n".join(line.removeprefix(indent) for line in block.splitlines())
        for indent, language, block in found
        if language in languages
    ]


def commands(page: Path) -> Iterator[str]:
    """The commands of a page: of its blocks, and of its sentences."""
    text = page.read_text("utf-8")
    for block in blocks(text, "console", "sh", "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.strip().removeprefix("$ ")
            if line.startswith("python -m "):
                yield line
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for line in re.findall(r"^    (python -m .+)$", prose, re.MULTILINE):
        yield line
    for line in re.findall(r"`(python -m [^`]+)`", prose):
        yield " ".join(line.split())


EVERY = [
    pytest.param(page, command, id=f"{page.stem}: {command[:60]}")
    for page in CHECKED
    for command in commands(page)
]


def parse(words: list[str]) -> None:
    """Read the words of a command as the command does, and do nothing."""
    package, name, *rest = words
    known = importlib.import_module(f"{package}.__main__").COMMANDS
    if name.startswith("-") or name in EXAMPLES:
        return
    command: Any = SimpleNamespace(
        Settings=known[name].Settings, run=lambda settings: None, show=lambda settings, result: 0
    )
    call({name: command}, name, *rest)


@pytest.mark.parametrize(("page", "command"), EVERY)
def test_are_the_flags_of_the_command_those_of_today(
    page: Path, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = re.sub(r"\$\w+", "1", re.split(r" #| \| ", command)[0].replace("…", " "))
    shown = shlex.split(line)[2:]
    if shown[0] not in PACKAGES:
        assert find_spec(shown[0]) is not None, f"{page.name}: there is no module {shown[0]}"
        return
    files = [word for word in shown if word.endswith(".toml")]
    for name in files:
        Path(name).write_text("", "utf-8")
    if EXAMPLES.isdisjoint(shown) and len(shown) > 1 and "NAME" not in shown:
        try:
            parse(shown)
        except InputError as error:
            # A sentence may name a command without all that it needs, and a file may hold it.
            is_whole = not files and f"`{command}`" not in " ".join(page.read_text("utf-8").split())
            if is_whole or "is missing; give it" not in str(error):
                raise


def test_a_flag_that_there_is_not_is_seen() -> None:
    with pytest.raises(Exception, match="--nothing"):
        parse(["accel_sim", "run", "--mask", "out.npz", "--nothing", "1"])


@pytest.mark.slow
@pytest.mark.parametrize("page", ["bring_a_mask", "describe_an_accelerator"])
def test_do_the_lines_of_a_how_to_run(page: str, tmp_path: Path) -> None:
    text = (DOCS / f"{page}.md").read_text("utf-8")
    for number, file in enumerate(blocks(text, "toml")):
        (tmp_path / ("mine.toml" if not number else f"{number}.toml")).write_text(file, "utf-8")
    programs = [["-W", "error", "-c", code] for code in blocks(text, "python")]
    for block in blocks(text, "console"):
        programs += [shlex.split(line.removeprefix("$ "))[1:] for line in block.splitlines()]
    assert programs
    for words in programs:
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_every_page_is_in_the_navigation() -> None:
    index = (DOCS / "index.md").read_text("utf-8")
    listed = [
        line.rpartition("<")[2].rstrip(">")
        for block in re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL)
        for line in block.splitlines()
        if line and not line.startswith(":")
    ]
    pages = {page.stem for page in WRITTEN} - {"index"} | {f"reference/{name}" for name in PAGES}
    assert len(listed) == len(set(listed))
    assert set(listed) == pages, "list each page of docs/ in docs/index.md"


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.stem)
def test_do_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    written = {f"reference/{name}.md" for name in PAGES}
    missing = [
        link
        for link in links
        if "://" not in link and link not in written and not (page.parent / link).exists()
    ]
    assert not missing


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_reference_says_something(name: str) -> None:
    assert len(PAGES[name]().split()) > 100
