"""TOML files and TOML values; whatever is wrong with one is told in one line."""

import tomllib
from pathlib import Path
from typing import Any

from sparse_formats.errors import InputError
from sparse_formats.files.outputs import check_input

MOST_BYTES = 10**6
"""Of a TOML file: the longest of ours, a machine with all its sources, has 5,000."""


def read_toml(path: Path) -> dict[str, Any]:
    """The keys and tables of the TOML file at `path`.

    Raises:
        InputError: there is no such file, it cannot be read, is no regular file or too long, is
            not UTF-8 text or not TOML; it will be written over.
    """
    try:
        if not path.exists():
            raise InputError(f"{path} does not exist; give a TOML file")
        if path.is_dir():
            raise InputError(f"{path} cannot be read: it is a folder; give a TOML file")
        if not path.is_file():
            raise InputError(f"{path} cannot be read: it is not a regular file; give a TOML file")
        check_input(path)
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; check its rights") from error
    if len(content) > MOST_BYTES:
        raise InputError(f"{path} has more than {MOST_BYTES} bytes; give a TOML file of settings")
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start} is not UTF-8 text; save the file as UTF-8"
        ) from None
    except RecursionError:
        raise InputError(f"{path}: not TOML that can be read: it is nested too deeply") from None
    except ValueError as error:
        # Also of whole numbers of more digits than Python converts, which is no TOMLDecodeError.
        raise InputError(f"{path}: not TOML: {error}") from None


def toml_value(text: str) -> Any:
    """`text` as one TOML value; where it is none (a bare word such as snake), the text itself."""
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text.strip()
    return table["value"] if len(table) == 1 else text.strip()
