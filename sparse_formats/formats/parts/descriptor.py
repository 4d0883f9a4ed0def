"""What a decoder is told before it reads a stream."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sparse_formats.errors import InputError
from sparse_formats.formats.parts.value_types import ValueType

MOST_LINES = 2**31 - 1
"""Rows, columns and kept weights of the largest matrix: they are counted in int32."""


@dataclass(frozen=True)
class Descriptor:
    """What a decoder is configured with before it reads a stream; no part of the stream.

    value_type: None for a stream without values. parameters: whole numbers, or a table of them,
    that the format names in its docstring.
    """

    shape: tuple[int, int]
    value_type: ValueType | None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not all(0 <= n <= MOST_LINES for n in self.shape):
            raise InputError(
                f"descriptor: shape {self.shape}; rows and columns are 0..{MOST_LINES}"
            )

    def number(self, name: str, least: int, most: int) -> int:
        """The parameter `name`; InputError unless it is a whole number in least … most."""
        value = self.parameters.get(name)
        if not isinstance(value, int) or not least <= value <= most:
            raise InputError(
                f"descriptor: {name} is {value}; give a whole number in {least}..{most}, "
                "as `descriptor()` of the encoded matrix does"
            )
        return value
