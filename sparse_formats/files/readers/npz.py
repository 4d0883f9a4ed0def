"""NumPy archives read without pickle and without trusting what their headers claim."""

import contextlib
import lzma
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.readers.size_limits import bytes_of, check_shape
from sparse_formats.files.readers.special_files import check_regular
from sparse_formats.files.readers.stored import Stored
from sparse_formats.memory import claim

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000
_PIECE = 2**24
# The only headers that describe plain arrays; a structured dtype has a list for its descr.
_HEADER = re.compile(
    r"\{ *'descr': *'(?P<descr>[^']*)', *'fortran_order': *(?P<fortran>True|False), *"
    r"'shape': *\((?P<shape>(?: *[0-9]{1,18}L? *,)* *(?:[0-9]{1,18}L? *)?)\) *,? *\}\s*"
)
# The only element types that NumPy is ever asked to make of a file's words: booleans, integers,
# floats, and text that is not empty. Whatever else there is, now or in a later NumPy, among them
# what holds Python's pointers, is refused unread.
_ELEMENT = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f[248]|[SU][1-9][0-9]{0,5})")
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True)
class ArrayHeader:
    """What a .npy header says: element type, shape, memory order, and where the data begin."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool
    data_offset: int
    data_bytes: int

    @property
    def needed_bytes(self) -> int:
        """Memory to read it: once as stored, once in rows and in this machine's byte order."""
        is_as_stored = self.dtype.isnative and not (self.fortran_order and len(self.shape) > 1)
        return self.data_bytes * (1 if is_as_stored else 2)


@dataclass(frozen=True, eq=False)
class Npz:
    """An open archive whose headers are checked; `read` fetches one array."""

    path: Path
    headers: dict[str, ArrayHeader]
    archive: zipfile.ZipFile

    def read(self, name: str) -> NDArray[Any]:
        """The array `name`: a fresh, writable, C-ordered copy in native byte order."""
        header = self.headers[name]
        claim(self.path, header.needed_bytes, f"reading array {name}")
        content = bytearray(header.data_bytes)
        with _whole(self.path, name), self.archive.open(f"{name}.npy") as member:
            member.read(header.data_offset)
            filled = 0
            while filled < len(content):
                piece = member.read(min(_PIECE, len(content) - filled))
                if not piece:
                    raise EOFError("it ends early")
                content[filled : filled + len(piece)] = piece
                filled += len(piece)
        order = "F" if header.fortran_order else "C"
        stored = np.ndarray(header.shape, header.dtype, content, order=order)
        array = np.asarray(stored, header.dtype.newbyteorder("="), order="C")
        if array.dtype.kind == "U":
            _check_characters(self.path, name, array)
        return array

    def text(self, name: str) -> str:
        """The array `name` as the one text that it holds.

        Raises:
            InputError: it holds numbers, or several texts, or what is no text.
        """
        header = self.headers[name]
        if header.dtype.kind not in "SU" or math.prod(header.shape) != 1:
            raise InputError(
                f"{self.path}: array {name} must hold one text, found {header.dtype} "
                f"{list(header.shape)}; the file is damaged"
            )
        text = self.read(name).reshape(-1)[0]
        return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


@contextlib.contextmanager
def open_npz(path: Path) -> Iterator[Npz]:
    """Open `path`, checking every member's header before any data are read.

    Raises:
        InputError: no such file, no zip archive, truncated, pickled, or a member that claims
            other than it has.
    """
    check_regular(path)
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
        InputError: when an array is read: its sides are no matrix's.
    """
    arrays: dict[str, Stored] = {}
    for name, header in npz.headers.items():
        if header.dtype.kind in "biuf":
            read = _reader(npz, name, header)
            arrays[name] = Stored(header.dtype.kind, header.shape, read, header.dtype.itemsize)
    return arrays


def stored_npy(path: Path) -> dict[str, Stored]:
    """The one array of a .npy file, called by the file's stem, unread.

    Raises:
        InputError: not such a file, cut short, an element type that is no number.
    """
    name = path.stem
    with path.open("rb") as file:
        header = read_header(path, name, file)
    held = path.stat().st_size - header.data_offset
    if held != header.data_bytes:
        raise InputError(
            f"{path}: the array claims {header.data_bytes} bytes, but has {held}; "
            "the file is damaged; write it again"
        )

    def read() -> NDArray[Any]:
        if len(header.shape) == 2:
            check_shape(path, name, *header.shape)
        claim(path, header.needed_bytes, "reading its array")
        raw = np.fromfile(path, header.dtype, offset=header.data_offset)
        shaped = raw.reshape(header.shape, order="F" if header.fortran_order else "C")
        return np.asarray(shaped, header.dtype.newbyteorder("="), order="C")

    return {name: Stored(header.dtype.kind, header.shape, read, header.dtype.itemsize)}


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
    if _ELEMENT.fullmatch(match["descr"]) is None:
        is_pickle = "O" in match["descr"] or "object" in match["descr"]
        why = ", pickled Python objects, which may run code when read" if is_pickle else ""
        raise InputError(
            f"{path}: array {name} has element type {match['descr'][:40]!r}{why}; save it as "
            "booleans, integers, text, or floats of 16, 32 or 64 bits"
        )
    dtype = np.dtype(match["descr"])
    shape = tuple(int(n) for n in re.findall("[0-9]+", match["shape"]))
    data_bytes = bytes_of(path, name, shape, dtype.itemsize)
    is_fortran, offset = match["fortran"] == "True", 8 + size_bytes + size
    return ArrayHeader(dtype, shape, is_fortran, offset, data_bytes)


def _check_characters(path: Path, name: str, array: NDArray[Any]) -> None:
    """InputError unless the text in `array` consists of characters that there are."""
    codes = array.reshape(-1).view(np.uint32)
    if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any():
        raise InputError(f"{path}: array {name} is not text; the file is damaged")


@contextlib.contextmanager
def _whole(path: Path, name: str) -> Iterator[None]:
    """Turn whatever a damaged zip member raises into one line."""
    try:
        yield
    except InputError:
        raise
    except _DAMAGED as error:
        raise InputError(
            f"{path}: array {name} cannot be read ({error}); the file is damaged; write it again"
        ) from error


def _inventory(headers: dict[str, ArrayHeader]) -> str:
    shown = [f"{name} {h.dtype}{list(h.shape)}" for name, h in list(headers.items())[:5]]
    return ", ".join(shown) + (", …" if len(headers) > 5 else "") if shown else "nothing"
