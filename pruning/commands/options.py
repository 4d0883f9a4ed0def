"""Options that several commands have."""

from typing import Annotated

import typer

from sparse_formats.errors import InputError

Include = Annotated[
    list[str] | None, typer.Option(help="Regular expression: only matrices whose name it matches.")
]
Exclude = Annotated[
    list[str] | None, typer.Option(help="Regular expression: not the matrices it matches.")
]


def lengths(menu: str) -> tuple[int, ...]:
    """The lengths of a menu like 1,4,8.

    Raises:
        InputError: something else than whole numbers.
    """
    try:
        return tuple(int(word) for word in menu.split(","))
    except ValueError:
        raise InputError(
            f"--menu {menu!r}: give whole numbers with commas between, e.g. 1,4,8,16"
        ) from None
