"""The boundary around readers: whatever is wrong with a file becomes one line that names it."""

import contextlib
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from sparse_formats.errors import InputError
from sparse_formats.files.outputs import check_input
from sparse_formats.memory import claim

T = TypeVar("T")

JSON_BYTES = 24
"""Memory for each byte of JSON: a list without items takes 64 bytes, and two or three as text."""

_DAMAGED = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError),
    *(struct.error, zlib.error, zipfile.BadZipFile, NotImplementedError),
)
"""What Python and its libraries raise when they parse bytes that are not what they should be."""


@contextlib.contextmanager
def parsing(path: Path, what: str, advice: str) -> Iterator[None]:
    """Turn any failure of the block to parse `path` into an InputError.

    what: the file should be, e.g. "a TOML file". advice: what to do, e.g. "give a TOML file".

    Raises:
        InputError: naming the file and what is wrong with it; one that the block raises stays.
    """
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}; check the path and its rights"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start} is not UTF-8 text; save the file as UTF-8"
        ) from error
    except RecursionError as error:
        raise InputError(f"{path}: it is nested too deeply for {what}; {advice}") from error
    except MemoryError as error:
        raise InputError(f"{path}: it needs more memory than there is; {advice}") from error
    except _DAMAGED as error:
        raise InputError(
            f"{path}: not {what}: {error or type(error).__name__}; {advice}"
        ) from error


def content(path: Path, what: str, most_bytes: int, *, is_continued: bool = False) -> bytes:
    """All bytes of a regular file.

    is_continued: the running command takes up what it wrote earlier, and may write over it.

    Raises:
        InputError: there is no such file, it cannot be read, it is a folder, a pipe or a device,
            it has more than `most_bytes`, or the running command will write over it.
    """
    with parsing(path, what, f"give {what}"):
        if not path.exists():
            raise InputError(f"{path} does not exist; give {what}")
        if path.is_dir():
            raise InputError(f"{path} cannot be read: it is a folder; give {what}")
        if not path.is_file():
            raise InputError(f"{path} cannot be read: it is not a regular file; give {what}")
        if not is_continued:
            check_input(path)
        claim(path, 0, f"reading {what}")
        with path.open("rb") as file:
            found = file.read(most_bytes + 1)
    if len(found) > most_bytes:
        raise InputError(f"{path} has more than {most_bytes} bytes; give {what}")
    return found


def read_json(
    path: Path, schema: type[T], what: str, most_bytes: int, *, is_continued: bool = False
) -> T:
    """The JSON file at `path`, checked against `schema`; see `msgspec.json.decode`.

    is_continued: as in `content`.

    Raises:
        InputError: as `content`; the text is no JSON, or not of the schema.
    """
    text = content(path, what, most_bytes, is_continued=is_continued)
    claim(path, JSON_BYTES * len(text), "reading its JSON")
    with parsing(path, what, f"give {what}"):
        return msgspec.json.decode(text, type=schema)
