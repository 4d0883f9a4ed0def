"""The wire format of protocol buffers: fields by number, without a schema and without code.

Source: protobuf.dev, "Encoding": a field is a varint of number · 8 + wire type, then a varint (0),
8 bytes (1), a varint of a length and so many bytes (2), or 4 bytes (5).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError

_LONGEST_VARINT = 10


@dataclass(frozen=True)
class Field:
    """number: of the field. value: of a varint, 0 for others. begin, end: the bytes in the file of
    a length-delimited field, a message or a packed array; begin = end for varints."""

    number: int
    value: int
    begin: int
    end: int


@dataclass(frozen=True)
class Message:
    """The bytes [begin, end) of a file that hold one message; `data` are those of the file."""

    path: Path
    data: memoryview
    begin: int
    end: int

    def fields(self) -> Iterator[Field]:
        """The fields in order.

        Raises:
            InputError: a field that reaches beyond the message, or is of an unknown wire type.
        """
        at = self.begin
        while at < self.end:
            key, at = self._varint(at)
            number, wire = key >> 3, key & 7
            value, begin = 0, at
            if wire == 0:
                value, at = self._varint(at)
                begin = at
            elif wire == 2:
                length, begin = self._varint(at)
                at = begin + length
            elif wire in (1, 5):
                at += 8 if wire == 1 else 4
            else:
                raise self._damaged(at)
            if at > self.end:
                raise self._damaged(begin)
            yield Field(number, value, begin, at)

    def of(self, field: Field) -> "Message":
        """The message, or the bytes, in a field of this one."""
        return Message(self.path, self.data, field.begin, field.end)

    @property
    def content(self) -> bytes:
        return bytes(self.data[self.begin : self.end])

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    def varints(self) -> NDArray[np.int64]:
        """The bytes as packed varints, each 64 bits with a sign.

        Raises:
            InputError: the last one does not end.
        """
        raw = np.frombuffer(self.content, np.uint8)
        lasts = np.flatnonzero(raw < 128)
        if len(raw) and (not len(lasts) or lasts[-1] != len(raw) - 1):
            raise self._damaged(self.begin)
        firsts = np.concatenate([[0], lasts[:-1] + 1]) if len(lasts) else lasts
        place = np.arange(len(raw)) - np.repeat(firsts, lasts - firsts + 1)
        if len(place) and place.max() >= _LONGEST_VARINT:
            raise self._damaged(self.begin)
        parts = (raw & np.uint8(127)).astype(np.uint64) << (7 * place).astype(np.uint64)
        if not len(firsts):
            return np.empty(0, np.int64)
        return np.bitwise_or.reduceat(parts, firsts).view(np.int64)

    def _varint(self, at: int) -> tuple[int, int]:
        value = 0
        for i in range(_LONGEST_VARINT):
            if at + i >= self.end:
                break
            byte = self.data[at + i]
            value |= (byte & 127) << 7 * i
            if byte < 128:
                return value & (1 << 64) - 1, at + i + 1
        raise self._damaged(at)

    def _damaged(self, at: int) -> InputError:
        return InputError(
            f"{self.path}: byte {at} is no protocol buffer; the file is cut short or damaged"
        )


def signed(value: int) -> int:
    """A varint as a number of 64 bits with a sign."""
    return value - (1 << 64) if value >> 63 else value
