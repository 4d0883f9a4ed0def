"""What every sparse format can do."""

from typing import Any, Protocol, Self

from numpy.typing import NDArray

from sparse_formats.formats.parts.descriptor import Descriptor
from sparse_formats.storage import Storage


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
