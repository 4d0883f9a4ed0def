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
    has. fraction_bits, least_exponent: of a float that NumPy has not: digits behind the point, and
    the exponent below which they are spaced alike. drawn_scale: what a standard normal is
    multiplied by to be drawn as an operand.
    """

    name: str
    operand: DTypeLike
    operand_bits: int
    accumulator: DTypeLike
    accumulator_bits: int
    largest: float
    drawn_scale: int
    fraction_bits: int | None = None
    least_exponent: int = 0

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
        rounded = self._rounded(values)
        lost = np.abs(rounded.astype(np.float64)) > self.largest
        if self.is_integer:
            # As they are, of which there is one more below zero than above.
            lost = (rounded != values) | (lost & (rounded != -self.largest - 1))
        if lost.any():
            raise InputError(
                f"{where}: {values[lost][0]} is beyond {self.name}; "
                "scale the values, or choose another array.datatype"
            )
        return rounded

    def patterns(self, operands: NDArray[Any]) -> NDArray[Any]:
        """The bits of `operands`, unsigned, in the lowest `operand_bits` of each."""
        if self.fraction_bits is None:
            unsigned = operands.view(f"u{operands.dtype.itemsize}")
            return unsigned & unsigned.dtype.type((1 << self.operand_bits) - 1)
        # The number of floats below it that are not negative, and the sign before it.
        exact = np.abs(operands.astype(np.float64))
        exponent = np.where(exact == 0, self.least_exponent, np.frexp(exact)[1] - 1)
        exponent = np.maximum(exponent, self.least_exponent)
        below = (exponent - self.least_exponent) * (1 << self.fraction_bits)
        digits = np.ldexp(exact, self.fraction_bits - exponent).astype(np.int64)
        sign = np.signbit(operands).astype(np.int64) << (self.operand_bits - 1)
        return (sign | (below + digits)).astype(np.uint16)

    def _rounded(self, values: NDArray[Any]) -> NDArray[Any]:
        """`values` to the nearest operand, ties to even; beyond `largest` where there is none."""
        if self.fraction_bits is None:
            with np.errstate(over="ignore", invalid="ignore"):
                return values.astype(self.operand)
        exact = values.astype(np.float64)
        exponent = np.maximum(np.frexp(exact)[1] - 1, self.least_exponent)
        spacing = np.ldexp(1.0, exponent - self.fraction_bits)
        with np.errstate(over="ignore"):
            return (np.rint(exact / spacing) * spacing).astype(self.operand)

    def draw(self, rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[Any]:
        """Operands drawn from a standard normal, none of them zero."""
        normal = self.drawn_scale * rng.standard_normal(shape, dtype=np.float32)
        if self.is_integer:
            normal = np.clip(np.rint(normal), -self.largest, self.largest)
        x = self._rounded(normal)
        x[x == 0] = 1  # an exact zero would be an unasked-for sparsity
        return x


DATATYPES = {
    datatype.name: datatype
    for datatype in (
        Datatype("fp16", np.float16, 16, np.float32, 32, largest=65504, drawn_scale=1),
        Datatype("int8", np.int8, 8, np.int32, 32, largest=127, drawn_scale=32),
        Datatype("int16", np.int16, 16, np.int64, 48, largest=32767, drawn_scale=8192),
        Datatype(
            *("bf16", np.float32, 16, np.float32, 32),
            largest=2.0**128 - 2.0**120,
            drawn_scale=1,
            fraction_bits=7,
            least_exponent=-126,
        ),
        # E4M3 of the Open Compute Project: no infinity, the largest is 448.
        Datatype(
            *("fp8", np.float32, 8, np.float32, 32),
            largest=448,
            drawn_scale=1,
            fraction_bits=3,
            least_exponent=-6,
        ),
        Datatype("int4", np.int8, 4, np.int32, 32, largest=7, drawn_scale=2),
    )
}
