"""What every sparse format can do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.formats.parts.values import ValueType
from sparse_formats.formats.storage import Storage

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


class SparseMatrix(Protocol):
    """One encoded matrix of shape (out, in): flat arrays, and what they cost.

    Encoding is lossless: `decode` returns the mask and the kept weights bit for bit, kept zeros
    and their signs included.
    """

    @property
    def shape(self) -> tuple[int, int]: ...

    @property
    def nnz(self) -> int: ...

    @property
    def data(self) -> NDArray[Any] | None: ...

    @classmethod
    def encode(cls, keep: NDArray[Any], weight: NDArray[Any] | None = None) -> Self:
        """Encode a bool mask (out, in) and, where known, weights of the same shape.

        Raises:
            InputError: the format cannot hold this mask; says where it breaks the rule.
        """
        ...

    def decode(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """The mask (bool) and the weights, 0 where not kept; None if encoded without."""
        ...

    def storage(self, value_bits: int) -> Storage:
        """Bits of this matrix with `value_bits` a kept weight."""
        ...

    def descriptor(self, value_type: str | None = None) -> Descriptor:
        """What `from_bytes` must be told; value_type: by name, None for that of the weights."""
        ...

    def to_bytes(self, value_type: str | None = None) -> bytes:
        """The packed stream (`bitstream`), ⌈storage(bits of the value type).bits / 8⌉ bytes.

        Raises:
            InputError: the weights do not fit the value type; or the stream would not tell a
                kept zero from a dropped weight.
        """
        ...

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """The matrix whose stream is `data`, which `to_bytes` gives back bit for bit.

        Raises:
            InputError: any other bytes; names the first bit that cannot be right.
        """
        ...
