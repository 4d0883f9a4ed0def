"""The glossary: the words of CONTRIBUTING.md, the causes of cycles, and the marks."""

import re
from pathlib import Path

from accel_sim.dataflows.registry import DATAFLOWS, causes_of
from docs.from_code.markdown import code, plain, table
from docs.from_code.markdown import page as whole_page

_CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"


def page() -> str:
    """The words, as CONTRIBUTING has them, and the causes of every dataflow."""
    text = _CONTRIBUTING.read_text("utf-8")
    (words,) = re.findall(r"^## Words\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    words = re.sub(r"^\*\*(.+)\*\*$", r"## \1", words, flags=re.MULTILINE)
    return whole_page("Glossary", words, _causes())


def _causes() -> str:
    found: dict[tuple[str, str], list[str]] = {}
    for dataflow in DATAFLOWS:
        for name, cause in causes_of(dataflow).items():
            found.setdefault((name, cause.words), []).append(dataflow)
    rows = [
        [code(name), plain(words), "all" if len(of) == len(DATAFLOWS) else plain(", ".join(of))]
        for (name, words), of in sorted(found.items())
    ]
    return "## Causes of cycles\n\n" + table(
        ["cause", "what the machine was doing", "dataflow"], rows
    )
