"""Paths as Python users give them: as a string or as a `pathlib.Path`."""

import os
from pathlib import Path
from typing import Any

from sparse_formats.errors import InputError


def as_path(path: Any, what: str) -> Path:
    """`path` as a Path.

    Raises:
        InputError: it is neither a string nor a path; `what` it should lead to is said.
    """
    if isinstance(path, (str, os.PathLike)) and isinstance(os.fspath(path), str):
        if path == "":
            raise InputError(f"{what} is given as an empty text; give its path")
        return Path(path)
    raise InputError(
        f"{what} is given as {type(path).__name__}; give its path, as a string or a pathlib.Path"
    )
