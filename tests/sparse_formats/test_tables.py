"""Does a table fit its terminal without cutting a number?"""

import io

from rich.console import Console

from sparse_formats.terminal.tables import Column, elided, print_table
from sparse_formats.untrusted import printable

COLUMNS = (
    Column("name"),
    Column("cycles", "right"),
    Column("format", rank=2),
    Column("ideal\ncompute", "right", rank=1),
)
ROWS = (
    ("encoder.layer.0", "1,234,567", "mixed_vectors", "987,654"),
    ("encoder.layer.1", "7", "csr", "5"),
)


def printed(width: int, rows: tuple[tuple[str, ...], ...] = ROWS) -> str:
    target = io.StringIO()
    console = Console(file=target, width=width, highlight=False, markup=False)
    print_table(console, COLUMNS, rows, total=("total", "1,234,574", "", "987,659"))
    return target.getvalue()


def test_is_everything_shown_where_there_is_room() -> None:
    text = printed(80)
    for word in ("1,234,567", "mixed_vectors", "987,654", "1,234,574", "compute"):
        assert word in text
    assert "not shown" not in text


def test_do_columns_leave_by_rank_and_are_named() -> None:
    text = printed(40)
    assert "mixed_vectors" not in text
    assert "987,654" in text
    assert "not shown at this width: format" in text
    text = printed(30)
    assert "987,654" not in text
    assert "1,234,567" in text
    assert "format, ideal compute" in " ".join(text.split())


def test_is_no_number_cut_on_the_narrowest_terminal() -> None:
    text = printed(12)
    for word in ("1,234,567", "1,234,574", "encoder.layer.0"):
        assert word in text


def test_is_a_long_name_cut_in_the_middle_and_the_numbers_stay() -> None:
    text = printed(80, (("a" * 200 + ".query", "1,234,567", "csr", "5"),))
    assert "1,234,567" in text
    assert ".query" in text
    assert "…" in text
    assert len(elided("a" * 200)) <= 44


def test_can_a_name_not_steer_the_terminal() -> None:
    assert printable("a\x1b[31mb\nc") == "a·[31mb c"
    assert "\x1b" not in printed(80, (("\x1b[2J[red]x[/red]", "1", "csr", "5"),))
    assert "[red]x[/red]" in printed(80, (("[red]x[/red]", "1", "csr", "5"),))
