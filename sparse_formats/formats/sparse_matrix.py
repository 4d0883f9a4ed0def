"""What every sparse format is: the abstract matrix that each of them makes concrete."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

from numpy.typing import NDArray

from sparse_formats.formats.parts.bitstream import Section, pack, value_section
from sparse_formats.formats.parts.descriptor import Descriptor
from sparse_formats.formats.parts.value_types import value_type_of
from sparse_formats.storage import Storage


class SparseMatrix(ABC):
    """One encoded matrix of shape (out, in): flat arrays, and what they cost.

    Encoding is lossless: `decode` returns the mask and the kept weights bit for bit, kept zeros
    and their signs included. A format is a frozen dataclass; its docstring names its arrays, the
    sections of its stream, and the parameters of its descriptor.
    """

    shape: tuple[int, int]
    data: NDArray[Any] | None
    """The stored weights, in the format's order; None if encoded without."""

    @property
    @abstractmethod
    def nnz(self) -> int:
        """How many weights are kept."""

    @classmethod
    @abstractmethod
    def encode(cls, keep: NDArray[Any], weight: NDArray[Any] | None = None) -> Self:
        """Encode a bool mask (out, in) and, where known, weights of the same shape.

        Raises:
            InputError: the format cannot hold this mask; says where it breaks the rule.
        """

    @abstractmethod
    def decode(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """The mask (bool) and the weights, 0 where not kept; None if encoded without."""

    @abstractmethod
    def storage(self, value_bits: int) -> Storage:
        """Bits of this matrix with `value_bits` a kept weight."""

    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, Any]:
        """What `from_bytes` must be told besides shape and value type."""

    @abstractmethod
    def sections(self) -> list[Section]:
        """The sections of the stream that stand before the values.

        Raises:
            InputError: the stream would not tell a kept zero from a dropped weight.
        """

    def descriptor(self, value_type: str | None = None) -> Descriptor:
        """What `from_bytes` must be told; value_type: by name, None for that of the weights."""
        return Descriptor(self.shape, value_type_of(self.data, value_type), self.parameters)

    def to_bytes(self, value_type: str | None = None) -> bytes:
        """The packed stream (`bitstream`), ⌈storage(bits of the value type).bits / 8⌉ bytes.

        Raises:
            InputError: the weights do not fit the value type; or as `sections`.
        """
        typed = value_type_of(self.data, value_type)
        return pack([*self.sections(), value_section(self.data, typed)])

    @classmethod
    @abstractmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """The matrix whose stream is `data`, which `to_bytes` gives back bit for bit.

        Raises:
            InputError: any other bytes; names the first bit that cannot be right.
        """
