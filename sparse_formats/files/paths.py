"""Paths as Python users give them: as a string or as a `pathlib.Path`."""

import os
from pathlib import Path
from typing import Any

from sparse_formats.errors import InputError


def as_path(path: Any, what: str) -> Path:
    """`path` as a Path.

    Raises:
        InputError: it is neither a string nor a path; `what` it should lead to is said. It can
            lead nowhere, because a name in it is too long, for example.
    """
    if isinstance(path, (str, os.PathLike)) and isinstance(os.fspath(path), str):
        if path == "":
            raise InputError(f"{what} is given as an empty text; give its path")
        check_path(Path(path))
        return Path(path)
    raise InputError(
        f"{what} is given as {type(path).__name__}; give its path, as a string or a pathlib.Path"
    )


def check_path(path: Path) -> None:
    """Refuse a path that can lead nowhere, whether or not something is there.

    Raises:
        InputError: naming it, and why.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):  # whoever wants it says more
        return
    except OSError as error:
        raise InputError(f"{path} cannot be used: {error.strerror}; give another path") from error
    except ValueError as error:
        raise InputError(f"{str(path)!r} cannot be a path: {error}; give another one") from error
