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
