"""Text that somebody else wrote, made harmless for where it goes.

Names of layers and files may hold anything: codes that steer a terminal, marks that turn the
direction of text, halves of characters, formulas. Every printer and writer uses these functions.
"""

import html
import re
from typing import Any

REPLACEMENT = "·"


def printable(text: str) -> str:
    """`text` on one line; a character that cannot be seen becomes `·`."""
    return "".join(map(_seen, " ".join(text.splitlines())))


def _seen(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else REPLACEMENT


def printable_lines(text: str) -> str:
    """`text` with its line breaks; a character that cannot be seen becomes `·`."""
    return "\n".join(map(printable, text.split("\n")))


def escaped(text: str) -> str:
    """`text` for HTML, as content or in an attribute."""
    return html.escape(printable(text))


def csv_cell(value: Any) -> Any:
    """`value` for a CSV file: a text that a spreadsheet would take for a formula gets a `'`.

    Source: OWASP, CSV Injection.
    """
    if not isinstance(value, str):
        return value
    # Looked at before and after: a tab in front of a formula is a danger of its own.
    begins = (value[:1], printable(value)[:1])
    is_formula = any(first in ("=", "+", "-", "@", "\t", "\r") for first in begins if first)
    return f"'{printable(value)}" if is_formula else printable(value)


def json_safe(text: str) -> str:
    """JSON text in which characters that cannot be seen are written as their numbers.

    text: as `json.dumps` gives it, so that line breaks stand between values only.
    """
    return _NOT_ASCII.sub(_unless_seen, text)


def json_ascii(text: str) -> str:
    """JSON text in ASCII: all other characters are written as their numbers."""
    return _NOT_ASCII.sub(lambda found: _numbers(found[0]), text)


_NOT_ASCII = re.compile(r"[^\n\x20-\x7e]")


def _unless_seen(found: re.Match[str]) -> str:
    return found[0] if found[0].isprintable() else _numbers(found[0])


def _numbers(character: str) -> str:
    """UTF-16 units as JSON writes them, two for a character beyond 0xffff."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
