"""Figures as people read them: three digits, units, shares, a dash for what is undefined.

Text that comes from a file is escaped for HTML by the functions that say so.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from accel_sim.reports.glossary import UNIT_WORDS
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


def change(difference: float | None) -> str:
    """A share more or less: -0.123 → −12.3 %; None → `–`."""
    if difference is None:
        return UNKNOWN
    rounded = round(100 * difference, 1)
    return f"{rounded:+.1f} %".replace("-", "−") if rounded else "0 %"


def judged(advice: Mapping[str, Any]) -> str:
    """Whether a change helps, harms or does nothing to speak of, judged by the cycles."""
    if advice["is_nothing"]:
        return "neutral"
    return "helps" if advice["difference"]["cycles"] < 0 else "harms"


def times(value: float | None) -> str:
    """2.5 → `2.50×`; None → `–`."""
    return UNKNOWN if value is None else f"{value:,.2f}×"


def with_unit(value: float | None, unit: str, form: str = ",.2f") -> str:
    """12.34 pJ; None → `–`."""
    return UNKNOWN if value is None else f"{value:{form}} {unit}"


def limit(limited_by: Mapping[str, float]) -> str:
    """`the DRAM, which is busy 99.9 % of the cycles`: the busiest unit; "" where none limits."""
    for kind, busy in limited_by.items():
        are = "are" if UNIT_WORDS.get(kind, "").endswith("s") else "is"
        return f"{UNIT_WORDS.get(kind, kind)}, which {are} busy {share(busy)} of the cycles"
    return ""


def bound_text(result: Mapping[str, Any]) -> str:
    """`dram busy 99 %` or `compute 73 %`: what bounds a layer or a total, "" without cycles."""
    if result["limited_by"]:
        unit, busy = next(iter(result["limited_by"].items()))
        return f"{unit.replace('_', ' ')} busy {share(busy, '.0f')}"
    if (bound := result["bound_by"]) is None:
        return ""
    part = share_of(result["cycles_by_cause"][bound], result["cycles"], ".0f")
    return f"{bound.replace('_', ' ')} {part}"


def left_to_save(limited_by: Mapping[str, float]) -> str:
    """What a change can save that leaves the busiest unit alone, rounded up to 0.1 %."""
    tenths = math.ceil(round(1000 * (1 - max(limited_by.values())), 9))
    return (
        "no change that leaves its work and its speed as they are can save more than "
        f"{tenths / 10:g} %"
    )


def of_unchanged(name: str, values_set: int) -> str:
    """` for tf_mvp without the 2 values set`: whose a published figure is; "" where all is told."""
    if not values_set:
        return ""
    return f" for {name} without the {values_set} {'value' if values_set == 1 else 'values'} set"


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
