"""Is every section of the two contracts checked by a test, and does every test cite one that is?

A test says which section it checks with `@pytest.mark.rule(microarchitecture=5)`, a file that is
about one section with `pytestmark`. The tests of a section are listed by

    pytest --collect-only -m "rule(microarchitecture=5)"
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = ("microarchitecture", "rivals")
"""Documents that a machine can be built from: `docs/NAME.md`, in numbered sections."""


class Citation(NamedTuple):
    line: int
    document: str
    section: object


def sections(text: str) -> list[int]:
    """Numbers of the sections of a document."""
    return [int(number) for number in re.findall(r"^## (\d+)\. ", text, re.MULTILINE)]


def citations(source: str) -> Iterator[Citation]:
    """What the marks `rule(document=section)` in the text of a test file cite."""
    if "mark.rule(" not in source:
        return
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(attr="rule"), keywords=given):
                for item in given:
                    section = item.value.value if isinstance(item.value, ast.Constant) else None
                    yield Citation(node.lineno, str(item.arg), section)


def wrong(source: str, contracts: dict[str, list[int]]) -> list[Citation]:
    """Citations of sections that no contract has."""
    return [
        cited
        for cited in citations(source)
        if cited.document not in contracts or cited.section not in contracts[cited.document]
    ]


@pytest.fixture(scope="module")
def contracts() -> dict[str, list[int]]:
    return {name: sections((ROOT / f"docs/{name}.md").read_text("utf-8")) for name in CONTRACTS}


@pytest.fixture(scope="module")
def tests() -> dict[str, str]:
    """Text of every test file, by its path."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if path != Path(__file__)
    }


def test_are_the_sections_numbered_from_one(contracts: dict[str, list[int]]) -> None:
    for name, numbers in contracts.items():
        assert numbers == list(range(1, len(numbers) + 1)), name
        assert numbers, f"docs/{name}.md has no numbered section"


def test_does_every_cited_section_exist(
    contracts: dict[str, list[int]], tests: dict[str, str]
) -> None:
    found = [
        f"{path}:{cited.line}: {cited.document} §{cited.section}"
        for path, source in tests.items()
        for cited in wrong(source, contracts)
    ]
    assert not found, f"sections that no contract has: {', '.join(found)}"


def test_is_every_section_cited(contracts: dict[str, list[int]], tests: dict[str, str]) -> None:
    cited = {
        (item.document, item.section) for source in tests.values() for item in citations(source)
    }
    missing = [
        f"{name} §{number}"
        for name, numbers in contracts.items()
        for number in numbers
        if (name, number) not in cited
    ]
    assert not missing, f"no test cites {', '.join(missing)}"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("@pytest.mark.rule(a=1)\ndef test_x(): ...", []),
        ("pytestmark = [pytest.mark.rule(a=2), pytest.mark.slow]", []),
        ("@pytest.mark.rule(a=3)\ndef test_x(): ...", [Citation(1, "a", 3)]),
        ("pytestmark = pytest.mark.rule(b=1)", [Citation(1, "b", 1)]),
        ("pytestmark = pytest.mark.rule(a=SECTION)", [Citation(1, "a", None)]),
    ],
)
def test_is_a_planted_citation_of_nothing_caught(source: str, found: list[Citation]) -> None:
    assert wrong(source, {"a": sections("# A\n## 1. One\n## 2. Two\n## Three\n")}) == found
