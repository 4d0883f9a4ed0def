"""Encodings that are kept from one run to the next: many machines store a matrix alike.

A search wants this; whoever runs one machine does not, because it costs memory.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

from accel_sim.dataflows.mixed_vector.lines import Lines
from accel_sim.dataflows.mixed_vector.stream import EncodedTile
from sparse_formats.masks.matrix import MaskedMatrix


class Store(Protocol):
    """Where lines and tiles of one matrix are looked for before they are made: a dict, for one."""

    def get(self, key: Any, /) -> Any: ...
    def __setitem__(self, key: Any, value: Any, /) -> None: ...


class Kept:
    """What was used last of any number of matrices. bytes: of all of it, about."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes, self.bytes = most_bytes, 0
        self._items: OrderedDict[Hashable, tuple[MaskedMatrix, int, Any]] = OrderedDict()
        self._lock = Lock()

    def get(self, matrix: MaskedMatrix, key: Hashable) -> Any:
        """What was kept of the matrix under this key; None if nothing."""
        place = id(matrix), key
        with self._lock:
            if place not in self._items:
                return None
            self._items.move_to_end(place)
            return self._items[place][2]

    def put(self, matrix: MaskedMatrix, key: Hashable, item: Any) -> None:
        """Keep lines or tiles, and drop what has not been used for longest."""
        size = _bytes(item)
        with self._lock:
            # With the matrix, so that no other object gets its id.
            self._items[id(matrix), key] = matrix, size, item
            self.bytes += size
            while self.bytes > self._most_bytes:
                _, (_, dropped, _) = self._items.popitem(last=False)
                self.bytes -= dropped


def _bytes(item: Lines | list[EncodedTile]) -> int:
    if isinstance(item, Lines):
        return item.kept.nbytes + (0 if item.starts is None else item.starts.nbytes)
    arrays = ("first", "unit", "lo", "hi", "lanes", "weights", "bits", "selects")
    return sum(
        getattr(tile.stream.entries, name).nbytes for tile in item for name in arrays
    ) + 1000 * len(item)


@dataclass(frozen=True)
class _OfMatrix:
    kept: Kept
    matrix: MaskedMatrix
    is_packed: bool

    def get(self, key: Hashable, /) -> Any:
        return self.kept.get(self.matrix, (self.is_packed, key))

    def __setitem__(self, key: Hashable, value: Any, /) -> None:
        self.kept.put(self.matrix, (self.is_packed, key), value)


_in_use: list[Kept] = []


@contextlib.contextmanager
def keeping(kept: Kept) -> Iterator[None]:
    """Whatever runs in this process during the block looks into `kept` first."""
    _in_use.append(kept)
    try:
        yield
    finally:
        _in_use.pop()


def store_of(matrix: MaskedMatrix, is_packed: bool) -> Store | None:
    """Where the encodings of the matrix are kept; None if they are not."""
    return _OfMatrix(_in_use[-1], matrix, is_packed) if _in_use else None
