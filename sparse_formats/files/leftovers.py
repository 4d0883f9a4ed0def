"""Temporary files and folders of ours, and how those of a killed run are told from live ones.

Whoever writes holds a lock on what it writes; the system takes the lock away when the process
ends, however it ends. What bears our prefix and is not locked was left behind.
"""

import contextlib
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from sparse_formats.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: nothing is locked, and nothing is swept
    fcntl = None

PREFIX = ".mvpsim-"
"""Every hidden name of ours begins so, and nothing else is ever taken for ours."""

_SUFFIXES = (".part", ".new")
"""Of unfinished files and folders."""

_TO_LOCK = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""No link is followed, and no pipe waits for a writer."""

_PATIENCE_S = 600.0
"""A folder is locked while the files that are replaced in it are read once."""


@contextlib.contextmanager
def locked(folder: Path, patience_s: float = _PATIENCE_S) -> Iterator[None]:
    """Hold the lock of `folder`, which one process at a time can have.

    Raises:
        InputError: another process has held it for so many seconds.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        end = time.monotonic() + patience_s
        while not _is_ours(handle):
            if time.monotonic() > end:
                raise InputError(
                    f"cannot write into {folder}: another program has locked it; wait for its end"
                )
            time.sleep(0.01)
        yield
    finally:
        os.close(handle)


def new_part(target: Path) -> tuple[int, Path]:
    """An empty file beside `target`, open and locked, with the rights of any new file."""
    while True:
        part = target.with_name(f"{_part_prefix(target)}{secrets.token_hex(4)}.part")
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        _is_ours(handle)
        if os.fstat(handle).st_nlink:
            return handle, part
        os.close(handle)  # somebody swept it before it was locked


def sweep_parts(target: Path) -> None:
    """Remove what killed runs left of `target`."""
    for part in target.parent.glob(f"{_part_prefix(target)}*.part"):
        _sweep(part)


def _part_prefix(target: Path) -> str:
    # A digest, because a name that may be 255 bytes long has no room for more.
    return f"{PREFIX}{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]}-"


@contextlib.contextmanager
def new_folder(parent: Path) -> Iterator[Path]:
    """An empty folder in `parent`, locked; what it holds in the end is removed with it."""
    with locked(parent):
        sweep(parent)
        folder = parent / f"{PREFIX}{secrets.token_hex(4)}.new"
        folder.mkdir()
        handle = os.open(folder, os.O_RDONLY)
        _is_ours(handle)
    try:
        yield folder
    finally:
        os.close(handle)
        shutil.rmtree(folder, ignore_errors=True)


def final(path: Path) -> Path:
    """Where a file that lies in a folder of `new_folder` goes when it is finished."""
    return Path(*(p for p in path.parts if not (p.startswith(PREFIX) and p.endswith(".new"))))


def sweep(folder: Path) -> None:
    """Remove from `folder`, whose lock is held, what killed runs left there."""
    for path in folder.iterdir():
        if path.name.startswith(PREFIX) and path.suffix in _SUFFIXES:
            _sweep(path)


def _sweep(path: Path) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(path, _TO_LOCK)
        try:
            if not _lock(handle):
                return
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
        finally:
            os.close(handle)


def _is_ours(handle: int) -> bool:
    """Whether nobody else has the lock now; where there are no locks, nobody has."""
    return _lock(handle) is not False


def _lock(handle: int) -> bool | None:
    """Take the lock: whether it is ours now; None on a system or a file system without locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
