"""What the multipliers see and what their sums are kept in (docs/microarchitecture.md §8)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sparse_formats.errors import InputError


@dataclass(frozen=True)
class Datatype:
    """Operands of the machine and the accumulators behind its multipliers.

    operand: NumPy type that holds an operand exactly; accumulator: one whose sums are, in their
    lowest accumulator_bits, those of the machine. largest: largest magnitude that a rounded operand
    has. drawn_scale: what a standard normal is multiplied by to be drawn as an operand.
    """

    name: str
    operand: DTypeLike
    operand_bits: int
    accumulator: DTypeLike
    accumulator_bits: int
    largest: int
    drawn_scale: int

    @property
    def is_integer(self) -> bool:
        return np.dtype(self.operand).kind == "i"

    def operands(self, values: NDArray[Any], where: str) -> NDArray[Any]:
        """`values` as operands: floats rounded, for integer types by max|values| / largest.

        Raises:
            InputError: naming `where`, a value that is beyond the datatype.
        """
        if self.is_integer and values.dtype.kind == "f":
            exact = values.astype(np.float64)
            scale = float(np.abs(exact).max(initial=0)) / self.largest
            return np.rint(exact / scale if scale else exact).astype(self.operand)
        with np.errstate(over="ignore"):
            rounded = values.astype(self.operand)
        lost = rounded != values if self.is_integer else ~np.isfinite(rounded)
        if lost.any():
            raise InputError(
                f"{where}: {values[lost][0]} is beyond {self.name}; "
                "scale the values, or choose another array.datatype"
            )
        return rounded

    def draw(self, rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[Any]:
        """Operands drawn from a standard normal, none of them zero."""
        normal = self.drawn_scale * rng.standard_normal(shape, dtype=np.float32)
        if self.is_integer:
            normal = np.clip(np.rint(normal), -self.largest, self.largest)
        x = normal.astype(self.operand)
        x[x == 0] = 1  # an exact zero would be an unasked-for sparsity
        return x


DATATYPES = {
    datatype.name: datatype
    for datatype in (
        Datatype("fp16", np.float16, 16, np.float32, 32, largest=65504, drawn_scale=1),
        Datatype("int8", np.int8, 8, np.int32, 32, largest=127, drawn_scale=32),
        Datatype("int16", np.int16, 16, np.int64, 48, largest=32767, drawn_scale=8192),
    )
}
