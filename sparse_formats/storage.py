"""What an encoding costs, in bits."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Storage:
    """Bits of one encoded matrix, split by what they say."""

    values: int
    indices: int
    pointers: int
    padding: int = 0

    @property
    def bits(self) -> int:
        return self.values + self.indices + self.pointers + self.padding

    def __add__(self, other: "Storage") -> "Storage":
        return Storage(
            self.values + other.values,
            self.indices + other.indices,
            self.pointers + other.pointers,
            self.padding + other.padding,
        )


def bits_for(choices: int) -> int:
    """⌈log2 choices⌉: the bits that tell `choices` ≥ 1 things apart (0 for a single one)."""
    return (choices - 1).bit_length()
