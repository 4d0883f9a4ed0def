"""NumPy archives read without pickle and without trusting what their headers claim."""

import contextlib
import lzma
import math
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.readers.size_limits import check_claim, check_shape
from sparse_formats.files.readers.stored import Stored

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000
# The only headers that describe plain arrays; a structured dtype has a list for its descr.
_HEADER = re.compile(
    r"\{\s*'descr':\s*'(?P<descr>[^']*)',\s*'fortran_order':\s*(?P<fortran>True|False),"
    r"\s*'shape':\s*\((?P<shape>[0-9L,\s]*)\),?\s*\}\s*"
)
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
    UnicodeDecodeError,
)


@dataclass(frozen=True)
class ArrayHeader:
    """What a .npy header says: element type, shape, memory order, and where the data begin."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool
    data_offset: int

    @property
    def data_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class Npz:
    """An open archive whose headers are checked; `read` fetches one array."""

    path: Path
    headers: dict[str, ArrayHeader]
    archive: zipfile.ZipFile

    def read(self, name: str) -> NDArray[Any]:
        """The array `name`: a fresh, writable, C-ordered copy in native byte order."""
        header = self.headers[name]
        with _whole(self.path, name), self.archive.open(f"{name}.npy") as member:
            content = member.read()
            if len(content) != header.data_offset + header.data_bytes:
                raise EOFError("it ends early")
        order = "F" if header.fortran_order else "C"
        stored = np.ndarray(header.shape, header.dtype, content, header.data_offset, order=order)
        return np.array(stored, header.dtype.newbyteorder("="), order="C")


@contextlib.contextmanager
def open_npz(path: Path) -> Iterator[Npz]:
    """Open `path`, checking every member's header before any data are read.

    Raises:
        InputError: no such file, no zip archive, truncated, pickled, or a member that claims
            other than it has.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; check the path") from error
    except _DAMAGED as error:
        raise InputError(
            f"{path} is not a readable .npz archive ({error}); "
            "it may be cut short; write it again with numpy.savez"
        ) from error
    with archive:
        yield Npz(path, _headers(path, archive), archive)


def stored(npz: Npz) -> dict[str, Stored]:
    """All arrays of numbers by member name, in file order, unread.

    Raises:
        InputError: a matrix that is complex; when an array is read: its sides are no matrix's.
    """
    arrays: dict[str, Stored] = {}
    for name, header in npz.headers.items():
        if header.dtype.kind == "c" and len(header.shape) == 2:
            raise InputError(
                f"{npz.path}: matrix {name} is {header.dtype}; give bools, integers or real floats"
            )
        if header.dtype.kind in "biuf":
            arrays[name] = Stored(header.dtype.kind, header.shape, _reader(npz, name, header))
    return arrays


def no_matrix(npz: Npz) -> InputError:
    """The error of an archive that holds other things than matrices."""
    return InputError(
        f"{npz.path} holds no 2-D array of numbers, found {_inventory(npz.headers)}; "
        "save one 2-D mask or weight matrix per layer"
    )


def _reader(npz: Npz, name: str, header: ArrayHeader) -> Callable[[], NDArray[Any]]:
    def read() -> NDArray[Any]:
        if len(header.shape) == 2:
            check_shape(npz.path, name, *header.shape)
        return npz.read(name)

    return read


def _headers(path: Path, archive: zipfile.ZipFile) -> dict[str, ArrayHeader]:
    members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    check_claim(path, sum(info.file_size for info in members), "the archive")
    headers: dict[str, ArrayHeader] = {}
    for info in members:
        name = info.filename.removesuffix(".npy")
        if name in headers:
            raise InputError(f"{path}: two arrays are called {name}; give every layer its own name")
        with _whole(path, name), archive.open(info) as member:
            header = read_header(path, name, cast(BinaryIO, member))
        if header.data_offset + header.data_bytes != info.file_size:
            raise InputError(
                f"{path}: array {name} claims shape {header.shape} of {header.dtype}, "
                f"{header.data_bytes} bytes, but has {info.file_size - header.data_offset}; "
                "the file is damaged; write it again"
            )
        headers[name] = header
    return headers


def read_header(path: Path, name: str, file: BinaryIO) -> ArrayHeader:
    """Parse the .npy header at the start of `file` without evaluating it.

    Raises:
        InputError: not an .npy array, a pickled object, or a structured type.
    """
    start = file.read(8)
    if len(start) < 8 or start[:6] != _MAGIC:
        raise InputError(f"{path}: member {name} is not a NumPy array; write it with numpy.savez")
    size_bytes = 2 if start[6] == 1 else 4
    size = int.from_bytes(file.read(size_bytes), "little")
    text = file.read(min(size, _LONGEST_HEADER)).decode("latin-1")
    match = _HEADER.fullmatch(text)
    if match is None or size > _LONGEST_HEADER:
        raise InputError(
            f"{path}: array {name} has a header that does not describe a plain array; "
            "save bools, integers or floats"
        )
    if match["descr"].endswith("O"):
        raise InputError(
            f"{path}: array {name} is a pickled Python object, which may run code when read; "
            "save it as an array of numbers"
        )
    shape = tuple(int(n.strip(" L")) for n in match["shape"].split(",") if n.strip(" L"))
    try:
        dtype = np.dtype(match["descr"])
    except TypeError as error:
        raise InputError(
            f"{path}: array {name} has the unknown element type {match['descr']!r}; "
            "save bools, integers or floats"
        ) from error
    return ArrayHeader(dtype, shape, match["fortran"] == "True", 8 + size_bytes + size)


@contextlib.contextmanager
def _whole(path: Path, name: str) -> Iterator[None]:
    """Turn whatever a damaged zip member raises into one line."""
    try:
        yield
    except _DAMAGED as error:
        raise InputError(
            f"{path}: array {name} cannot be read ({error}); the file is damaged; write it again"
        ) from error


def _inventory(headers: dict[str, ArrayHeader]) -> str:
    shown = [f"{name} {h.dtype}{list(h.shape)}" for name, h in list(headers.items())[:5]]
    return ", ".join(shown) + (", …" if len(headers) > 5 else "") if shown else "nothing"
