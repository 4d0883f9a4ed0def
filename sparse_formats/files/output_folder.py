"""A folder whose files all come from one run, whenever the run is stopped.

Beside its files the folder holds a manifest: which outputs it has, and the SHA-256 of each of
their files. New files are written into a hidden folder inside. Renaming this one to `_READY` is
the moment at which the run counts; only then do the files take the places of the old ones, the
manifest last. Who finds `_READY` completes what was begun. A file that is not on the list, or has
changed since, belongs to somebody else and stays.
"""

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath

import msgspec

from sparse_formats.errors import InputError
from sparse_formats.files import leftovers
from sparse_formats.files.atomic import check_writable, json_text, replace_file, write_text

MANIFEST = f"{leftovers.PREFIX}files.json"
_READY = f"{leftovers.PREFIX}ready"
_LARGEST_MANIFEST = 10_000_000

Outputs = dict[str, dict[str, str]]
"""Of each output by name: its files, relative to the folder, and their SHA-256."""


@contextlib.contextmanager
def replace_files(folder: Path, output: str) -> Iterator[Path]:
    """Give an empty folder to write in; its files become those of `output` in `folder`.

    output: e.g. "report"; a folder may hold several outputs, and each replaces its own files alone.
        Files of the last one that the new one lacks are removed. If the block fails, all stays as
        it was.

    Raises:
        InputError: the folder cannot be made or written, or holds somebody else's file.
    """
    is_new = not folder.exists()
    prepare_folder(folder)
    try:
        with leftovers.new_folder(folder) as beside:
            yield beside
            _replace(folder, beside, output)
    except OSError as error:
        raise InputError(
            f"cannot write into {folder}: {error.strerror}; the files there are as they were"
        ) from error
    finally:
        if is_new:
            with contextlib.suppress(OSError):  # it holds the output
                Path(os.path.realpath(folder)).rmdir()


def check_owned(folder: Path, output: str, names: Iterable[str]) -> None:
    """Refuse a folder where a file that would be replaced is not one of `output`'s, unchanged.

    Raises:
        InputError: naming the file.
    """
    if folder.is_dir():
        listed = read_manifest(folder).get(output, {})
        for name in _not_listed(folder, names, [listed]):
            what = "was changed since" if name in listed else f"is not part of an earlier {output}"
            raise InputError(
                f"{folder} holds {name}, which {what}; move it away or give another folder"
            )


def _not_listed(
    folder: Path, names: Iterable[str], lists: Sequence[Mapping[str, str]]
) -> Iterator[str]:
    """Those of the files that are there, but not as one of the lists has them."""
    for name in names:
        path = folder / name
        is_there = path.exists() or path.is_symlink()
        if is_there and not any(_is_listed(path, listed.get(name)) for listed in lists):
            yield name


def settle(path: Path, *, is_output: bool = False) -> None:
    """Complete what a killed run had begun to replace, and remove what it left.

    path: the folder, or a file in it. is_output: the user wants it written, so links are followed.

    Raises:
        InputError: files there are of two runs, and you may not write to the folder, or a file to
            be replaced is a link.
    """
    try:
        folder = path if path.is_dir() else path.parent
        hidden = {name.name for name in folder.glob(f"{leftovers.PREFIX}*")}
    except (OSError, ValueError):  # whoever reads it says so
        return
    if _READY in hidden:
        try:
            with leftovers.locked(folder):
                _complete(folder, is_output)
        except OSError as error:
            raise InputError(
                f"{folder} holds files of two runs, because one was stopped, and they cannot be "
                f"completed: {error.strerror}; make the folder writable and try again"
            ) from error
    if hidden - {_READY, MANIFEST}:
        # If somebody writes there just now, the next one sweeps.
        with contextlib.suppress(OSError, InputError), leftovers.locked(folder, 0):
            leftovers.sweep(folder)


