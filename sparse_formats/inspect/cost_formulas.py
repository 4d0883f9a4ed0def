"""Closed formulas: bits per element of each format over density, and where they break even.

For uniformly random masks (Bernoulli), except where a format dictates its own. Sources: design
notes on accelerators, §5, and on pruning, §7.8.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from sparse_formats.storage import bits_for

Curve = Callable[[float, int, int, int], float]
"""(density, rows, cols, value bits) → bits per element."""


def _pointers(lines: int, density: float, entries: int) -> float:
    return (lines + 1) * bits_for(round(density * entries) + 1) / entries


def _csr(density: float, rows: int, cols: int, value_bits: int) -> float:
    return density * (value_bits + bits_for(cols)) + _pointers(rows, density, rows * cols)


def _csc(density: float, rows: int, cols: int, value_bits: int) -> float:
    return density * (value_bits + bits_for(rows)) + _pointers(cols, density, rows * cols)


def relative(density: float, value_bits: int, run_bits: int) -> float:
    """d·(1 + p)·(v + k), p = q^L/(1 − q^L) padding zeros an entry, q = 1 − d, L = 2^k."""
    if density == 0:
        return 0.0
    none = (1 - density) ** (1 << run_bits)
    return density * (1 + none / (1 - none)) * (value_bits + run_bits)


def _relative_csc(density: float, rows: int, cols: int, value_bits: int) -> float:
    return relative(density, value_bits, 4) + _pointers(cols, density, rows * cols)


def vectors(density: float, rows: int, cols: int, value_bits: int, length: int) -> float:
    """d·(v + ⌈log2⌈cols/V⌉⌉/V) and pointers, for vectors of one length V along the rows."""
    index = bits_for(-(-cols // length)) / length
    count = (rows + 1) * bits_for(round(density * rows * cols / length) + 1) / (rows * cols)
    return density * (value_bits + index) + count


CURVES: Mapping[str, Curve] = MappingProxyType(
    {
        "dense": lambda density, rows, cols, value_bits: float(value_bits),
        "csr": _csr,
        "csc": _csc,
        "relative_csc": _relative_csc,
        "run_length": lambda density, rows, cols, value_bits: relative(density, value_bits, 4),
        "bitmap": lambda density, rows, cols, value_bits: density * value_bits + 1,
        "mixed_vectors": lambda d, rows, cols, value_bits: vectors(d, rows, cols, value_bits, 16),
    }
)
"""Formats with a closed formula for any density; `mixed_vectors`: all of length 16."""


def density_at(bits: float, format: str, rows: int, cols: int, value_bits: int) -> float | None:
    """The greatest density at which `format` takes at most `bits` an element.

    1 where it always does, None where it never does. Every curve rises with density. The matrix
    has entries.
    """
    curve = CURVES[format]
    if curve(1.0, rows, cols, value_bits) <= bits:
        return 1.0
    if curve(0.0, rows, cols, value_bits) > bits:
        return None
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        fits = curve(middle, rows, cols, value_bits) <= bits
        low, high = (middle, high) if fits else (low, middle)
    return low
