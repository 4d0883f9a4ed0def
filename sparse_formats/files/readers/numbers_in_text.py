"""Numbers in text, taken piece by piece: as words they would take many times their text."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError

_PIECE = 2**20
_BLANK = re.compile(rb"\s")


def words_of(text: bytes) -> Iterator[list[bytes]]:
    """The words of `text`, those of about a million characters at once."""
    start = 0
    while start < len(text):
        blank = _BLANK.search(text, min(start + _PIECE, len(text)))
        end = len(text) if blank is None else blank.start()
        yield text[start:end].split()
        start = end + 1


def as_numbers(path: Path, words: list[bytes], dtype: type[np.generic]) -> NDArray[Any]:
    """`words` as int64 or float64.

    Raises:
        InputError: one of them is no such number.
    """
    try:
        return np.array(words, dtype)
    except (ValueError, OverflowError) as error:
        kind = "whole number of 64 bits" if dtype is np.int64 else "number"
        wrong = next((word for word in words if not _is_number(word, dtype)), b"")
        raise InputError(
            f"{path}: an entry is not a {kind}: {wrong.decode('ascii', 'replace')[:40]!r}"
        ) from error


def _is_number(word: bytes, dtype: type[np.generic]) -> bool:
    try:
        np.array([word], dtype)
    except (ValueError, OverflowError):
        return False
    return True
