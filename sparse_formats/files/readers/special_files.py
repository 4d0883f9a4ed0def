"""Pipes and devices, which are no files to read from."""

from pathlib import Path

from sparse_formats.errors import InputError


def check_regular(path: Path) -> None:
    """Refuse what is there and neither a file nor a folder: reading it may never end.

    Raises:
        InputError: it is a pipe, a device or a socket.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(
            f"{path} is a pipe or a device, not a file; copy its content to a file and give that"
        )
