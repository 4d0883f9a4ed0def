"""Do all files name the same version?"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]


def test_the_changelog_begins_with_it_or_with_what_is_unreleased() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    named = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d{2}-\d{2}))?$", text, re.MULTILINE)
    released = [(version, date) for version, date in named if version != "Unreleased"]
    assert released[0][0] == VERSION
    assert all(date for _, date in released)


def test_the_citation_names_it_with_its_date() -> None:
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.search(rf"^version: {re.escape(VERSION)}$", citation, re.MULTILINE)
    (date,) = re.findall(r"^date-released: (\S+)$", citation, re.MULTILINE)
    assert f"## [{VERSION}] - {date}\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")
