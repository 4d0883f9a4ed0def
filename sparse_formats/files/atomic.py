"""Writing a file so that it is either the old one or the whole new one."""

import contextlib
import io
import json
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files import leftovers
from sparse_formats.untrusted import json_safe

_STREAMS = ("/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")


def check_writable(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Refuse a path that cannot be written, before work is spent on what should go there.

    inputs: files, or folders of files, that are read; a path that leads to one of these files is
    refused too.

    Raises:
        InputError: the folder does not exist or cannot be written, `path` is a folder or is one
            of the inputs, or its name is too long; a folder of inputs that cannot be read.
    """
    folder = Path(os.path.realpath(path)).parent
    if str(path.absolute()).startswith(_STREAMS):
        # It may lead to a file, but whoever has opened this one would not see the new one.
        raise InputError(
            f"cannot write {path}: it is an open stream, not a file; give a file name, or - where "
            "JSON may go to standard output"
        )
    try:
        if not folder.is_dir():
            raise InputError(f"cannot write {path}: folder {folder} does not exist; create it")
        if path.is_dir():
            raise InputError(f"cannot write {path}: it is a folder; give a file name")
        if path.exists() and not path.is_file():
            raise InputError(f"cannot write {path}: it is not a regular file; give another name")
        for source in _files_of(inputs):
            if path.exists() and source.exists() and path.samefile(source):
                raise InputError(
                    f"cannot write {path}: it is the input {source}; give another name"
                )
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; give another name") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"cannot write {path}: you may not write to folder {folder}")
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(f"cannot write {path}: it is read-only for you; give another name")


def _files_of(inputs: Iterable[Path]) -> list[Path]:
    """The inputs, and of folders what lies in them."""
    given = list(inputs)
    try:
        within = [file for path in given if path.is_dir() for file in path.iterdir()]
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from error
    return [*given, *within]


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary neighbour of `path`; rename it over `path` only if the block succeeds.

    A link is followed, the rights of a file that is replaced stay, and what killed runs left of
    this file is removed.

    Raises:
        InputError: the folder does not exist, is not a folder, or cannot be written.
    """
    check_writable(path)
    final = leftovers.final(path)
    target = Path(os.path.realpath(path))
    try:
        leftovers.sweep_parts(target)
        handle, part = leftovers.new_part(target)
    except OSError as error:
        raise InputError(f"cannot write {final}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if target.exists():
                part.chmod(stat.S_IMODE(target.stat().st_mode))
            part.replace(target)
    except OSError as error:
        raise InputError(f"cannot write {final}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 `text` to `path`, whole or not at all."""
    with replace_file(path) as file:
        file.write(text.encode())


def json_text(data: Any) -> str:
    """`data` as JSON, two-space indent, ending in a newline; NaN and infinity are refused.

    What cannot be seen, such as the codes that steer a terminal, is written as numbers.
    """
    return json_safe(json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write `arrays` as an .npz by name, whole or not at all; equal arrays give equal bytes."""
    with replace_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            add_array(archive, name, array)


def add_array(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    """Add `array` to an .npz that is being written."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    content = io.BytesIO()
    np.lib.format.write_array(content, little, version=(1, 0), allow_pickle=False)
    # A fixed date and no compression: the bytes depend on nothing but the content.
    info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
    info.create_system = 3
    info.external_attr = 0o644 << 16
    archive.writestr(info, content.getbuffer())