def read_manifest(folder: Path) -> Outputs:
    """What `folder` says that it holds; nothing where it says nothing.

    Raises:
        InputError: the manifest is damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_MANIFEST)
        outputs = msgspec.json.decode(text, type=dict[str, Outputs])["outputs"]
        for name in _listed(outputs):
            _check_name(name)
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise InputError(
            f"{path} is damaged ({error}); remove it, and give another folder for new files"
        ) from None
    return outputs


def _check_name(name: str) -> None:
    """ValueError unless a file of this name lies in the folder: manifests may be anybody's."""
    parts = PurePath(name).parts
    if not parts or PurePath(name).is_absolute() or ".." in parts or "\0" in name:
        raise ValueError(f"it names {name!r}")


def prepare_folder(folder: Path, names: Iterable[str] = (), inputs: Iterable[Path] = ()) -> None:
    """Make `folder` if it is not there; check that the files called `names` can go into it.

    inputs: files, or folders of files, that are read and must not be overwritten.

    Raises:
        InputError: the folder cannot be made, is a file, or cannot be written; a file called so
            is one of the inputs or cannot be replaced.
    """
    try:
        Path(os.path.realpath(folder)).mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InputError(f"cannot write into {folder}: it is a file; give a folder") from None
    except OSError as error:
        raise InputError(
            f"cannot make the folder {folder}: {error.strerror}; give another one"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"cannot write into {folder}: it is read-only for you")
    given = list(inputs)
    for name in names:
        check_writable(folder / name, given)


def _replace(folder: Path, beside: Path, output: str) -> None:
    """Put the files in `beside` in place of the output's old ones, all or none of them."""
    files = {name: _sha256(beside / name) for name in _names(beside)}
    with leftovers.locked(folder):
        _complete(folder, is_output=True)
        check_owned(folder, output, files)
        outputs = {**read_manifest(folder), output: files}
        write_text(beside / MANIFEST, json_text({"outputs": outputs}))
        for name in files:
            _flush(beside / name)
        _flush(beside)
        beside.rename(folder / _READY)
        _complete(folder, is_output=True)


def _complete(folder: Path, is_output: bool) -> None:
    """Put what is ready in place; each step can be done again.

    A folder that is only read may be anybody's: nothing is written through its links.
    """
    ready = folder / _READY
    if not ready.is_dir() or ready.is_symlink():
        return
    if (ready / MANIFEST).is_file():
        names = _names(ready)
        old, new = _listed(read_manifest(folder)), _listed(read_manifest(ready))
        # A link may lead to the new file already.
        for name in _not_listed(folder, names, [old, new]):
            raise InputError(
                f"{folder} holds files of two runs, because one was stopped, and a {name} of "
                f"neither; move it away, or remove {ready} to keep the files that are there"
            )
        for name in () if is_output else (*names, *old):
            if _leads_away(folder, name):
                raise InputError(
                    f"{folder} holds files of two runs, because one was stopped, and {name} there "
                    "is a link; write to the folder again, or copy it with what its links lead to"
                )
        for name in names:
            _put(ready / name, folder / name)
        for name in old.keys() - new.keys():
            if _is_listed(folder / name, old[name]):
                (folder / name).unlink()
        _put(ready / MANIFEST, folder / MANIFEST)
        _flush(folder)
    shutil.rmtree(ready)


def _leads_away(folder: Path, name: str) -> bool:
    return Path(os.path.realpath(folder / name)) != Path(os.path.realpath(folder)) / name


def _put(source: Path, target: Path) -> None:
    """Move a file to its place; a link there is followed, and the rights stay."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink():
        with replace_file(target) as file:
            file.write(source.read_bytes())
        source.unlink()
        return
    if target.exists():
        source.chmod(stat.S_IMODE(target.stat().st_mode))
    source.replace(target)


def _names(folder: Path) -> list[str]:
    """The files in `folder` and below, without the manifest."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name != MANIFEST)


def _listed(outputs: Outputs) -> Mapping[str, str]:
    return {name: digest for files in outputs.values() for name, digest in files.items()}


def _is_listed(path: Path, digest: str | None) -> bool:
    return digest is not None and path.is_file() and _sha256(path) == digest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """Have what was written stand on the disk, not only in memory."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
