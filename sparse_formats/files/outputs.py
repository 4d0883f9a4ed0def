"""What a command writes: refused before any work is spent, where it cannot or must not be."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sparse_formats.errors import InputError
from sparse_formats.files.atomic import check_writable
from sparse_formats.files.leftovers import PREFIX
from sparse_formats.files.output_folder import check_owned, read_manifest, settle
from sparse_formats.files.paths import check_path
from sparse_formats.files.readers.special_files import check_regular

Kind = Literal["file", "folder", "file or folder"]


@dataclass(frozen=True)
class Output:
    """A file or a folder that will be written.

    name: what the user calls it, e.g. "--out". listed_as: what a folder's manifest calls it, e.g.
        "report". holds: names of the files that go into the folder, as far as they are known.
    """

    path: Path
    name: str
    kind: Kind = "file"
    listed_as: str = ""
    holds: tuple[str, ...] = ()

    @property
    def is_file(self) -> bool:
        return self.kind == "file" or (self.kind == "file or folder" and is_file_name(self.path))

    @property
    def files(self) -> tuple[Path, ...]:
        """What is written, and what is removed because the last run wrote it."""
        if self.is_file:
            return (self.path,)
        listed = read_manifest(self.path).get(self.listed_as, {})
        return tuple(self.path / name for name in dict.fromkeys((*self.holds, *listed)))


def is_file_name(path: Path) -> bool:
    """Whether `path`, where both may be given, is that of a file and not of a folder."""
    return bool(path.suffix) and not path.is_dir()


_EXPECTED: ContextVar[tuple[Output, ...]] = ContextVar("expected outputs", default=())


@contextlib.contextmanager
def expected(outputs: Iterable[Output]) -> Iterator[None]:
    """While the block runs, `check_input` refuses to read what will be written."""
    token = _EXPECTED.set(tuple(outputs))
    try:
        yield
    finally:
        _EXPECTED.reset(token)


def check_input(path: Path) -> None:
    """Refuse to read a file that the running command will write over.

    For readers of files that the user did not name, such as the parent that a TOML file extends.

    Raises:
        InputError: naming the output.
    """
    for output in _EXPECTED.get():
        for file in output.files:
            if file.exists() and path.exists() and file.samefile(path):
                raise InputError(
                    f"cannot write {file} for {output.name}: it is the input {path}; "
                    "give another name"
                )


def check_outputs(outputs: Sequence[Output], inputs: Iterable[Path]) -> None:
    """Refuse outputs that cannot be written, that are inputs, or that are one and the same.

    What a killed run left unfinished in the folders of inputs and outputs is completed first.

    inputs: files, or folders of files, that are read if they are there.

    Raises:
        InputError: naming the output, why, and what to do.
    """
    named = list(inputs)
    for path in (*named, *(output.path for output in outputs)):
        check_path(path)
    read = [path for path in named if path.exists()]
    for path in read:
        check_regular(path)
        settle(path)
    for output in outputs:
        if not output.is_file:
            settle(output.path, is_output=True)
    taken: dict[Path, Output] = {}
    for output in outputs:
        try:
            _check_output(output, read, taken)
        except OSError as error:
            raise InputError(
                f"cannot write {output.path}: {error.strerror}; give another name"
            ) from error
    for folder in (output for output in outputs if not output.is_file):
        for other in outputs:
            if other is not folder and other.path.resolve() == folder.path.resolve():
                raise InputError(
                    f"{folder.name} and {other.name} are both {folder.path}; give another one"
                )
    for folder in (output for output in outputs if not output.is_file and not output.holds):
        for file, output in taken.items():
            if output is not folder and file.is_relative_to(folder.path.resolve()):
                raise InputError(
                    f"cannot write {file} for {output.name}: it lies in the folder of "
                    f"{folder.name}; give another name"
                )


def _check_output(output: Output, inputs: Sequence[Path], taken: dict[Path, Output]) -> None:
    if output.path.name.startswith(PREFIX):
        raise InputError(
            f"cannot write {output.path} for {output.name}: names that begin with {PREFIX} are "
            "those of unfinished files; give another name"
        )
    if output.is_file:
        _check_not_listed(output)
    else:
        _check_folder(output, inputs)
    for file in output.files:
        if output.is_file or output.path.is_dir():
            check_writable(file, inputs)
        other = taken.setdefault(file.resolve(), output)
        if other is not output:
            raise InputError(
                f"cannot write {file} for {output.name}: {other.name} is written there; "
                "give another name"
            )
    if not output.is_file:
        check_owned(output.path, output.listed_as, output.holds)


def _check_not_listed(output: Output) -> None:
    """InputError if the file belongs to what another command wrote into its folder."""
    real = Path(os.path.realpath(output.path))
    for other, files in read_manifest(real.parent).items():
        if real.name in files and real.exists():
            raise InputError(
                f"cannot write {output.path} for {output.name}: it is part of the {other} in "
                f"{real.parent}; give another name"
            )


def _check_folder(output: Output, inputs: Sequence[Path]) -> None:
    folder = output.path
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{output.name} {folder} is a file; give a folder")
    for source in inputs:
        if folder.exists() and folder.samefile(source):
            raise InputError(f"{output.name} {folder} is the input; give another folder")
    real = Path(os.path.realpath(folder))
    there = next(above for above in (real, *real.parents) if above.exists())
    if not there.is_dir():
        raise InputError(f"{output.name} {folder} cannot be made: {there} is a file")
    if not os.access(there, os.W_OK):
        raise InputError(f"{output.name} {folder} cannot be written: {there} is read-only for you")
