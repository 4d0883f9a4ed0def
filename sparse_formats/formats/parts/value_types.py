"""How a kept weight is represented: in memory by NumPy, in a stream by its bits.

| type      | bits in a stream | in memory                                          |
|-----------|------------------|----------------------------------------------------|
| float64, float32, float16 | 64, 32, 16 | NumPy's own                              |
| bfloat16  | 16               | uint16 bit patterns (NumPy has no such type)       |
| int8      | 8                | int8                                               |
| int4      | 4                | int8, −8 … 7                                       |

Two's complement for the integers. An int8 array is packed as int8 unless int4 is asked for.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError, nearest


@dataclass(frozen=True)
class ValueType:
    """One way of writing a weight. dtype: NumPy's name of it in memory."""

    name: str
    bits: int
    dtype: str


VALUE_TYPES = {
    value_type.name: value_type
    for value_type in (
        ValueType("float64", 64, "float64"),
        ValueType("float32", 32, "float32"),
        ValueType("float16", 16, "float16"),
        ValueType("bfloat16", 16, "uint16"),
        ValueType("int8", 8, "int8"),
        ValueType("int4", 4, "int8"),
    )
}


def value_type_of(data: NDArray[Any] | None, name: str | None = None) -> ValueType | None:
    """The type to pack `data` in: the one called `name`, else that of its dtype.

    None for a matrix encoded without weights: its stream holds no values.

    Raises:
        InputError: an unknown name, one that does not fit the dtype, int4 outside −8 … 7.
    """
    if data is None:
        if name is not None:
            raise InputError(f"value type {name}: the matrix was encoded without weights")
        return None
    if name is not None and name not in VALUE_TYPES:
        raise InputError(f"unknown value type {name!r}{nearest(name, VALUE_TYPES)}")
    for value_type in VALUE_TYPES.values():
        if value_type.dtype == data.dtype.name and name in (None, value_type.name):
            if value_type.name == "int4" and data.size and (data.min() < -8 or data.max() > 7):
                raise InputError(
                    f"int4 holds −8 … 7, found {data.min()} … {data.max()}; quantise further"
                )
            return value_type
    raise InputError(
        f"weights of {data.dtype} cannot be packed as {name or 'any known type'}; convert them to "
        + (VALUE_TYPES[name].dtype if name else "float16, float32, int8 or (bfloat16) uint16")
    )


def value_bits(value_type: ValueType | None) -> int:
    """Bits of one value in a stream; 0 where there are none."""
    return 0 if value_type is None else value_type.bits


def bit_view(array: NDArray[Any]) -> NDArray[Any]:
    """The same memory as unsigned integers: copied, moved and compared, a bit stays as it is."""
    return array.view(f"u{array.dtype.itemsize}")


def from_patterns(patterns: NDArray[Any], value_type: ValueType) -> NDArray[Any]:
    """The values that bit patterns, unsigned and at least as wide, stand for."""
    dtype = np.dtype(value_type.dtype)
    patterns = patterns.astype(f"u{dtype.itemsize}", copy=False)
    if value_type.name == "int4":
        # The upper half of the byte repeats the sign.
        return (patterns << 4).astype(np.uint8).view(np.int8) >> np.int8(4)
    return patterns.view(dtype)
