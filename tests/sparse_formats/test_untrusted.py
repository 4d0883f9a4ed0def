"""Can text from a file steer a terminal, a page or a spreadsheet?"""

import csv
import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sparse_formats.files.atomic import json_text
from sparse_formats.terminal import application
from sparse_formats.terminal.tables import new_console
from sparse_formats.untrusted import csv_cell, escaped, printable, printable_lines

ANY_TEXT = st.text(st.characters(codec=None))


def unseen(text: str) -> list[str]:
    """Controls, marks of direction, halves of characters: the categories C of Unicode."""
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn")]


@given(ANY_TEXT)
def test_does_no_character_pass_that_cannot_be_seen(text: str) -> None:
    assert not unseen(printable(text))
    assert not unseen(escaped(text))
    assert not unseen(csv_cell(text))
    assert not unseen(printable_lines(text).replace("\n", ""))
    assert not unseen(json_text({"name": text}).replace("\n", ""))
    json_text([text]).encode()  # what is half a character has no UTF-8


@given(ANY_TEXT)
def test_is_json_read_back_as_it_was(text: str) -> None:
    assert json.loads(json_text({text: text})) == {text: text}


def test_is_text_that_can_be_seen_left_as_it_is() -> None:
    text = "énergie µJ × 中文 — 😀 [red]"
    assert printable(text) == text
    assert printable("a\u00a0b\tc\r\nd") == "a b c d"
    assert printable_lines("a\nb\x1bc\n") == "a\nb·c\n"
    assert escaped("<a href='x'>&\x1b") == "&lt;a href=&#x27;x&#x27;&gt;&amp;·"


@pytest.mark.parametrize(
    "name",
    ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\x1b=1"],
)
def test_is_a_name_no_formula_in_a_spreadsheet(name: str) -> None:
    text = io.StringIO()
    csv.writer(text).writerow([csv_cell(name)])
    (cell,) = next(csv.reader(io.StringIO(text.getvalue())))
    assert cell[0] not in "=+-@\t\r"


@pytest.mark.parametrize("value", ["encoder.0", "", 7, -0.5, None, True, "a=b"])
def test_are_other_cells_left_as_they_are(value: object) -> None:
    assert csv_cell(value) == value


def test_does_an_error_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        application.fail("a.npz: matrix \x1b[2J\x9b2J\u202e is empty")
    assert capsys.readouterr().err == "error: a.npz: matrix ·[2J·2J· is empty\n"


def test_does_a_console_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console = new_console()
    assert isinstance(console, Console)
    console.print("note \x1b]0;title\x07\nnext", soft_wrap=True)
    assert capsys.readouterr().out == "note ·]0;title·\nnext\n"
