"""What every sparse format can do."""

from typing import Any, Protocol, Self

from numpy.typing import NDArray

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

    @classmethod
    def encode(cls, keep: NDArray[Any], weight: NDArray[Any] | None = None) -> Self:
        """Encode a bool mask (out, in) and, where known, weights of the same shape."""
        ...

    def decode(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """The mask (bool) and the weights, 0 where not kept; None if encoded without."""
        ...

    def storage(self, value_bits: int) -> Storage:
        """Bits of this matrix with `value_bits` a kept weight."""
        ...
