"""Packed bit streams: how every format is laid out, written and read.

A stream is its sections one behind the other, without header, gaps or alignment; a section is an
array of unsigned fields of one width (or of one width each). Bit order: bit k of the stream is bit
k mod 8, counted from the least significant, of byte k // 8, and a field starts with its least
significant bit. The last byte is filled up with zero bits. Shape, value type and parameters are
not in the stream: hardware gets them by configuration, here they come as a `Descriptor`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import DTypeLike, NDArray

from sparse_formats.errors import InputError
from sparse_formats.formats.parts.value_types import ValueType, bit_view, from_patterns


@dataclass(frozen=True, eq=False)
class Section:
    """Fields to be written: integers of any dtype, taken modulo 2^width.

    width: bits of every field (0 … 64), or uint8, one item a field.
    """

    fields: NDArray[Any]
    width: int | NDArray[np.uint8]

    @property
    def bits(self) -> int:
        if isinstance(self.width, int):
            return self.fields.size * self.width
        return int(self.width.sum(dtype=np.int64))


def pack(sections: Iterable[Section]) -> bytes:
    """The sections as one stream, ⌈bits/8⌉ bytes long. Linear in fields."""
    every = list(sections)
    bits = sum(section.bits for section in every)
    # One word more: a field may reach over the end of the word it starts in.
    words = np.zeros(bits // 64 + 2, np.uint64)
    at = 0
    for section in every:
        fields = np.ascontiguousarray(section.fields).reshape(-1)
        if isinstance(section.width, int):
            if section.width:
                _write(words, at, fields, section.width)
        else:
            _write_each(words, at, fields, section.width)
        at += section.bits
    return words.astype("<u8", copy=False).tobytes()[: -(-bits // 8)]


class BitReader:
    """Takes a stream apart, section by section, in the order in which it was written.

    A field's place in messages is its first bit, counted from the start of the stream.
    """

    def __init__(self, data: bytes, where: str) -> None:
        self._where = where
        self._bytes = len(data)
        padded = np.zeros(len(data) // 8 + 2, "<u8")
        padded.view(np.uint8)[: len(data)] = np.frombuffer(data, np.uint8)
        self._words = padded.astype(np.uint64, copy=False)
        self._at = 0

    @property
    def at(self) -> int:
        """Bits read so far: where the next section starts."""
        return self._at

    def read(self, name: str, count: int, width: int, dtype: DTypeLike) -> NDArray[Any]:
        """`count` fields of `width` bits as `dtype`, which is wide enough for them.

        Raises:
            InputError: the stream ends before them; nothing is allocated then.
        """
        self.check_room(name, count * width)
        # A field of no bits is zero, however many there are.
        fields = np.zeros(count, dtype) if width == 0 else np.empty(count, dtype)
        if width:
            _read(self._words, self._at, fields, width)
        self._at += count * width
        return fields

    def read_each(self, name: str, widths: NDArray[np.uint8], dtype: DTypeLike) -> NDArray[Any]:
        """One field of each width in `widths`, as `dtype`; errors as `read`."""
        bits = int(widths.sum(dtype=np.int64))
        self.check_room(name, bits)
        fields = np.empty(len(widths), dtype)
        _read_each(self._words, self._at, fields, widths)
        self._at += bits
        return fields

    def fail(self, bit: int, what: str) -> InputError:
        """The error that says `what` is wrong at `bit` of the stream."""
        return InputError(
            f"{self._where}: bit {bit} (byte {bit // 8}) of the stream: {what}; the stream is "
            "damaged, or the descriptor belongs to another one; encode the matrix again"
        )

    def finish(self) -> None:
        """InputError unless all bytes are used up and the last one is filled with zero bits."""
        needed = -(-self._at // 8)
        if self._bytes != needed:
            raise self.fail(
                self._at, f"it should end here, after {needed} bytes, found {self._bytes} bytes"
            )
        if self._at % 8:
            rest = int(self._words[self._at // 64]) >> self._at % 64
            if rest:
                bit = self._at + (rest & -rest).bit_length() - 1
                raise self.fail(bit, "the last byte must be filled up with zero bits, found 1")

    def check_room(self, name: str, bits: int) -> None:
        """InputError unless `bits` more are left for what `name` says."""
        left = self._bytes * 8 - self._at
        if bits > left:
            raise self.fail(self._at, f"{name} need {bits} bits, only {left} are left")


@njit(cache=True)
def _write(words: NDArray[np.uint64], at: int, fields: NDArray[Any], width: int) -> None:
    mask = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - width)
    for i in range(len(fields)):
        word, shift = at >> 6, at & 63
        field = np.uint64(fields[i]) & mask
        words[word] |= field << np.uint64(shift)
        if shift + width > 64:
            words[word + 1] |= field >> np.uint64(64 - shift)
        at += width


@njit(cache=True)
def _write_each(
    words: NDArray[np.uint64], at: Any, fields: NDArray[Any], widths: NDArray[np.uint8]
) -> None:
    for i in range(len(fields)):
        width = np.int64(widths[i])
        if width == 0:
            continue
        word, shift = at >> 6, at & 63
        field = np.uint64(fields[i]) & (np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - width))
        words[word] |= field << np.uint64(shift)
        if shift + width > 64:
            words[word + 1] |= field >> np.uint64(64 - shift)
        at += width


@njit(cache=True)
def _read(words: NDArray[np.uint64], at: int, fields: NDArray[Any], width: int) -> None:
    mask = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - width)
    for i in range(len(fields)):
        word, shift = at >> 6, at & 63
        field = words[word] >> np.uint64(shift)
        if shift + width > 64:
            field |= words[word + 1] << np.uint64(64 - shift)
        fields[i] = field & mask
        at += width


@njit(cache=True)
def _read_each(
    words: NDArray[np.uint64], at: Any, fields: NDArray[Any], widths: NDArray[np.uint8]
) -> None:
    for i in range(len(fields)):
        width = np.int64(widths[i])
        field = np.uint64(0)
        if width:
            word, shift = at >> 6, at & 63
            field = words[word] >> np.uint64(shift)
            if shift + width > 64:
                field |= words[word + 1] << np.uint64(64 - shift)
            field &= np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - width)
        fields[i] = field
        at += width


def flags(every: NDArray[np.bool_]) -> list[Section]:
    """Sections of one bit a flag, packed 64 at a time."""
    packed = np.packbits(every.reshape(-1), bitorder="little")
    words = np.zeros(-(-every.size // 64), "<u8")
    words.view(np.uint8)[: len(packed)] = packed
    whole, rest = divmod(every.size, 64)
    words = words.astype(np.uint64, copy=False)
    return [Section(words[:whole], 64), Section(words[whole:], rest)]


def read_flags(reader: BitReader, name: str, count: int) -> NDArray[np.bool_]:
    """The next `count` flags, bool; errors as `BitReader.read`."""
    whole, rest = divmod(count, 64)
    words = reader.read(name, whole, 64, np.uint64)
    last = reader.read(name, int(rest > 0), rest, np.uint64)
    octets = np.concatenate([words, last]).astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(octets, count=count, bitorder="little").view(np.bool_)


def value_section(data: NDArray[Any] | None, value_type: ValueType | None) -> Section:
    """`data` ready to be packed as `value_type`."""
    if data is None or value_type is None:
        return Section(np.empty(0, np.uint8), 0)
    return Section(bit_view(np.ascontiguousarray(data)), value_type.bits)


def read_values(reader: BitReader, count: int, value_type: ValueType | None) -> NDArray[Any] | None:
    """The next `count` values of a stream; None for a stream without values."""
    if value_type is None:
        return None
    itemsize = np.dtype(value_type.dtype).itemsize
    patterns = reader.read("values", count, value_type.bits, f"u{itemsize}")
    return from_patterns(patterns, value_type)
