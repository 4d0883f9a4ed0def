"""The memory that a run may use for what it reads: the one place that says how much.

A run may take 2 GB and 4 bytes for each byte of the files that it reads, or what --max-memory
says. Readers announce what they are about to make before they make it, so that a small file that
claims much is refused before any memory is given to it.
"""

import contextlib
import math
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from sparse_formats.errors import InputError

FREE_BYTES = 2 * 10**9
"""What every run may take."""

PER_BYTE_READ = 4
"""What it may take besides, for each byte of the files that it reads."""

OWN_BYTES = 5 * 10**8
"""The part of it that Python and its libraries take."""

PAGE_BYTES = 2 * 2**20
"""What one entry of an array that is otherwise zero takes: operating systems give memory by pages,
the largest usual one of 2 MiB, and only for those that are written."""


class Sized(Protocol):
    """A matrix of so many places, kept or not, that is held in so many bytes."""

    @property
    def size(self) -> int: ...

    @property
    def held_bytes(self) -> int: ...


class Budget:
    """What one run may hold, and what it has announced. most_bytes: for it, Python included."""

    def __init__(self, most_bytes: int | None = None) -> None:
        self._most_bytes = most_bytes
        self._read: dict[Path, int] = {}
        self._held = 0
        self._for_now = 0
        self._changed = threading.Condition()

    @property
    def read_bytes(self) -> int:
        """Bytes of the files that are read."""
        return sum(self._read.values())

    @property
    def most_bytes(self) -> int:
        """What the run may take, Python and its libraries included."""
        if self._most_bytes is not None:
            return self._most_bytes
        return FREE_BYTES + PER_BYTE_READ * self.read_bytes

    def reads(self, paths: Iterable[Path]) -> None:
        """Count the files at `paths`, each once."""
        for path in paths:
            if path not in self._read:
                self._read[path] = path.stat().st_size

    def claim(self, count: int, what: str) -> None:
        """Announce `count` bytes that stay until the end of the run, for `what`."""
        with self._changed:
            self._check(self._held + self._for_now, count, what)
            self._held += count

    @contextlib.contextmanager
    def passing(self) -> Iterator[None]:
        """What the block announces is given back at its end."""
        before = self._held
        try:
            yield
        finally:
            self._held = before

    def check_fits(self, count: int, what: str) -> None:
        """Refuse `count` bytes that could not be held beside what stays."""
        self._check(self._held, count, what)

    @contextlib.contextmanager
    def holding(self, count: int, what: str) -> Iterator[None]:
        """Announce `count` bytes for the block; waits for the blocks of other threads to end."""
        with self._changed:
            self._check(self._held, count, what)
            while self._for_now and self._held + self._for_now + count > self._for_data:
                self._changed.wait()
            self._for_now += count
        try:
            yield
        finally:
            with self._changed:
                self._for_now -= count
                self._changed.notify_all()

    @property
    def _for_data(self) -> int:
        return max(0, self.most_bytes - OWN_BYTES)

    def _check(self, held: int, count: int, what: str) -> None:
        if held + count <= self._for_data:
            return
        rule = f"2 GB and 4 times the {self.read_bytes} bytes that it reads"
        besides = f" beside {_gigabytes(held)} for what was read before" if held else ""
        raise InputError(
            f"{what} takes {_gigabytes(count)} of memory{besides}, and this run may take "
            f"{_gigabytes(self.most_bytes)} in all, "
            f"{rule if self._most_bytes is None else 'as --max-memory says'}, "
            f"{_gigabytes(OWN_BYTES)} of it for the program; if the file is sound, "
            f"--max-memory {math.ceil((held + count + OWN_BYTES) / 1e9)} allows it"
        )


_budgets: list[Budget] = []
"""Of the run that is on, and of runs that called it. Threads of a run share its budget."""


@contextlib.contextmanager
def budget(most_bytes: int | None = None) -> Iterator[Budget]:
    """The budget of the block: that of the block around it, unless `most_bytes` are given."""
    if _budgets and most_bytes is None:
        yield _budgets[-1]
        return
    mine = Budget(most_bytes)
    _budgets.append(mine)
    try:
        yield mine
    finally:
        _budgets.remove(mine)


def reads(*paths: Path) -> None:
    """Count files that the run reads; see `Budget.reads`."""
    if _budgets:
        _budgets[-1].reads(paths)


def claim(path: Path, count: int, what: str) -> None:
    """Announce bytes for `what`, which stay until the end of the run.

    path: of the file that they are for. what: the work that takes them, e.g. "reading its array".

    Raises:
        InputError: the run may not take so much. Outside a `budget` there is no limit.
    """
    if _budgets:
        if path.is_file():
            reads(path)
        _budgets[-1].claim(count, f"{path}: {what}")


@contextlib.contextmanager
def passing() -> Iterator[None]:
    """What the block announces is given back at its end: whoever keeps a part of it says so."""
    if not _budgets:
        yield
        return
    with _budgets[-1].passing():
        yield


def check_fits(count: int, what: str) -> None:
    """Refuse bytes for `what` that could not be held beside what stays; see `claim`."""
    if _budgets:
        _budgets[-1].check_fits(count, what)


@contextlib.contextmanager
def holding(count: int, what: str) -> Iterator[None]:
    """Announce bytes for the block; see `claim`."""
    if not _budgets:
        yield
        return
    with _budgets[-1].holding(count, what):
        yield


def check_dense(matrices: Iterable[Sized], item_bytes: int, what: str) -> None:
    """Refuse `what` where matrices that are held as their entries would be too much as arrays.

    item_bytes: memory for each of their places, kept or not.
    """
    size = sum(matrix.size for matrix in matrices if matrix.held_bytes < matrix.size)
    if size:
        check_fits(item_bytes * size, f"{what} {size} places of sparse matrices")


def written_bytes(entries: int, places: int, item_bytes: int) -> int:
    """Of an array of zeros with so many places after `entries` of them were written anywhere."""
    return min(places * item_bytes, entries * PAGE_BYTES)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
