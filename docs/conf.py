"""How Sphinx builds the documentation: `make docs`."""

import re
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from docs.from_code import write  # noqa: E402

write()

project = "mvpsim"
author = copyright = "mvpsim developers"
_PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
version = release = _PYPROJECT["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["from_code"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]
"""Pages of measurements may skip a level of headings."""
smartquotes = False  # `--flag` stays what it is
highlight_language = "text"

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_mock_imports = [name for name in ("torch", "transformers") if not find_spec(name)]
"""The documentation builds without them, as the core of the package works without them."""

html_theme = "furo"
html_title = f"mvpsim {version}"
html_show_sourcelink = False
html_show_sphinx = False

_SPECIAL = re.compile(r"([*|]|_(?=\W|$))")
_ITEM = re.compile(r"((?:[\w…]+)(?:, [\w…]+)*): (?=\S)")
_SECTION = re.compile(r"(Raises|Returns|Yields):$")


def _as_text(
    _app: object, what: str, _name: str, _of: object, _options: object, lines: list[str]
) -> None:
    """Make plain docstrings reStructuredText: `name: what it is` becomes an item of a list."""
    text: list[str] = []
    for line in lines:
        bare = _SPECIAL.sub(r"\\\1", line.strip())
        is_item = what in ("class", "function", "method") and _ITEM.match(bare)
        if _SECTION.match(bare):
            text.append(f"**{bare}**")
        elif not bare:
            text.append("")
        elif is_item and not line.startswith("        "):
            text += ["", f"- {_ITEM.sub(_bold, bare, count=1)}"]
        elif text and text[-1] and not _SECTION.search(text[-1].strip("*")):
            text[-1] += f" {bare}"
        else:
            text.append(bare)
    lines[:] = text


def _bold(found: re.Match[str]) -> str:
    return f"**{found[1]}**: "


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _as_text)
