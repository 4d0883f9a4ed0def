"""Text and tables as Markdown."""

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\`*_{}<>|$#~\[\]])")


def plain(text: str) -> str:
    """Text that stands for itself, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Text as code, also in a table."""
    return f"`{text.replace('|', chr(0x2502))}`" if text else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def page(title: str, *parts: str) -> str:
    """A page of these parts under its title."""
    return "\n\n".join([f"# {title}", *(part.strip("\n") for part in parts)]) + "\n"
