"""A folder that is ready to be written into, before work is spent on what should go there."""

import os
from collections.abc import Iterable
from pathlib import Path

from sparse_formats.errors import InputError
from sparse_formats.files.atomic import check_writable


def prepare_folder(folder: Path, names: Iterable[str] = (), inputs: Iterable[Path] = ()) -> None:
    """Make `folder` if it is not there; check that the files called `names` can go into it.

    inputs: files, or folders of files, that are read and must not be overwritten.

    Raises:
        InputError: the folder cannot be made, is a file, or cannot be written; a file called so
            is one of the inputs or cannot be replaced.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InputError(f"cannot write into {folder}: it is a file; give a folder") from None
    except OSError as error:
        raise InputError(
            f"cannot make the folder {folder}: {error.strerror}; give another one"
        ) from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"cannot write into {folder}: it is read-only for you")
    given = list(inputs)
    for name in names:
        check_writable(folder / name, given)
