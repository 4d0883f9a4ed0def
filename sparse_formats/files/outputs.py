"""What a command writes: refused before any work is spent, where it cannot or must not be."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sparse_formats.errors import InputError
from sparse_formats.files.atomic import check_writable


@dataclass(frozen=True)
class Output:
    """A file or a folder that will be written.

    name: what the user calls it, e.g. "--out". holds: names of the files that go into a folder.
    """

    path: Path
    name: str
    kind: Literal["file", "folder", "new folder"] = "file"
    holds: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        if self.kind == "file":
            return (self.path,)
        return tuple(self.path / name for name in self.holds)


def check_outputs(outputs: Sequence[Output], inputs: Iterable[Path]) -> None:
    """Refuse outputs that cannot be written, that are inputs, or that are one and the same.

    inputs: files, or folders of files, that are read if they are there. Nothing is written.

    Raises:
        InputError: naming the output, why, and what to do.
    """
    read = [path for path in inputs if _is_there(path)]
    taken: dict[Path, Output] = {}
    for output in outputs:
        if output.kind != "file":
            _check_folder(output, read)
        for file in output.files:
            if output.kind == "file" or output.path.is_dir():
                check_writable(file, read)
            other = taken.setdefault(file.resolve(), output)
            if other is not output:
                raise InputError(
                    f"cannot write {file} for {output.name}: {other.name} is written there; "
                    "give another name"
                )


def make_folder(folder: Path) -> None:
    """Make `folder` and those above it, where they are not there yet.

    Raises:
        InputError: it is a file, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InputError(f"cannot make folder {folder}: it is a file; give a folder") from None
    except OSError as error:
        raise InputError(f"cannot make folder {folder}: {error.strerror}") from error


def _check_folder(output: Output, inputs: Sequence[Path]) -> None:
    folder = output.path
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{output.name} {folder} is a file; give a folder")
        if output.kind == "new folder" and folder.exists() and any(folder.iterdir()):
            raise InputError(
                f"{output.name} {folder} exists already; give the name of a new folder"
            )
        for source in inputs:
            if folder.exists() and source.exists() and folder.samefile(source):
                raise InputError(f"{output.name} {folder} is the input; give another folder")
        there = next(above for above in (folder, *folder.absolute().parents) if above.exists())
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}; give another name") from error
    if not there.is_dir():
        raise InputError(f"{output.name} {folder} cannot be made: {there} is a file")
    if not os.access(there, os.W_OK):
        raise InputError(f"{output.name} {folder} cannot be written: {there} is read-only for you")


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long: whoever reads it says so
        return False
