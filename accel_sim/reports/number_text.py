"""Figures as people read them: three digits, units, shares, a dash for what is undefined.

Text that comes from a file is escaped for HTML by the functions that say so.
"""

from collections.abc import Sequence
from typing import Any

from sparse_formats.untrusted import escaped

UNKNOWN = "–"


def quantity(value: float | None, unit: str) -> str:
    """Three digits and an SI prefix: 0.000204 s → `204 µs`; None → `–`."""
    if value is None:
        return UNKNOWN
    prefixes = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))
    # Rounded first, so that 999.9996 µ becomes 1 m and not 1000 µ.
    rounded = float(f"{value:.3g}")
    scale, prefix = next(((s, p) for s, p in prefixes if abs(rounded) >= s), (1e-12, "p"))
    if not rounded:
        return f"0 {unit}"
    return f"{_three_digits(rounded / scale)} {prefix}{unit}"


def _three_digits(value: float) -> str:
    """1.00, 12.3, 123, 1,234: at least three digits, never an exponent."""
    decimals = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:,.{decimals}f}"


def number(value: float | None, form: str = ",.2f") -> str:
    """12.34; None → `–`."""
    return UNKNOWN if value is None else format(value, form)


def share(value: float | None, form: str = ".1f") -> str:
    """0.123 → `12.3 %`; None → `–`."""
    return UNKNOWN if value is None else f"{100 * value:{form}} %"


def share_of(part: float, whole: float, form: str = ".1f") -> str:
    """1 of 8 → `12.5 %`; of 0 → `–`."""
    return share(part / whole if whole else None, form)


def saved(gain: float) -> str:
    """A gain as the change of the cycles: 0.123 → −12.3 %."""
    change = round(-100 * gain, 1)
    return f"{change:+.1f} %".replace("-", "−") if change else "0 %"


def times(value: float | None) -> str:
    """2.5 → `2.50×`; None → `–`."""
    return UNKNOWN if value is None else f"{value:,.2f}×"


def with_unit(value: float | None, unit: str, form: str = ",.2f") -> str:
    """12.34 pJ; None → `–`."""
    return UNKNOWN if value is None else f"{value:{form}} {unit}"


def matrices(count: int) -> str:
    """1 matrix, 2 matrices."""
    return f"{count:,} {'matrix' if count == 1 else 'matrices'}"


def spoken(key: str) -> str:
    """`empty_lanes` → `empty lanes`, escaped."""
    return escaped(key.replace("_", " "))


def breakable(name: str) -> str:
    """A dotted name that may break at its dots, escaped."""
    return escaped(name).replace(".", ".<wbr>")


def value_text(value: Any) -> str:
    """As it would stand in the file, whole numbers with separators."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.12g}" if abs(value) < 1e15 else f"{value:g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(value_text(item) for item in value)
    return str(value)
