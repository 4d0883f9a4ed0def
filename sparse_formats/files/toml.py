"""TOML files and TOML values; whatever is wrong with one is told in one line."""

import tomllib
from pathlib import Path
from typing import Any

from sparse_formats.files.reading import content, parsing

MOST_BYTES = 10**6
"""Of a TOML file: the longest of ours, a machine with all its sources, has 5,000."""


def read_toml(path: Path) -> dict[str, Any]:
    """The keys and tables of the TOML file at `path`.

    Raises:
        InputError: there is no such file, it cannot be read, is no regular file or too long, is
            not UTF-8 text or not TOML; the running command will write over it.
    """
    text = content(path, "a TOML file", MOST_BYTES)
    with parsing(path, "TOML", "correct the file"):
        return tomllib.loads(text.decode("utf-8"))


def toml_value(text: str) -> Any:
    """`text` as one TOML value; where it is none (a bare word such as snake), the text itself."""
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text.strip()
    return table["value"] if len(table) == 1 else text.strip()


def toml_text(value: Any) -> str:
    """A text, number, truth value or list of them as TOML writes it; always on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        seen = "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped)
        return f'"{seen}"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml_text, value))}]"
    return repr(value)
