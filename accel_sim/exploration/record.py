"""What was computed so far, one line of JSON a point, in one file that only grows.

A point's key is the hash of everything that its result depends on, so that whoever starts again
finds what is there and computes the rest. One process at a time writes. If it is killed in the
middle of a line, the line is dropped and its point computed again.
"""

import contextlib
import hashlib
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from sparse_formats.errors import InputError
from sparse_formats.files.leftovers import locked

KEY = "key"
"""Where a line says whose result it is."""

_HASH_DIGITS = 16
_HASH = re.compile(f"[0-9a-f]{{{_HASH_DIGITS}}}")
_ROOT = Path(__file__).parents[2]
_CODE = (".py", ".csv")
"""Programs, and the tables of costs. What a machine's file says is in its values."""
_NAMED = 5
"""Damaged lines that a message names."""
_PATIENCE_S = 10.0
"""How long the processes of a killed writer may take to notice that it is gone."""


def content_hash(content: Any) -> str:
    """16 hexadecimal digits for JSON-able `content`; the order of a mapping's keys is no matter."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]


@lru_cache(maxsize=8)
def code_hash(*parts: str) -> str:
    """Of the code in these folders and files, by their path from that of our packages."""
    digest = hashlib.sha256()
    for part in parts:
        path = _ROOT / part
        found = [path] if path.is_file() else path.rglob("*")
        for file in sorted(file for file in found if file.suffix in _CODE):
            content = file.read_bytes()
            digest.update(f"{file.name}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()[:_HASH_DIGITS]


class Record(Mapping[str, dict[str, Any]]):
    """Results by key, in the order in which they were added."""

    def __init__(self, path: Path, results: Mapping[str, dict[str, Any]], handle: int) -> None:
        self._path, self._results, self._handle = path, dict(results), handle

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self._results[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)

    def add(self, key: str, result: Mapping[str, Any]) -> None:
        """Write one JSON-able result; when this returns, it is on the disk.

        Raises:
            InputError: the file cannot be written.
            ValueError: the key is there already, or the result is not JSON: a bug of the caller.
        """
        if key in self._results or KEY in result:
            raise ValueError(f"{key} cannot be added: it is there, or its result has a '{KEY}'")
        line = json.dumps({KEY: key, **result}, separators=(",", ":"), allow_nan=False) + "\n"
        try:
            _write(self._handle, line.encode())
        except OSError as error:
            raise InputError(
                f"cannot write {self._path}: {error.strerror}; what it holds so far is kept"
            ) from error
        self._results[key] = dict(result)


@contextlib.contextmanager
def open_record(path: Path) -> Iterator[Record]:
    """The record at `path`, made if it is not there, for reading and adding.

    Raises:
        InputError: another process writes to it; it cannot be read or written, or is damaged.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; give another folder") from error
    try:
        with locked(path, _PATIENCE_S):
            content = path.read_bytes()
            whole = _whole(content)
            results = _parsed(whole, path)
            if len(whole) < len(content):
                os.ftruncate(handle, len(whole))
            yield Record(path, results, handle)
    finally:
        os.close(handle)


def read_record(path: Path) -> dict[str, dict[str, Any]]:
    """The results at `path` by key, also while another process adds some; none without a file.

    Raises:
        InputError: the file cannot be read or is damaged.
    """
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    return _parsed(_whole(content), path)


def _whole(content: bytes) -> bytes:
    """The lines that were written to their end."""
    return content[: content.rfind(b"\n") + 1]


def _parsed(content: bytes, path: Path) -> dict[str, dict[str, Any]]:
    results: dict[str, dict[str, Any]] = {}
    damaged: list[int] = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            result = msgspec.json.decode(line, type=dict[str, Any])
            key = msgspec.convert(result.pop(KEY), str)
        except (ValueError, KeyError, RecursionError):
            key, result = "", {}
        if not _HASH.fullmatch(key):
            damaged.append(number)
            continue
        if key in results:
            raise InputError(
                f"{path}: line {number} holds {key} for the second time; remove this line"
            )
        results[key] = result
    if damaged and not results:
        raise InputError(
            f"{path} is not the record of a study: no line of it is a result; move it away, or "
            "give another folder"
        )
    if damaged:
        raise InputError(
            f"{path}: {_lines(damaged)} no result; remove what is damaged, and its points are "
            f"computed again: sed -i '{';'.join(f'{n}d' for n in damaged[:_NAMED])}' "
            f"{shlex.quote(str(path))}"
        )
    return results


def _lines(numbers: Sequence[int]) -> str:
    """`line 3 is`, `lines 3, 4, 5 and 12 more are`."""
    if len(numbers) == 1:
        return f"line {numbers[0]} is"
    more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
    return f"lines {', '.join(map(str, numbers[:_NAMED]))}{more} are"


def _write(handle: int, line: bytes) -> None:
    while line:
        line = line[os.write(handle, line) :]
    os.fsync(handle)
